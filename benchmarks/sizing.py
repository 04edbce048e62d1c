"""What to set for a dataset of a given size: files, workers, memory, disk; from the cost model.

python benchmarks/sizing.py docs/scale.json
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.cost_model import CostModel, Workload
from benchmarks.scale_report import as_measured
from benchmarks.scale_results import read_results

_SMALL_FILE, _LARGE_FILE = 256 << 20, 2 << 30  # decompressed bytes of an input file
_MOST_FILES = 50_000  # the list of files travels with the pipeline, and services limit its size
_CLASSES = 1_000
_CORES = 4  # of a worker, and files that it has in work at a time
_COMPRESSED = 0.66  # of the measured data: random numbers
SIZES = {'10 GB': 10**10, '1 TB': 10**12, '100 TB': 10**14}
RECORD_BYTES = (125, 4_000, 100_000)


@dataclass(frozen=True)
class Sizing:
  """What a split needs that is to take an hour.

  Attributes:
    workload: the split.
    core_hours: of all the workers.
  """

  workload: Workload
  core_hours: float

  @classmethod
  def of(cls, model: CostModel, raw_bytes: int, record_bytes: int) -> Sizing:
    """Returns what a dataset of decompressed bytes, in records of some bytes each, needs."""
    wanted = max(_SMALL_FILE, min(_LARGE_FILE, raw_bytes // _MOST_FILES))
    workload = Workload(
      records=raw_bytes // record_bytes,
      raw_bytes=raw_bytes,
      file_bytes=int(raw_bytes * _COMPRESSED),
      files=-(-raw_bytes // wanted),
      classes=_CLASSES,
    )
    return cls(workload, model.core_seconds(workload) / 3600)

  @property
  def workers(self) -> int:
    """Workers that have the work done in an hour, half of which is lost to waiting."""
    return max(1, round(2 * self.core_hours / _CORES))

  def row(self, size: str, record_bytes: int) -> str:
    """Returns a row of the table, in Markdown."""
    work = self.workload
    cells = [
      f'{size} of {_bytes(record_bytes)}',
      f'{work.files:,}',
      f'{self.core_hours:,.2f}' if self.core_hours < 1 else f'{self.core_hours:,.0f}',
      f'{self.workers:,}',
      _bytes(work.worker_bytes(_CORES)),
      _bytes(work.planner_bytes),
      _bytes(work.work_bytes),
      _bytes(work.read + work.written),
      _bytes(work.shuffled),
    ]
    return f'| {" | ".join(cells)} |'


def table(model: CostModel) -> str:
  """Returns the table of what to set, in Markdown."""
  head = (
    '| data, decompressed | input files | core-hours | workers of 4 cores for an hour '
    '| memory of a worker | of the one that plans | work files | files read and written '
    '| through Beam, at most |'
  )
  rows = [
    Sizing.of(model, n_bytes, record_bytes).row(size, record_bytes)
    for record_bytes in RECORD_BYTES
    for size, n_bytes in SIZES.items()
  ]
  return '\n'.join([head, '| --- |' + ' ---: |' * 8, *rows]) + '\n'


def fitted(path: Path) -> CostModel:
  """Returns the model of the measurements in a file that `benchmarks/scale.py --json` wrote."""
  return CostModel.fit([as_measured(result) for result in read_results(path)])


def _bytes(n: float) -> str:
  """Returns bytes with two digits that count, in units of 1,000.

  >>> _bytes(125), _bytes(4_000), _bytes(1_768_000_000), _bytes(52e12)
  ('125 B', '4 kB', '1.8 GB', '52 TB')
  """
  for unit in ('B', 'kB', 'MB', 'GB', 'TB'):
    if n < 1000 or unit == 'TB':
      return f'{n:,.1f} {unit}'.replace('.0 ', ' ') if n < 10 else f'{n:,.0f} {unit}'
    n /= 1000
  raise AssertionError


def main(arguments: Sequence[str]) -> None:
  """Prints the table."""
  (path,) = arguments
  print(table(fitted(Path(path))), end='')


if __name__ == '__main__':
  main(sys.argv[1:])
