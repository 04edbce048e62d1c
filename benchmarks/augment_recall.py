"""Counts how many of the true nearest neighbours in a class SMOTE finds in its pool.

python benchmarks/augment_recall.py --small
python benchmarks/augment_recall.py --records 100000 --pool_sizes 2000 20000 100000

`Smote` looks for neighbours among the first pool_size records of a class by hash rank. A class has
8 numbers a record, drawn from a normal distribution; for some of its records the pool's k nearest
are compared with the k nearest in the whole class. A pool of every record has a recall of 1; a
smaller one about its share of the class, since every record is as likely to be in it. Its
neighbours lie farther off by the ratio that is printed, which grows much more slowly. The time is
that of one search, for all the records that are asked for.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.cases import progress
from benchmarks.machine import Machine
from benchmarks.measure import Work, run_piece
from benchmarks.tables import make_console, make_table

K = 5
_NUMBERS = 8
_ASKED = 500  # records whose neighbours are looked for


@dataclass(frozen=True)
class Recall:
  """What a pool gives.

  Attributes:
    pool_size: records in the pool.
    recall: of the k nearest in the whole class, how many are in the pool's answer; 0 to 1.
    distance: mean distance to the pool's k nearest, over that to the class's.
    seconds: of the search, for all that were asked for.
  """

  pool_size: int
  recall: float
  distance: float
  seconds: float


def find_recall(records: int, pool_sizes: Sequence[int]) -> Work:
  """Returns the work of comparing pools with the whole class; gives `Recall` for each, as JSON."""
  rows = np.random.default_rng(0).normal(size=(records, _NUMBERS)).astype(np.float32)
  return Work(lambda: [asdict(_recall(rows, size)) for size in pool_sizes])


def _recall(rows: npt.NDArray[np.float32], pool_size: int) -> Recall:
  true, _ = _nearest(rows, len(rows))
  found, seconds = _nearest(rows, pool_size)
  hits = (true[:, :, None] == found[:, None, :]).any(axis=2)
  return Recall(
    min(pool_size, len(rows)),
    float(hits.mean()),
    float(_distance(rows, found) / _distance(rows, true)),
    seconds,
  )


def _nearest(rows: npt.NDArray[np.float32], pool_size: int) -> tuple[npt.NDArray[np.int64], float]:
  """Returns the pool's nearest of the first records, int64 [asked, K], and the seconds it took."""
  import tensorflow as tf
  from tfx_balance.augment import Smote
  from tfx_balance.plan.selection import ranks

  order = np.argsort(ranks(np.arange(len(rows), dtype=np.uint64), 0, 'balance'))[:pool_size]
  bound = Smote(['x'], k=K, pool_size=pool_size).bind({'x': rows[order]})
  asked = {'x': tf.constant(rows[:_ASKED])}
  start = time.perf_counter()
  nearest, _ = bound.neighbours(asked)
  return order[nearest.numpy()], time.perf_counter() - start


def _distance(rows: npt.NDArray[np.float32], nearest: npt.NDArray[np.int64]) -> float:
  """Returns the mean distance of the first records to these."""
  steps = rows[nearest] - rows[: len(nearest), None]
  return float(np.sqrt((steps**2).sum(axis=2)).mean())


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0."""
  parser = argparse.ArgumentParser(description="Counts the true neighbours in SMOTE's pool.")
  parser.add_argument('--small', action='store_true', help='a class of 10,000 records')
  parser.add_argument('--records', type=int, default=50_000, metavar='N', help='of the class')
  parser.add_argument('--pool_sizes', type=int, nargs='+', metavar='N', help='of the pools')
  known = parser.parse_args(arguments)
  records = 10_000 if known.small else known.records
  sizes = known.pool_sizes or [n for n in (500, 2_000, 10_000, 50_000) if n <= records]
  if min(records, *sizes) <= K:
    parser.error(f'--records and --pool_sizes must be above {K}, the neighbours')
  progress(f'{records:,} records: pools of {sizes}')
  run = run_piece('benchmarks.augment_recall:find_recall', records=records, pool_sizes=sizes)
  _print_report(records, [Recall(**found) for found in run.result])
  return 0


def _print_report(records: int, found: Sequence[Recall]) -> None:
  console = make_console()
  for line in Machine.now().lines():
    console.print(line, soft_wrap=True)
  console.print(
    f'\n{K} nearest of {_ASKED} records of a class of {records:,}, {_NUMBERS} numbers each\n'
    f"recall: of the class's nearest, in the pool's answer; distance: to the pool's nearest over "
    f"that to the class's"
  )
  table = make_table('pool_size', 'share', 'recall', 'distance', 'seconds', words=0)
  for one in found:
    table.add_row(
      f'{one.pool_size:,}',
      f'{one.pool_size / records:.3f}',
      f'{one.recall:.3f}',
      f'{one.distance:.2f}',
      f'{one.seconds:.3f}',
    )
  console.print(table)


if __name__ == '__main__':
  sys.exit(main())
