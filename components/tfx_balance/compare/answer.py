"""The answer of a comparison: what people read, and what they paste."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from tfx_balance.arguments import check_path, check_seed, check_whole
from tfx_balance.compare.answer_html import answer_html
from tfx_balance.compare.answer_text import answer_text
from tfx_balance.compare.arms import ARMS, Floats
from tfx_balance.compare.fitted import Classifier
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.suspects import Suspect, suspects
from tfx_balance.compare.trainers import Trainer
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.documents.sentences import signed_difference
from tfx_balance.errors import DataError
from tfx_balance.modes.cross_validation import StratifiedSplits
from tfx_balance.plan.labels import label_codes
from tfx_balance.plan.ranks import Ints
from tfx_balance.tfrecord.storage import write_whole

if TYPE_CHECKING:
  from tfx_balance.inputs.losses import Loss


@dataclass(frozen=True, repr=False)
class Answer:
  """Result of a comparison: the remedy that helps, its gain and interval. `print(answer)` shows it.

  Attributes:
    document: All that was found, which `to_json` writes.
    remedy: The recommended remedy.
    trainer: Trainer of the compared models.
    labels: Index of each record's class, int64 [n].
    log_p: Mean log probabilities of natural models that were not trained on a record, float64
      [n, n_classes]; NaN for records that none tested.
    classes: Values of the classes, as y had them, [n_classes].
  """

  document: ComparisonDocument
  remedy: Remedy
  trainer: Trainer = field(compare=False)
  labels: Ints = field(compare=False)
  log_p: Floats = field(compare=False)
  classes: Any = field(compare=False)

  @property
  def verdicts(self) -> dict[str, str]:
    """'helps', 'harms', 'no practical difference' or 'cannot tell', by remedy."""
    return {arm.name: arm.verdict for arm in self.document.arms if arm.verdict is not None}

  @property
  def train(self) -> dict[str, Any]:
    """Arguments of `BalancedInputs.train` for the recommended remedy."""
    return self.remedy.train

  @property
  def loss(self) -> Loss:
    """Loss of class indices and logits for the recommended remedy."""
    return self.remedy.loss

  @property
  def class_weight(self) -> dict[int, float] | None:
    """Class weights of `fit` for the recommended remedy; None where it has none."""
    return self.remedy.class_weight

  def fit(self, x: Any, y: Any, *, average: int | None = None, seed: int = 0) -> Classifier:
    """Returns a classifier that was trained on data with the recommended remedy.

    Args:
      x: Features, as `compare` took them.
      y: [n], class of each record, of the classes that were compared.
      average: Number of models whose mean probability counts, each trained on all but one of as
        many folds; None for 5 where a mean is recommended, or else for one model of all records.
      seed: Seed of folds, weights and batches.

    Raises:
      ConfigError: if an argument breaks a rule.
      DataError: if y has other classes.
    """
    remedy = self.remedy
    average = remedy.average if average is None else check_whole('average', average)
    seed = check_seed(seed)
    counts, codes = label_codes(y, 'y')
    labels = codes.astype(np.int64)
    if counts.classes != remedy.classes:
      raise DataError(
        f'y has the classes {list(map(str, counts.classes))}, and those that were compared are '
        f'{list(map(str, remedy.classes))}; give data of the same classes'
      )
    parts = [np.arange(len(labels))]
    if average > 1:
      parts = [rows for rows, _ in StratifiedSplits(average, seed).split(labels, labels)]
    trained = self.trainer.remedies[ARMS[remedy.name].trained_as or remedy.name]
    seeds = np.random.SeedSequence(seed % 2**63).generate_state(len(parts)).tolist()
    models = [
      self.trainer.fit(x, labels, rows, trained, own)
      for rows, own in zip(parts, seeds, strict=True)
    ]
    return Classifier(remedy, models, self.classes)

  def attach(self, model: Any) -> Any:
    """Returns a Keras model that decides as the recommended remedy does; see `Remedy.attach`."""
    return self.remedy.attach(model)

  def suspects(self, n: int = 50) -> list[Suspect]:
    """Returns the records whose labels most look wrong; see `tfx_balance.compare.suspects`."""
    values = self.classes.tolist()
    return [
      one._replace(label=values[one.label], likely=values[one.likely])
      for one in suspects(self.log_p, self.labels, n)
    ]

  def to_json(self) -> dict[str, Any]:
    """Returns all that was found as JSON data."""
    return self.document.to_json()

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes it to a JSON file, such as `comparison.json`, which the report reads."""
    write_whole(check_path('path', path), self.document.dumps().encode('utf-8'))

  def __str__(self) -> str:
    return answer_text(self.document)

  def _repr_html_(self) -> str:
    return answer_html(self.document)

  def __repr__(self) -> str:
    arm = self.document.best
    gain = '' if arm.difference is None else f', {signed_difference(arm.difference)} {arm.verdict}'
    return (
      f'Answer({arm.name}: {self.document.metric} {arm.values[self.document.metric]:.3f}{gain})'
    )
