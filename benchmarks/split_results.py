"""What the split benchmark measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.data import DataSpec
from benchmarks.measure import Measured, median, most_other_cores

SIDES = ('empty', 'stock', 'ours')


@dataclass(frozen=True)
class Codec:
  """Core-seconds to decompress the files once, and to compress the bytes once."""

  decompress: float
  compress: float


@dataclass(frozen=True)
class CaseResult:
  """What was measured on one case.

  Attributes:
    case: the case.
    source: the files, as a `DataFiles` in JSON.
    floor: library to what it takes.
    runs: side to its runs.
    errors: of runs that failed.
  """

  case: DataSpec
  source: Mapping[str, Any]
  floor: Mapping[str, Codec]
  runs: Mapping[str, Sequence[Measured]]
  errors: Sequence[str]

  def seconds(self, side: str) -> float | None:
    """Returns the median of a side's runs; None if all failed."""
    return median([run.seconds for run in self.runs[side]])

  def cpu_seconds(self, side: str) -> float | None:
    """Returns the median of a side's core-seconds; None if all runs failed."""
    return median([run.cpu_seconds for run in self.runs[side]])

  def peak_bytes(self, side: str) -> int | None:
    """Returns the most memory that a side had; None if all runs failed."""
    return max((run.peak_bytes for run in self.runs[side]), default=None)

  def records_per_second(self, side: str) -> float | None:
    """Returns a side's throughput."""
    seconds = self.seconds(side)
    return None if seconds is None else self.case.records / seconds

  @property
  def other_cores(self) -> float:
    """The most cores that other processes kept busy during a run; 0 where the system tells none."""
    return most_other_cores(self.runs)

  @property
  def ratio(self) -> float | None:
    """How many times the throughput of the stock component ours is."""
    stock, ours = self.seconds('stock'), self.seconds('ours')
    return None if stock is None or ours is None else stock / ours

  @property
  def floor_seconds(self) -> float:
    """Core-seconds to decompress twice and compress once: what two readings cannot do without."""
    return 2 * self.floor['isal'].decompress + self.floor['isal'].compress

  def to_json(self) -> dict[str, Any]:
    """Returns all of it, raw."""
    return {
      'case': asdict(self.case),
      'raw_bytes': self.source['raw_bytes'],
      'file_bytes': self.source['file_bytes'],
      'floor': {name: asdict(codec) for name, codec in self.floor.items()},
      'runs': {side: [asdict(run) for run in runs] for side, runs in self.runs.items()},
      'ratio': self.ratio,
      'errors': list(self.errors),
    }


@dataclass(frozen=True)
class Growth:
  """How a side's memory grows between two cases that differ in the number of records alone.

  Attributes:
    side: of which.
    few, many: the two cases.
    few_bytes, many_bytes: the peak in each.
  """

  side: str
  few: DataSpec
  many: DataSpec
  few_bytes: int
  many_bytes: int

  @property
  def bytes_per_record(self) -> float:
    """The bytes that a record adds to the peak."""
    return (self.many_bytes - self.few_bytes) / (self.many.records - self.few.records)


def memory_growth(results: Sequence[CaseResult]) -> list[Growth]:
  """Returns the growth from the fewest to the most records, wherever only their number differs."""
  found = []
  for kind, shards in dict.fromkeys((r.case.kind, r.case.shards) for r in results):
    alike = [r for r in results if (r.case.kind, r.case.shards) == (kind, shards)]
    few = min(alike, key=lambda r: r.case.records)
    many = max(alike, key=lambda r: r.case.records)
    if few.case.records == many.case.records:
      continue
    for side in ('ours', 'stock'):
      before, after = few.peak_bytes(side), many.peak_bytes(side)
      if before is not None and after is not None:
        found.append(Growth(side, few.case, many.case, before, after))
  return found
