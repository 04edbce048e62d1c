"""`recall.json`: how well models recognise each class. The sample writes it for the report."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from tfx_balance.documents.json_document import Count, Document
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue

RECALL_NAME = 'recall.json'


@dataclass(frozen=True)
class ClassRecall:
  """Recall of one class by a model.

  Attributes:
    value: The class.
    recall: Share of its tested records that the model got right; None where none was tested.
    tested: Number of tested records.
    precision: Share of the tested records that the model took for it which are of it; None where
      that is not known, or there were none.
  """

  value: ClassValue = field(metadata={'key': 'class', 'name': str})
  recall: float | None
  tested: Count
  precision: float | None = None

  def __post_init__(self) -> None:
    """Checks the shares; raises a DataError."""
    for name, share in (('recall', self.recall), ('precision', self.precision)):
      if share is not None and not 0 <= share <= 1:
        raise DataError(f'{name} is {share}, and must be from 0 to 1; divide a percentage by 100')


@dataclass(frozen=True)
class ModelRecall:
  """Recall of each class by one model.

  Attributes:
    name: Name of the model.
    recall: Recall of each class.
    accuracy: Share of all tested records that it got right; None where it is not known.
    log_loss: Mean log loss of its probabilities, in nats; None where it is not known.
  """

  name: str
  recall: tuple[ClassRecall, ...]
  accuracy: float | None = None
  log_loss: float | None = None

  @cached_property
  def by_class(self) -> dict[ClassValue, float]:
    """Recall of each class that was tested."""
    return {row.value: row.recall for row in self.recall if row.recall is not None}

  @cached_property
  def precision(self) -> dict[ClassValue, float]:
    """Precision of each class whose precision is known."""
    return {row.value: row.precision for row in self.recall if row.precision is not None}

  @cached_property
  def tested(self) -> dict[ClassValue, int]:
    """Number of tested records of each class that was tested."""
    return {row.value: row.tested for row in self.recall if row.recall is not None}

  @cached_property
  def worst(self) -> ClassValue | None:
    """The class with the lowest recall, of equal ones that with the most tested records."""
    return min(self.by_class, key=lambda v: (self.by_class[v], -self.tested[v]), default=None)

  @property
  def macro(self) -> float | None:
    """The mean recall of the classes, each counting the same; None without any."""
    return sum(self.by_class.values()) / len(self.by_class) if self.by_class else None


@dataclass(frozen=True)
class RecallDocument(Document):
  """Recall of each class of a label by models; the label is None where none is named."""

  FORMAT: ClassVar[None] = None
  VERSION: ClassVar[int] = 1

  label: str | None
  models: tuple[ModelRecall, ...]
