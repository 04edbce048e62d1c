"""What the augmentation benchmark measured, and what follows from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from benchmarks.measure import Measured, median, most_other_cores

PEERS = ('peer', 'lean peer')


@dataclass(frozen=True)
class Case:
  """What is to be measured.

  Attributes:
    name: of the input, for people.
    source: the piece that makes the input files, and `source_arguments`, what it takes.
    pieces: side to the piece that is timed: 'peer', maybe 'lean peer', 'component', 'transform'.
    arguments: of every side's piece, besides the files, a folder and Beam's.
    at_least: times the peer's records a second that are aimed at.
  """

  name: str
  source: str
  source_arguments: Mapping[str, Any]
  pieces: Mapping[str, str]
  arguments: Mapping[str, Any]
  at_least: float


@dataclass(frozen=True)
class CaseResult:
  """What was measured on one case.

  Attributes:
    case: the case.
    runs: side to its runs; the result of each is class to records that came out.
    errors: of runs that failed.
  """

  case: Case
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

  def records(self, side: str) -> int | None:
    """Returns the records that came out of a side's first run; None if all failed."""
    return next((sum(run.result.values()) for run in self.runs[side]), None)

  def records_per_second(self, side: str) -> float | None:
    """Returns the median of a side's records that came out in a second; None if all runs failed."""
    return median([sum(run.result.values()) / run.seconds for run in self.runs[side]])

  def ratio(self, side: str, to: str = 'peer') -> float | None:
    """Returns how many times the throughput of another side one has; None if either failed."""
    peer, own = self.records_per_second(to), self.records_per_second(side)
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
      'ratios': {to: self.ratio('component', to) for to in PEERS if to in self.runs},
      'errors': list(self.errors),
    }
