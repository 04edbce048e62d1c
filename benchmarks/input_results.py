"""What the input benchmark measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.data import DataSpec
from benchmarks.input_reading import Reading
from benchmarks.measure import Measured, median, most_other_cores

PEER = 'plain'


@dataclass(frozen=True)
class Case:
  """What is to be measured.

  Attributes:
    name: of the input, for people.
    spec: of the records; of images only `records` counts.
    images: whether records are PNG images.
    batch_size: of all sides.
    seconds: that each side's batches are counted for.
    sides: names in `benchmarks.input_sides.SIDES`.
  """

  name: str
  spec: DataSpec
  images: bool
  batch_size: int
  seconds: float
  sides: Sequence[str]


@dataclass(frozen=True)
class CaseResult:
  """What was measured on one case.

  Attributes:
    case: the case.
    runs: side to its runs; the result of each is a `Reading` in JSON.
    errors: of runs that failed.
  """

  case: Case
  runs: Mapping[str, Sequence[Measured]]
  errors: Sequence[str]

  def readings(self, side: str) -> list[Reading]:
    """Returns what a side's runs read."""
    return [Reading.from_json(run.result) for run in self.runs[side]]

  def examples_per_second(self, side: str) -> float | None:
    """Returns the median of a side's throughput; None if all runs failed."""
    return median([reading.examples_per_second for reading in self.readings(side)])

  def start_seconds(self, side: str) -> float | None:
    """Returns the median of the seconds to a side's first batch; None if all runs failed."""
    return median([reading.start_seconds for reading in self.readings(side)])

  def peak_bytes(self, side: str) -> int | None:
    """Returns the most memory that a side had; None if all runs failed."""
    return max((run.peak_bytes for run in self.runs[side]), default=None)

  def ratio(self, side: str, to: str = PEER) -> float | None:
    """Returns how many times the throughput of another side one has; None if either failed."""
    if to not in self.runs:
      return None
    peer, own = self.examples_per_second(to), self.examples_per_second(side)
    return None if peer is None or own is None else own / peer

  @property
  def other_cores(self) -> float:
    """The most cores that other processes kept busy during a run; 0 where the system tells none."""
    return most_other_cores(self.runs)

  def to_json(self) -> dict[str, Any]:
    """Returns all of it, raw."""
    return {
      'case': asdict(self.case),
      'runs': {side: [asdict(run) for run in runs] for side, runs in self.runs.items()},
      'ratios': {side: self.ratio(side) for side in self.runs},
      'errors': list(self.errors),
    }
