"""Compares `tfx-balance split` of CSV and Parquet files with pandas and train_test_split.

Each side reads one file of 20 columns and writes train, eval and test files. pandas has all rows in
memory, this package none. Memory is the peak of the process; the small and the full case show how
it grows.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Case, Piece, Work

ROWS = {'full': (500_000, 5_000_000), 'small': (50_000,), 'tiny': (1_000,)}
PART = 50_000  # rows made at a time
NAMES = ('common', 'rare', 'few')


def cases(size: str, specs: Sequence[Any] = ()) -> list[Case]:
  """Returns the cases of a size."""
  return [case_of(rows, kind) for kind in ('csv', 'parquet') for rows in ROWS[size]]


def case_of(rows: int, kind: str) -> Case:
  """Returns the case that splits one file."""
  shape = {'records': rows, 'kind': kind}
  return Case(
    name=f'{rows:,} rows of 20 columns, {kind}',
    records=rows,
    make=Piece('benchmarks.files:make', {'rows': rows, 'kind': kind}),
    sides={
      'pandas': Piece('benchmarks.files:pandas_split'),
      'ours': Piece('benchmarks.files:command_split'),
    },
    peers=('pandas',),
    ours=('ours',),
    shape=shape,
  )


def make(rows: int, kind: str, cache: str, beam_args: Any = None) -> Work:
  """Returns the work of writing a file, whose result is its path."""
  import pyarrow as pa
  import pyarrow.csv
  import pyarrow.parquet

  path = Path(cache) / f'rows-{rows}.{kind}'

  def write() -> dict[str, Any]:
    Path(cache).mkdir(parents=True, exist_ok=True)
    with path.open('wb') as file:
      writer = None
      for at in range(0, rows, PART):
        rng, n = np.random.default_rng(at), min(PART, rows - at)
        names = np.array(NAMES)[np.searchsorted([0.9, 0.99], rng.random(n))]
        numbers = {f'x{i}': rng.integers(0, 10**6, n) for i in range(19)}
        table = pa.table({'label': names, **numbers})
        if kind == 'csv':
          pa.csv.write_csv(table, file, pa.csv.WriteOptions(include_header=not at))
        else:
          writer = writer or pa.parquet.ParquetWriter(file, table.schema)
          writer.write_table(table)
      if writer:
        writer.close()
    size = path.stat().st_size
    return {'path': str(path), 'raw_bytes': size, 'file_bytes': size}

  return Work(write)


def command_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a file with the command."""
  from tfx_balance.cli import file_split  # noqa: F401 - imported before timing starts
  from tfx_balance.cli.__main__ import main

  output = Path(root) / 'out'
  arguments = ['split', data['path'], '--label', 'label', '--output', str(output)]
  return Work(lambda: main(arguments), lambda code: _counted(output))


def pandas_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a file with pandas and scikit-learn."""
  import pandas as pd
  from sklearn.model_selection import train_test_split

  output, kind = Path(root) / 'out', Path(data['path']).suffix[1:]

  def split() -> None:
    output.mkdir(parents=True)
    rows = (pd.read_csv if kind == 'csv' else pd.read_parquet)(data['path'])
    train, rest = train_test_split(rows, test_size=0.2, stratify=rows['label'], random_state=0)
    evaluated, test = train_test_split(rest, test_size=0.5, stratify=rest['label'], random_state=0)
    for name, part in (('train', train), ('eval', evaluated), ('test', test)):
      path = output / f'{name}.{kind}'
      if kind == 'csv':
        part.to_csv(path, index=False)
      else:
        part.to_parquet(path, index=False)

  return Work(split, lambda _: _counted(output))


def _counted(output: Path) -> dict[str, Any]:
  """Returns the rows of each class in each split."""
  import pandas as pd

  counts = {}
  for path in sorted(output.iterdir()):
    read = pd.read_csv if path.suffix == '.csv' else pd.read_parquet
    labels = (read(path, usecols=['label']) if read is pd.read_csv else read(path))['label']
    for name, n in labels.value_counts().sort_index().items():
      counts[f'{path.stem} {name}'] = int(n)
  return {'records': sum(counts.values()), 'counts': counts}
