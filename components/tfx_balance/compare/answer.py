"""The answer of a comparison: what people read, and what they paste."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.arguments import check_path
from tfx_balance.compare.arms import NATURAL, THRESHOLD
from tfx_balance.compare.intervals import CANNOT_TELL, FEWEST_RECORDS, HELPS
from tfx_balance.compare.judging import EQUIVALENT_PART
from tfx_balance.compare.metrics import METRICS
from tfx_balance.compare.remedy import Remedy
from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument
from tfx_balance.documents.sentences import signed_difference
from tfx_balance.inputs.losses import Loss
from tfx_balance.tfrecord.storage import write_whole

DEFAULTS = {
  'macro_recall': THRESHOLD,
  'worst_class': THRESHOLD,
  'average_precision': NATURAL,
  'macro_f1': THRESHOLD,
  'log_loss': NATURAL,
  'brier': NATURAL,
  'cost': NATURAL,
}
"""What is recommended where a person's own data cannot tell; see docs/which-remedy.md."""


@dataclass(frozen=True)
class Answer:
  """Which remedy helps, by how much, and how sure that is. `print(answer)` shows it.

  Attributes:
    document: All that was found, which `to_json` writes.
    remedy: The recommended remedy.
  """

  document: ComparisonDocument
  remedy: Remedy

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

  def attach(self, model: Any) -> Any:
    """Returns a model that decides as the recommended remedy does; see `Remedy.attach`."""
    return self.remedy.attach(model)

  def to_json(self) -> dict[str, Any]:
    """Returns all that was found as JSON data."""
    return self.document.to_json()

  def save(self, path: str | os.PathLike[str]) -> None:
    """Writes it to a JSON file, such as `comparison.json`, which the report reads."""
    write_whole(check_path('path', path), self.document.dumps().encode('utf-8'))

  def __str__(self) -> str:
    return answer_text(self.document)


def recommend(arms: Sequence[ComparedArm], metric: str) -> tuple[str, str]:
  """Returns the name of the arm to use, and why.

  Of those that help, it is the one with the best estimate. Where none does, it is what `DEFAULTS`
  has for the metric if the data cannot tell of that one, or else natural batches.

  Args:
    arms: Arms, natural batches first.
    metric: Deciding metric.
  """
  words = METRICS[metric].words
  helping = [arm for arm in arms if arm.verdict == HELPS]
  if helping:
    best = max(helping, key=lambda arm: arm.difference or 0)
    more = 'higher' if METRICS[metric].higher else 'lower'
    by = f'{abs(best.values[metric] - arms[0].values[metric]):.3f}'
    return best.name, f'It helps: {words} is {by} {more} than with natural batches.'
  default = next((arm for arm in arms if arm.name == DEFAULTS[metric]), arms[0])
  if default.verdict == CANNOT_TELL:
    return default.name, (
      f'The data cannot tell; {default.words} are what is usually best for {words} on other data.'
    )
  unknown = any(arm.verdict == CANNOT_TELL for arm in arms)
  return (
    NATURAL,
    f'Nothing is {"known to be " if unknown else ""}better for {words} than natural batches.',
  )


def answer_text(found: ComparisonDocument) -> str:
  """Returns the tables, the recommendation and the notes."""
  natural = found.arms[0]
  width = max(len(arm.name) for arm in found.arms)
  lines = [
    f'{found.metric_words} of {len(found.classes)} classes, {sum(found.records):,} records, '
    f'{min(found.records):,} of the rarest; {found.folds} folds, {found.steps:,} batches of '
    f'{found.batch_size}, {found.seconds:,.0f} s',
    '',
    f'{"":{width}}  {"mean":>7}  {"gain":>7}  {"interval":^18}  verdict',
  ]
  for arm in found.arms:
    line = f'{arm.name:{width}}  {arm.values[found.metric]:7.3f}'
    if arm.difference is not None:
      line += f'  {signed_difference(arm.difference):>7}  {_interval(arm):^18}  {arm.verdict}'
    lines.append(line)
  shown = [name for name in natural.values if name != found.metric]
  lines += ['', f'{"":{width}}  ' + '  '.join(f'{name:>{_wide(name)}}' for name in shown)]
  for arm in found.arms:
    cells = '  '.join(f'{arm.values[name]:{_wide(name)}.3f}' for name in shown)
    lines.append(f'{arm.name:{width}}  {cells}')
  lines += ['', *_wrapped([f'Use {found.recommended}. {found.reason}', *found.notes])]
  return '\n'.join(lines)


def notes_of(found: Sequence[ComparedArm], recommended: str, few: int) -> Iterator[str]:
  """Yields what people should know beside the verdicts.

  Args:
    found: Arms, natural batches first.
    recommended: Name of the recommended arm.
    few: Number of records of the rarest class.
  """
  if few < FEWEST_RECORDS:
    yield f'{few} records of the rarest class are too few to tell; {FEWEST_RECORDS} are needed.'
  natural, best = found[0], next(arm for arm in found if arm.name == recommended)
  if best.values['log_loss'] > (1 + EQUIVALENT_PART) * natural.values['log_loss']:
    yield (
      f'Its probabilities are worse: log loss {best.values["log_loss"]:.3f}, '
      f'{natural.values["log_loss"]:.3f} with natural batches. Where probabilities are used, keep '
      f'a model of natural batches for them.'
    )


def _interval(arm: ComparedArm) -> str:
  if arm.low is None or arm.high is None:
    return '-'
  return f'[{signed_difference(arm.low)}, {signed_difference(arm.high)}]'


def _wide(name: str) -> int:
  return max(len(name), 7)


def _wrapped(sentences: Sequence[str]) -> list[str]:
  return [line for sentence in sentences for line in textwrap.wrap(sentence, 96)]
