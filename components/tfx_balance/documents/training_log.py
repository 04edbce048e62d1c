"""`training_batches.json`: the records of each class that a model was trained on, by epoch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from tfx_balance.documents.json_document import Count, Document
from tfx_balance.plan.class_value import ClassValue

TRAINING_NAME = 'training_batches.json'


@dataclass(frozen=True)
class LoggedEpoch:
  """The batches of one epoch.

  Attributes:
    step: Step after its last batch.
    records: Records drawn of each class, [n_classes].
    repeats: Those of them that came when all of their class had been drawn in the epoch.
    augmented: Those of them that went through the augment function.
  """

  step: Count
  records: tuple[Count, ...]
  repeats: tuple[Count, ...]
  augmented: tuple[Count, ...]


@dataclass(frozen=True)
class LoggedShares:
  """Shares that were set while training: those of each class, [n_classes], from a step on."""

  step: Count
  shares: tuple[float, ...]


@dataclass(frozen=True)
class TrainingLog(Document):
  """The batches of a run by class and epoch, of all hosts together.

  Attributes:
    label: Name of the label feature; None for arrays.
    classes: Classes, in the order of all counts.
    epochs: Epochs in their order.
    changes: History of shares that were set; empty for other schedules.
  """

  FORMAT: ClassVar[str] = 'tfx_balance.training_batches'
  VERSION: ClassVar[int] = 2

  label: str | None
  classes: tuple[ClassValue, ...]
  epochs: tuple[LoggedEpoch, ...]
  changes: tuple[LoggedShares, ...] = field(default=(), metadata={'null': ()})
