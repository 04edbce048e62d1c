"""The numbers of the report, from counts alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import imbalance_ratio, jensen_shannon, l_infinity
from tfx_balance.report.run_view import Fit, RunView, Stage


@dataclass(frozen=True)
class SplitSummary:
  """One split of one stage in numbers.

  Attributes:
    stage: Title of the stage.
    split: Name of the split.
    records: Number of records, those without a class included.
    classes: Number of classes that have one record or more.
    absent: Number of classes of the stage that have none.
    largest: Largest class; None where there is nothing.
    smallest: Smallest class of those that have records; None where there is nothing.
    ratio: Largest over smallest class; inf where a class is absent, nan where there is nothing.
    note: What else there is to say.
  """

  stage: str
  split: str
  records: int
  classes: int
  absent: int
  largest: tuple[ClassValue, int] | None
  smallest: tuple[ClassValue, int] | None
  ratio: float
  note: str = ''


def summaries(stage: Stage) -> list[SplitSummary]:
  """Returns a summary of each split of a stage."""
  classes = sorted(stage.total)
  found = []
  for split in stage.splits:
    column = split.column(classes)
    there = [(value, n) for value, n in zip(classes, column, strict=True) if n]
    note = f'{split.unlabelled:,} without a class' if split.unlabelled else ''
    found.append(
      SplitSummary(
        stage.title,
        split.name,
        split.records,
        len(there),
        len(classes) - len(there),
        max(there, key=lambda cell: cell[1], default=None),
        min(there, key=lambda cell: cell[1], default=None),
        imbalance_ratio(column),
        note,
      )
    )
  return found


@dataclass(frozen=True)
class Divergence:
  """How far the classes of a split are from those of the first stage, and from equal shares.

  Attributes:
    stage: Title of the stage.
    split: Name of the split.
    l_infinity: Largest change of a class's share, 0 to 1.
    class_name: Class whose share changed most.
    jensen_shannon: Divergence in bits, 0 to 1.
    from_equal: Largest distance of a class's share from one n-th.
  """

  stage: str
  split: str
  l_infinity: float
  class_name: str
  jensen_shannon: float
  from_equal: float


def divergences(view: RunView) -> list[Divergence]:
  """Returns the divergences of every split that has records from the whole of the first stage."""
  found: list[Divergence] = []
  if not view.comparable:
    return found
  first = view.comparable[0]
  reference = [first.total.get(value, 0) for value in view.classes]
  for stage in view.comparable:
    for split in stage.splits:
      column = split.column(view.classes)
      if not sum(column) or column == reference:
        continue
      found.append(
        Divergence(
          stage.title,
          split.name,
          l_infinity(column, reference),
          str(view.classes[_most_changed(column, reference)]),
          jensen_shannon(column, reference),
          l_infinity(column, [1] * len(column)),
        )
      )
  return found


def _most_changed(column: Sequence[int], reference: Sequence[int]) -> int:
  """Returns the index of the class whose share changed most; the first of several."""
  total, whole = sum(column), sum(reference)
  changes = [abs(n * whole - m * total) for n, m in zip(column, reference, strict=True)]
  return changes.index(max(changes))


@dataclass(frozen=True)
class Headline:
  """What matters most.

  Attributes:
    records: Number of records of the first stage.
    classes: Number of classes of the run.
    before: Imbalance ratio of what a Trainer would have read first; None where nothing says it.
    after: Imbalance ratio of what it reads in the end; None where there is but one stage.
  """

  records: int
  classes: int
  before: float | None
  after: float | None


def headline(view: RunView) -> Headline:
  """Returns the headline of a run.

  Before is the imbalance of the training data as it was split, or else of the first stage; after is
  that of the last stage.
  """
  if not view.stages:
    return Headline(0, len(view.classes), None, None)
  first = view.stages[0]
  natural = [stage for stage in view.stages if stage.kind in ('raw', 'split')]
  before = ratio_of((natural or [first])[-1].trained, view.classes)
  made = [stage for stage in view.stages if stage.kind in ('balanced', 'fed')]
  after = None
  if made:
    last = made[-1]
    after = ratio_of(last.trained, view.classes if last in view.comparable else sorted(last.total))
  records = sum(split.records for split in first.splits)
  return Headline(records, len(view.classes), before, after)


def ratio_of(counts: Mapping[ClassValue, int], classes: Sequence[ClassValue]) -> float:
  """Returns the imbalance ratio over the classes; inf where one is absent."""
  return imbalance_ratio([counts.get(value, 0) for value in classes])


def worst_fits(fits: Sequence[Fit]) -> dict[str, tuple[Fit, int]]:
  """Returns, by split, the cell that is furthest from its ideal, and how many cells are not on it.

  A cell is on its ideal when no record could be moved towards it: less than one record away.
  """
  worst: dict[str, tuple[Fit, int]] = {}
  for fit in fits:
    known, off = worst.get(fit.split, (fit, 0))
    off += abs(fit.deviation) >= 1
    further = abs(fit.deviation) > abs(known.deviation)
    worst[fit.split] = (fit if further else known, off)
  return worst


def wilson(share: float, n: int, z: float = 1.96) -> tuple[float, float]:
  """Returns the interval that a share of n records is in, at 95% confidence; Wilson 1927.

  Args:
    share: Measured share, 0 to 1.
    n: Number of records.
    z: Quantile of the normal distribution.
  """
  if n <= 0:
    return 0.0, 1.0
  middle = (share + z * z / (2 * n)) / (1 + z * z / n)
  half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
  return max(0.0, middle - half), min(1.0, middle + half)
