"""The remedy to use, why, and what people should know beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from tfx_balance.compare.arms import ARMS, NATURAL
from tfx_balance.compare.intervals import CANNOT_TELL, FEWEST_RECORDS, HELPS
from tfx_balance.compare.judging import EQUIVALENT_PART, Judged, equivalence
from tfx_balance.compare.metrics import Measures
from tfx_balance.documents.comparison import ComparedArm
from tfx_balance.documents.sentences import signed_difference

NEAR = 0.5
"""Part of the region of equivalence by which an estimate may be behind the best for less effort.

In the nested study of `python -m benchmarks remedies`, on ten tables, networks and logistic models
were 0.3 to 0.6 points of macro recall and F1 worse with the whole of it, and with a quarter neither
better nor worse by more than chance.
"""
FEWEST_TO_SETTLE, MOST_TO_SETTLE = 10, 10
"""Least records of the rarest class, and most times as many, for which a number is named."""


def simplest(judged: Mapping[str, Judged], measures: Measures, metric: str) -> str:
  """Returns the name of the simplest arm that is as good as the best in practice.

  Of the arms whose estimate is behind the best one by no more than `NEAR`, it is that of the least
  effort. None is below the estimate of natural batches, or puts all records into
  one class where another does not.

  Args:
    judged: What was found for each arm.
    measures: What measures.
    metric: Deciding metric.
  """
  sign = 1 if measures.metrics[metric].higher else -1
  values = {name: sign * one.values[metric] for name, one in judged.items()}
  natural = values[NATURAL]
  near_best = NEAR * equivalence(measures, metric, natural)
  possible = {
    name: value
    for name, value in values.items()
    if name == NATURAL or (value > natural and not judged[name].collapsed)
  }
  best = max(possible.values())
  near = [name for name, value in possible.items() if value >= best - near_best]
  return min(near, key=lambda name: (ARMS[name].effort, -possible[name]))


def reason(arm: ComparedArm, arms: Sequence[ComparedArm], words: str, higher: bool) -> str:
  """Returns why an arm is the one to use, in a sentence or two.

  Args:
    arm: Recommended arm.
    arms: All arms, natural batches first.
    words: Name of the deciding metric in sentences.
    higher: Whether more of it is better.
  """
  if arm.difference is None:
    others = [other for other in arms if other.difference is not None and other.difference > 0]
    if not others:
      return f'No remedy has a better {words} than natural batches.'
    best = max(others, key=lambda other: other.difference or 0)
    return (
      f'No remedy is better by enough to matter: the best estimate, of {best.name}, is '
      f'{best.difference:.3f} better in {words}.'
    )
  by = (
    f'{words} is {arm.difference:.3f} {"higher" if higher else "lower"} than with natural batches'
  )
  if arm.verdict == HELPS:
    return f'It helps: {by}.'
  unsure = ', but the data cannot tell that from no difference' * (arm.verdict == CANNOT_TELL)
  return f'It is the simplest of the best estimates: {by}{unsure}.'


def notes(
  judged: Mapping[str, Judged], recommended: str, few: int, measures: Measures, metric: str
) -> Iterator[str]:
  """Yields warnings beside the verdicts, a sentence each.

  Args:
    judged: What was found for each arm.
    recommended: Name of the recommended arm.
    few: Number of records of the rarest class.
    measures: What measures.
    metric: Deciding metric.
  """
  if few < FEWEST_RECORDS and not measures.metrics[metric].of_all:
    yield f'{few} records of the rarest class are too few to tell; {FEWEST_RECORDS} are needed.'
  collapsed = [name for name, one in judged.items() if one.collapsed]
  if collapsed:
    yield f'{", ".join(collapsed)}: all records are put into one class.'
  natural, own = (judged[name].values['log_loss'] for name in (NATURAL, recommended))
  if own > (1 + EQUIVALENT_PART) * natural:
    yield (
      f'The probabilities of {recommended} are worse: log loss {own:.3f}, {natural:.3f} with '
      f'natural batches. Where probabilities are used, keep a model of natural batches for them.'
    )


def to_settle(arms: Sequence[ComparedArm], recommended: str, few: int) -> Iterator[str]:
  """Yields the number of records that would tell if the best arm helps, where the data cannot.

  The width of an interval falls with the square root of the records; the range is half and twice
  the number at which it would no longer hold 0. Nothing is said where that cannot be estimated from
  so few records, or is far beyond them.

  Args:
    arms: All arms.
    recommended: Name of the recommended arm.
    few: Number of records of the rarest class.
  """
  others = [arm for arm in arms if arm.difference is not None]
  own = [arm for arm in others if arm.name == recommended]
  arm = max(own or others, key=lambda arm: arm.difference or 0)
  mean, low, high = arm.difference, arm.low, arm.high
  if (
    arm.verdict != CANNOT_TELL or few < FEWEST_TO_SETTLE or not mean or low is None or high is None
  ):
    return
  factor = ((high - low) / 2 / abs(mean)) ** 2
  if 1 < factor <= MOST_TO_SETTLE:
    least, most = round_two(few * max(factor / 2, 1)), round_two(few * factor * 2)
    yield (
      f'About {least:,} to {most:,} records of the rarest class would tell a difference of '
      f'{signed_difference(mean)} ({arm.name}); there are {few:,}.'
    )


def round_two(number: float) -> int:
  """Returns a number of two significant digits, rounded up."""
  unit = 10 ** max(math.floor(math.log10(number)) - 1, 0)
  return math.ceil(number / unit) * unit
