"""The numbers of the report, from counts alone."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.documents.sentences import NAME_LENGTH as NAME_LENGTH
from tfx_balance.documents.sentences import short as short
from tfx_balance.documents.training_log import TrainingLog
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import imbalance_ratio
from tfx_balance.report.run_view import Fit, RunView


def clean(text: Any) -> str:
  """Returns a text that a file in UTF-8 can hold and that shows what is in it.

  Escaped are what is no character (halves of surrogate pairs) and what cannot be seen or would
  turn the text around: control characters and marks of direction.
  """
  text = str(text).encode('utf-8', 'backslashreplace').decode('utf-8')
  return re.sub(r'[^ -~\n]', lambda c: c[0] if c[0].isprintable() else _escape(c[0]), text)


def class_name(value: object) -> str:
  """Returns the name of a class, or a description where the name shows nothing.

  >>> class_name('cat'), class_name(''), class_name('  ')
  ('cat', '(empty)', '(2 spaces)')
  """
  name = clean(value)
  if name.strip():
    return name
  return f'({len(name)} space{"s" if len(name) > 1 else ""})' if name else '(empty)'


def _escape(char: str) -> str:
  return char if char == '\u200d' else char.encode('unicode_escape').decode('ascii')


def decimal(x: float | None) -> str:
  """Returns a measured number, three digits long where it is small.

  >>> decimal(0.123456), decimal(12.5), decimal(1250.0), decimal(0.0000479), decimal(None)
  ('0.123', '12.5', '1,250', '0.000048', '-')
  """
  if x is None or math.isnan(x):
    return '-'
  if math.isinf(x):
    return '∞' if x > 0 else '-∞'
  if x == int(x):
    return f'{int(x):,}'
  if abs(x) >= 1000:
    return f'{x:,.1f}'
  if abs(x) >= 0.001:
    return f'{x:.3g}'
  return f'{x:.6f}'.rstrip('0') if abs(x) >= 0.0000005 else f'{x:.1e}'


def ratio(x: float | None) -> str:
  """Returns an imbalance ratio.

  >>> ratio(1.0), ratio(20.28), ratio(float('inf')), ratio(None)
  ('1.0', '20.3', '∞', '-')
  """
  if x is None or not math.isfinite(x):
    return decimal(x)
  return f'{x:,.1f}' if x < 1000 else f'{x:,.0f}'


def signed(x: float) -> str:
  """Returns a difference with its sign.

  >>> signed(0.2), signed(-1.0), signed(0)
  ('+0.2', '-1', '0')
  """
  if round(x, 6) == 0:
    return '0'
  return ('+' if x > 0 else '-') + decimal(round(abs(x), 6))


def percent(x: float | None) -> str:
  """Returns a share as per cent; one above 0 is never shown as 0.

  >>> percent(0.5), percent(0.00001), percent(0)
  ('50.0%', '<0.1%', '0.0%')
  """
  if x is None:
    return '-'
  return '<0.1%' if 0 < x < 0.0005 else f'{x:.1%}'


def parameter(value: Any) -> str:
  """Returns a parameter's value: text as it is, everything else as JSON."""
  return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


@dataclass(frozen=True)
class Headline:
  """Main numbers of a run.

  Attributes:
    records: Number of records of the first stage.
    classes: Number of classes of the run.
    before: Imbalance ratio of what a Trainer would have read first; None where nothing says it.
    after: Imbalance ratio of what it reads in the end; None where there is but one stage.
    in_batches: Whether that is of batches that were drawn, and not of records that are there.
  """

  records: int
  classes: int
  before: float | None
  after: float | None
  in_batches: bool = False


def headline(view: RunView) -> Headline:
  """Returns the headline of a run.

  Before is the imbalance of the training data as it was split, or else of the first stage; after is
  that of the batches, where a training log tells it (of several, the most even one's), or of the
  last stage.
  """
  if not view.stages:
    return Headline(0, len(view.classes), None, None)
  first = view.stages[0]
  natural = [stage for stage in view.stages if stage.kind in ('raw', 'split')]
  before = ratio_of((natural or [first])[-1].trained, view.classes)
  drawn = [ratio for _, log in view.trainings if (ratio := _drawn_ratio(log)) is not None]
  after, last = min(drawn, default=None), view.stages[-1]
  if not drawn and last.kind in ('balanced', 'fed'):
    after = ratio_of(last.trained, view.classes if last in view.comparable else sorted(last.total))
    if last.kind == 'fed' and after == before:
      after = None  # balanced, if at all, as batches are drawn
  records = sum(split.records for split in first.splits)
  return Headline(records, len(view.classes), before, after, in_batches=bool(drawn))


def _drawn_ratio(log: TrainingLog) -> float | None:
  """Returns the imbalance ratio of all batches of a training; None where none was drawn."""
  drawn = [sum(of_class) for of_class in zip(*(epoch.records for epoch in log.epochs), strict=True)]
  return imbalance_ratio(drawn) if any(drawn) else None


def ratio_of(counts: Mapping[ClassValue, int], classes: Sequence[ClassValue]) -> float:
  """Returns the imbalance ratio over the classes; inf where one is absent."""
  return imbalance_ratio([counts.get(value, 0) for value in classes])


def worst_fit(fits: Sequence[Fit]) -> tuple[Fit, int]:
  """Returns the cell that is furthest from its ideal, and how many cells are not on it.

  A cell is on its ideal when no record could be moved towards it: less than one record away.
  """
  worst = max(fits, key=lambda fit: abs(fit.deviation))
  return worst, sum(abs(fit.deviation) >= 1 for fit in fits)
