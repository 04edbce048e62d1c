"""Lengths of an epoch, and of a run that stops by itself, from the counts of the classes alone."""

from __future__ import annotations

import numpy as np

from tfx_balance.arguments import check_whole
from tfx_balance.errors import ConfigError
from tfx_balance.plan.adjustable_shares import AdjustableShares
from tfx_balance.plan.sampling import Sampling, ScheduledWeights, TrainingCounts

Epoch = str | int
"""One of EPOCHS, or a number of batches."""
EPOCHS = ('largest', 'smallest', 'first_exhausted', 'all_exhausted')
"""When the largest or the smallest class was gone through, or the first of the classes, or all."""
_LONGEST_SEARCH = 1_000_000  # batches


def epoch_steps(
  sampling: Sampling,
  counts: TrainingCounts,
  batch_size: int | None,
  epoch: Epoch,
  name: str = 'epoch',
) -> int:
  """Returns the batches of an epoch; of the first one, where a schedule changes the shares.

  They are the fewest that surely show all records of the class that `epoch` names: t batches of
  exact quotas hold floor(t B w) records of a class or more. Classes of weight 0 are never shown and
  do not count. Under 'classes_per_batch', as many records of the class are drawn as it has; under
  'natural', an epoch is a pass over all the records, whichever word is given.

  >>> from tfx_balance.plan.class_value import ClassValue
  >>> two = TrainingCounts((ClassValue('int', 0), ClassValue('int', 1)), (90, 10))
  >>> epoch_steps(Sampling('exact'), two, batch_size=20, epoch='largest')
  9
  >>> rare = Sampling('exact', ratios={0: 19, 1: 1})
  >>> [epoch_steps(rare, two, 20, word) for word in EPOCHS]
  [5, 10, 5, 10]

  Args:
    sampling: Sampling of the batches.
    counts: Classes and their records.
    batch_size: Records of a batch; None for that of 'classes_per_batch'.
    epoch: One of EPOCHS, or a number of batches, which is returned.
    name: Name of the argument, for messages.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  batch_size = sampling.batch_size(batch_size, counts)
  if not isinstance(epoch, str) or epoch not in EPOCHS:
    return check_whole(name, epoch, fix=f'or one of {list(EPOCHS)}')
  if sampling.strategy == 'natural':
    return -(-sum(counts.records) // batch_size)
  if isinstance(sampling.schedule, AdjustableShares):  # nobody knows its later shares yet
    first = sampling.schedule.changes[0]
    sampling = Sampling(sampling.strategy, first.q, first.ratios)
  if sampling.strategy == 'classes_per_batch':
    assert sampling.classes is not None
    assert sampling.records is not None
    extreme = max if epoch in ('largest', 'all_exhausted') else min
    rounds = -(-extreme(counts.records) // sampling.records)
    return -(-rounds * len(counts.classes) // sampling.classes)
  if sampling.schedule is not None:
    return _scheduled_steps(sampling.weights(counts), batch_size, epoch, name)
  weights = sampling.constant(counts)
  total = sum(weights)
  steps = [  # of each class, with its records
    (n, -(-n * total // (batch_size * w))) for n, w in zip(*counts.units(weights), strict=True) if w
  ]
  if epoch in ('largest', 'smallest'):
    size = (max if epoch == 'largest' else min)(n for n, _ in steps)
    return max(own for n, own in steps if n == size)
  return (min if epoch == 'first_exhausted' else max)(own for _, own in steps)


def _scheduled_steps(
  weights: ScheduledWeights, batch_size: int, epoch: str, name: str, longest: int = _LONGEST_SEARCH
) -> int:
  """Returns the first step by which the shares of what `epoch` names add up to its records."""
  counts = weights.counts
  records = np.array(counts.units(counts.records)[0], np.float64)
  named = np.flatnonzero(records)
  if epoch in ('largest', 'smallest'):
    named = named[[(np.argmax if epoch == 'largest' else np.argmin)(records[named])]]
  exhausted = np.any if epoch == 'first_exhausted' else np.all
  left, now, gone = records[named], None, np.zeros(len(named))
  for step in range(longest):
    if weights.at(step) is not now:
      now = weights.at(step)
      gone = batch_size * np.array(counts.units(now)[1], np.float64)[named] / sum(now)
    left = left - gone
    if exhausted(left <= 0):
      return step + 1
  raise ConfigError(
    f'under this schedule {name}={epoch!r} is not reached in {longest} batches; give '
    f'{name}= as a number of batches'
  )
