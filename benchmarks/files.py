"""Compares `tfx-balance split` with pandas and scikit-learn, DuckDB's samples and split-folders.

Rows: each side reads one CSV or Parquet file of 20 columns and writes train, eval and test files.
pandas has all rows in memory, and scikit-learn's `train_test_split(stratify=)` splits them; DuckDB
numbers them in a table on disk, draws reservoir samples, whose classes chance decides, and has a
quarter of the memory of the machine; this package has no rows in memory. Photos: each side makes
folders of train, eval and test of a folder of small JPEG files by class; split-folders copies them,
this package links them. The peers run in an environment of their own, with their newest versions.
Memory is the peak of the process; the small and the full case show how it grows.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Case, Piece, Work

ROWS = {'full': (500_000, 5_000_000), 'small': (50_000,), 'tiny': (1_000,)}
PHOTOS = {'full': 20_000, 'small': 2_000, 'tiny': 100}
PART = 50_000  # rows made at a time
NAMES = ('common', 'rare', 'few')
SPLITS = ('train', 'eval', 'test')


def cases(size: str, specs: Sequence[Any] = ()) -> list[Case]:
  """Returns the cases of a size."""
  found = [
    case_of(
      f'{rows:,} rows of 20 columns, {kind}',
      {'rows': rows, 'kind': kind},
      'make',
      {'pandas': 'pandas_split', 'DuckDB': 'duckdb_split'},
    )
    for kind in ('csv', 'parquet')
    for rows in ROWS[size]
  ]
  photos = {'split-folders': 'folders_split'}
  name = f'{PHOTOS[size]:,} photos'
  found.append(case_of(name, {'rows': PHOTOS[size]}, 'make_photos', photos))
  if size == 'tiny':  # which runs in one process, without the environment of the peers
    return [replace(case, sides={'ours': case.sides['ours']}) for case in found]
  return found


def case_of(name: str, shape: dict[str, Any], make_function: str, peers: dict[str, str]) -> Case:
  """Returns the case that splits one file or folder."""
  sides = {peer: Piece(f'{__name__}:{split}', {}, 'files') for peer, split in peers.items()}
  return Case(
    name=name,
    records=shape['rows'],
    make=Piece(f'{__name__}:{make_function}', shape),
    sides={**sides, 'ours': Piece(f'{__name__}:command_split')},
    peers=tuple(peers),
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


def make_photos(rows: int, cache: str, beam_args: Any = None) -> Work:
  """Returns the work of writing a folder of JPEG files by class, whose result is its path."""
  from PIL import Image

  folder = Path(cache) / f'photos-{rows}'

  def write() -> dict[str, Any]:
    rng, size = np.random.default_rng(0), 0
    for i, share in enumerate(rng.random(rows)):
      path = folder / NAMES[np.searchsorted([0.9, 0.99], share)] / f'{i:06d}.jpg'
      path.parent.mkdir(parents=True, exist_ok=True)
      Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)
      size += path.stat().st_size
    return {'path': str(folder), 'raw_bytes': size, 'file_bytes': size}

  return Work(write)


def command_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a file or folder with the command."""
  from tfx_balance.cli import file_split  # noqa: F401 - imported before timing starts
  from tfx_balance.cli.__main__ import main

  output, of_rows = Path(root) / 'out', Path(data['path']).is_file()
  label = ['--label', 'label'] if of_rows else []
  if of_rows and data['path'].endswith('.parquet'):
    import pandas  # noqa: F401 - which pyarrow imports where it is installed
    from tfx_balance.cli import parquet_rows  # noqa: F401 - imported before timing starts
  return Work(
    lambda: main(['split', data['path'], *label, '--output', str(output)]),
    lambda code: _counted(output),
  )


def pandas_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a file with pandas and scikit-learn."""
  import pandas as pd
  import pyarrow.parquet  # noqa: F401 - imported before timing starts
  from sklearn.model_selection import train_test_split

  output, kind = Path(root) / 'out', Path(data['path']).suffix[1:]

  def split() -> None:
    output.mkdir(parents=True)
    rows = (pd.read_csv if kind == 'csv' else pd.read_parquet)(data['path'])
    train, rest = train_test_split(rows, test_size=0.2, stratify=rows['label'], random_state=0)
    evaluated, test = train_test_split(rest, test_size=0.5, stratify=rest['label'], random_state=0)
    for name, part in zip(SPLITS, (train, evaluated, test), strict=True):
      path = output / f'{name}.{kind}'
      if kind == 'csv':
        part.to_csv(path, index=False)
      else:
        part.to_parquet(path, index=False)

  return Work(split, lambda _: _counted(output))


def duckdb_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a file with samples of DuckDB."""
  import duckdb
  import psutil

  output, kind = Path(root) / 'out', Path(data['path']).suffix[1:]

  def split() -> None:
    output.mkdir(parents=True)
    run: Callable[[str], Any] = duckdb.connect(str(Path(root) / 'rows.db')).execute
    run(f"SET memory_limit = '{psutil.virtual_memory().total >> 32} GB'")
    source = f"read_{kind}('{data['path']}')"
    run(f'CREATE TABLE rows AS SELECT row_number() OVER () AS i, * FROM {source}')
    sample = 'USING SAMPLE reservoir({} PERCENT) REPEATABLE (0)'
    run(f'CREATE TABLE held AS SELECT i FROM rows {sample.format(20)}')
    run(f'CREATE TABLE tested AS SELECT i FROM held {sample.format(50)}')
    train, test = 'rows ANTI JOIN held USING (i)', 'rows SEMI JOIN tested USING (i)'
    evaluated = 'rows SEMI JOIN held USING (i) ANTI JOIN tested USING (i)'
    for name, part in zip(SPLITS, (train, evaluated, test), strict=True):
      path = output / f'{name}.{kind}'
      run(f"COPY (SELECT * EXCLUDE i FROM {part}) TO '{path}' (FORMAT {kind})")

  return Work(split, lambda _: _counted(output))


def folders_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting a folder of images with split-folders."""
  import splitfolders

  output = Path(root) / 'out'
  return Work(
    lambda: splitfolders.ratio(data['path'], str(output), seed=0, ratio=(0.8, 0.1, 0.1)),
    lambda _: _counted(output),
  )


def _counted(output: Path) -> dict[str, Any]:
  """Returns the rows or images of each class in each split."""
  counts: Counter[str] = Counter()
  for path in sorted(output.iterdir()):
    name = path.name.partition('.')[0]
    name = 'eval' if name == 'val' else name  # as split-folders calls it
    if path.is_dir():
      counts.update({f'{name} {each.name}': len(os.listdir(each)) for each in path.iterdir()})
    elif path.suffix == '.csv':
      with path.open() as lines:
        at = next(lines).replace('"', '').rstrip().split(',').index('label')
        counts.update(f'{name} {line.split(",")[at].strip()}' for line in lines)
    else:
      import pyarrow.parquet as pq

      found = pq.read_table(path, columns=['label'])['label'].value_counts()
      counts.update({f'{name} {each["values"]}': each['counts'] for each in found.to_pylist()})
  counts = Counter({name.replace('"', ''): n for name, n in counts.items()})
  return {'records': counts.total(), 'counts': dict(sorted(counts.items()))}
