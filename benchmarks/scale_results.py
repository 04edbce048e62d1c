"""What the scale benchmark measured, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.data import DataSpec
from benchmarks.measure import Measured


@dataclass(frozen=True)
class CaseResult:
  """What was measured on one case.

  Attributes:
    case: the case.
    raw_bytes: of its files, decompressed.
    file_bytes: of its files, as they are.
    run: None where it failed. Its result is what `Meter` counts.
    errors: of a run that failed.
  """

  case: DataSpec
  raw_bytes: int
  file_bytes: int
  run: Measured | None
  errors: tuple[str, ...] = ()

  @property
  def microseconds(self) -> float | None:
    """Core-microseconds a record, which are core-seconds a million records."""
    return None if self.run is None else self.run.cpu_seconds / self.case.records * 1e6

  @property
  def shuffled(self) -> int | None:
    """Bytes that went from one stage of the Beam pipeline to the next."""
    return None if self.run is None else int(self.run.result['shuffled'])

  @property
  def read(self) -> int | None:
    """Bytes read from files, work files included."""
    return None if self.run is None else sum(self.run.result['read'].values())

  @property
  def written(self) -> int | None:
    """Bytes written to files, work files included."""
    return None if self.run is None else sum(self.run.result['written'].values())

  def to_json(self) -> dict[str, Any]:
    """Returns all of it, raw."""
    return {
      'case': asdict(self.case),
      'raw_bytes': self.raw_bytes,
      'file_bytes': self.file_bytes,
      'run': None if self.run is None else asdict(self.run),
      'errors': list(self.errors),
    }

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> CaseResult:
    """Returns what `to_json` has written."""
    run = None if data['run'] is None else Measured(**data['run'])
    return cls(
      DataSpec(**data['case']), data['raw_bytes'], data['file_bytes'], run, tuple(data['errors'])
    )


def read_results(path: Path) -> tuple[CaseResult, ...]:
  """Returns what `benchmarks/scale.py --json` wrote to a file, of cases that did not fail."""
  cases = json.loads(path.read_text(encoding='utf-8'))['cases']
  return tuple(CaseResult.from_json(case) for case in cases if not case['errors'])


@dataclass(frozen=True)
class Series:
  """Cases that differ in one thing only, such as 'records', smallest first."""

  what: str
  results: Sequence[CaseResult]

  @property
  def growth(self) -> float:
    """How much more a record costs in the largest case than in the smallest: 0.2 is a fifth."""
    first, last = self.results[0].microseconds, self.results[-1].microseconds
    return last / first - 1 if first and last else float('nan')

  @property
  def memory_growth(self) -> int:
    """Bytes that the largest case's peak is above the smallest's."""
    first, last = self.results[0].run, self.results[-1].run
    return last.peak_bytes - first.peak_bytes if first and last else 0


def series(results: Sequence[CaseResult]) -> list[Series]:
  """Returns the longest series in which only the records, classes or shards differ."""
  found = []
  for what in ('records', 'classes', 'shards'):
    groups: dict[tuple[Any, ...], list[CaseResult]] = {}
    for result in results:
      fixed = tuple(v for name, v in asdict(result.case).items() if name != what)
      if result.run is not None:
        groups.setdefault(fixed, []).append(result)
    longest = max(groups.values(), key=len, default=[])
    if len(longest) > 1:
      found.append(Series(what, sorted(longest, key=lambda r: getattr(r.case, what))))
  return found
