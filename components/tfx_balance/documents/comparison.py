"""`comparison.json`: which remedy helped, of those that were compared on a person's own data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from tfx_balance.documents.json_document import Count, Document
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue

COMPARISON_NAME = 'comparison.json'
MOST_CONFUSED = 50
"""Classes up to which the confusion is kept: of 1,000 it has a million numbers."""


@dataclass(frozen=True)
class Calibration:
  """Calibration of the probabilities of the rarest class; intercept 0 and slope 1 are ideal.

  Attributes:
    intercept: Below 0 where probabilities are too high.
    slope: Below 1 where they are too extreme.
  """

  intercept: float
  slope: float


@dataclass(frozen=True)
class Gap:
  """A difference in the deciding metric, above 0 where it is better.

  Attributes:
    mean: Estimate.
    low: Lower end of its interval; None where there is none.
    high: Upper end of its interval.
  """

  mean: float
  low: float | None = None
  high: float | None = None


@dataclass(frozen=True)
class ComparedArm:
  """Results of one remedy.

  Attributes:
    name: Name of the remedy, such as 'class_weights'.
    words: What it is called in sentences.
    values: Mean over the repetitions of the folds, by metric.
    difference: Mean difference to natural batches in the deciding metric, above 0 where it is
      better; None for natural batches.
    low: Lower end of its interval; None where there is none.
    high: Upper end of its interval.
    verdict: 'helps', 'harms', 'no practical difference' or 'cannot tell'; None for natural batches.
    calibration: Of the rarest class's probabilities; None where it cannot be measured.
    to_recommended: Difference to the recommended remedy; None for that, and where natural batches
      are recommended.
    tested: Records of each class, the mean over the repetitions, [n_classes], of natural batches
      and of the recommended remedy; empty for others, as are the next three.
    assigned: Records that are put into each class.
    right: Those of them that are of the class.
    confusion: Records of class i that are put into class j, [n_classes, n_classes], of up to
      `MOST_CONFUSED` classes.
  """

  name: str
  words: str
  values: Mapping[str, float]
  difference: float | None = None
  low: float | None = None
  high: float | None = None
  verdict: str | None = None
  calibration: Calibration | None = None
  to_recommended: Gap | None = None
  tested: tuple[float, ...] = ()
  assigned: tuple[float, ...] = ()
  right: tuple[float, ...] = ()
  confusion: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class ComparisonDocument(Document):
  """Results of a comparison of remedies.

  Attributes:
    metric: Metric that decides.
    metric_words: What it is called in sentences.
    classes: Classes, in the order of `records`.
    records: Records of each class, [n_classes].
    equivalence: Difference of the metric that does not matter in practice.
    confidence: Of all intervals together, such as 0.95.
    folds: Number of folds that all remedies were measured on.
    steps: Batches that each model was trained on; None for estimators, which know it themselves.
    batch_size: Records in each of them.
    seed: Seed of folds, weights and batches.
    seconds: Time that it took.
    arms: Remedies, natural batches first.
    recommended: Name of the remedy to use.
    reason: Why, in one sentence.
    notes: What people should know beside, a sentence each.
    shift: What the recommended remedy adds to the log probabilities of each class, [n_classes].
  """

  FORMAT: ClassVar[str] = 'tfx_balance.comparison'
  VERSION: ClassVar[int] = 1

  metric: str
  metric_words: str
  classes: tuple[ClassValue, ...]
  records: tuple[Count, ...]
  equivalence: float
  confidence: float
  folds: Count
  steps: Count | None
  batch_size: Count | None
  seed: int
  seconds: float
  arms: tuple[ComparedArm, ...]
  recommended: str
  reason: str
  notes: tuple[str, ...] = field(default=(), metadata={'null': ()})
  shift: tuple[float, ...] = ()

  def __post_init__(self) -> None:
    """Checks that its parts are of the same classes and remedies; raises a DataError."""
    n, names = len(self.classes), [arm.name for arm in self.arms]
    if n == 0 or len(self.records) != n:
      raise DataError(f'records has {len(self.records)} numbers for {n} classes; give each one')
    if self.recommended not in names:
      raise DataError(f'recommended={self.recommended!r} is not one of the arms {names}; name one')
    for arm in self.arms:
      rows = arm.confusion
      if (rows and [len(row) for row in rows] != [n] * n) or any(min(row) < 0 for row in rows):
        raise DataError(f'confusion of {arm.name} must be {n} rows of {n} numbers, 0 or more')
      columns = {'tested': arm.tested, 'assigned': arm.assigned, 'right': arm.right}
      for name, column in columns.items() if any(columns.values()) else ():
        if len(column) != n or min(column) < 0:
          raise DataError(f'{name} of {arm.name} must be {n} numbers, 0 or more')

  @property
  def best(self) -> ComparedArm:
    """The recommended remedy."""
    return next(arm for arm in self.arms if arm.name == self.recommended)

  @property
  def sentence(self) -> str:
    """The recommendation and its reason."""
    return f'Use {self.recommended} ({self.best.words}). {self.reason}'
