"""BalancedBatches: balanced batches of row numbers, for loops and loaders of any framework.

Needs NumPy alone. The rows are those that `BalancedInputs` draws from the same labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from tfx_balance.arguments import check_flag, check_mapping, check_seed, check_whole
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.resume import batch_state, first_state
from tfx_balance.plan.batch_draws import BatchDraws
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.epochs import Epoch
from tfx_balance.plan.label_sets import count_label_sets
from tfx_balance.plan.labels import LabelRows, count_labels
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import Sampling, Schedule

_DRAWS_AT_A_TIME = 1 << 14


class BalancedBatches:
  """Balanced batches of row numbers, one epoch each time that it is iterated over.

  `for rows in batches: x[rows], labels[rows]` is a balanced epoch, and the next loop is the next
  one, in a fresh order. As `batch_sampler=` of torch's DataLoader, with any number of workers, it
  gives balanced batches of a map-style dataset. The batches are those of `BalancedInputs.train` on
  the same labels and arguments, bit for bit.

  Examples:
    >>> import numpy as np
    >>> labels = np.array([0] * 90 + [1] * 10)
    >>> batches = BalancedBatches(labels, batch_size=20)
    >>> len(batches), [np.bincount(labels[rows]).tolist() for rows in batches][0]
    (9, [10, 10])

  Attributes:
    epoch: Number of the epoch that the next loop gives, from 0.
  """

  def __init__(
    self,
    labels: Any,
    batch_size: int | None = None,
    strategy: str = 'exact',
    *,
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
    schedule: Schedule | None = None,
    epoch: Epoch = 'largest',
    seed: int = 0,
    classes: int | None = None,
    records: int | None = None,
    multilabel: bool = False,
    rank: int = 0,
    num_replicas: int = 1,
  ) -> None:
    """Counts the labels; see `BalancedInputs` for what the strategies are.

    Args:
      labels: [n] or [n, 1]: integers, text, bytes or integral floats; or with multilabel rows of 0
        and 1, or lists of labels, as in `BalancedInputs.from_arrays`.
      batch_size: Rows in a batch of all replicas together; None for classes times records under
        'classes_per_batch'.
      strategy: 'exact', 'weighted', 'natural' or 'classes_per_batch'.
      q: Exponent of weights records^q; 0 is balanced, 0.5 square-root sampling.
      ratios: Weight by class, every class named.
      schedule: Function of the step, from 0, that returns a q, ratios or a Mixture.
      epoch: Length of an epoch, as in `BalancedInputs.steps_per_epoch`.
      seed: Seed of all draws.
      classes: Number of classes in each batch of 'classes_per_batch'.
      records: Number of rows of each class there, next to each other in the batch.
      multilabel: Whether a row has several labels, or none.
      rank: Number of this replica, from 0: of each batch it gets its own part.
      num_replicas: Number of replicas that train together.

    Raises:
      ConfigError: if an argument breaks a rule.
      DataError: if the labels are no classes.
    """
    sets = LabelRows.of(labels) if check_flag('multilabel', multilabel) else None
    counts, self._rows = count_labels(labels) if sets is None else count_label_sets(sets)
    sampling = Sampling(strategy, q, ratios, schedule, classes, records)
    size = sampling.batch_size(batch_size, counts)
    replicas = check_whole('num_replicas', num_replicas, 1)
    self._part = size // replicas
    together = sampling.records or 1
    if size % (replicas * together):
      raise ConfigError(
        f'batch_size={size} is that of all {replicas} replicas together and must be a multiple of '
        f'{replicas * together}; give such a number'
      )
    self._first = check_whole('rank', rank, 0, replicas - 1) * self._part
    windows = tuple((n,) for n in counts.records)
    self._draws = BatchDraws.of(sampling, counts, windows, size, epoch, check_seed(seed))
    self._steps = self._draws.epoch_steps
    self._state = self._draws.start()
    self._step = self._begin = 0

  @property
  def classes(self) -> tuple[Any, ...]:
    """The classes in canonical order: int, float or bytes, or tuples of these for label sets."""
    return tuple(map(_plain, self._draws.weights.counts.classes))

  @property
  def epoch(self) -> int:
    """The number of the epoch that the next loop gives, from 0."""
    return self._begin // self._steps

  def __len__(self) -> int:
    """Returns the number of batches of an epoch."""
    return self._steps

  def __iter__(self) -> Iterator[Ints]:
    """Yields the rows of each batch of an epoch that this replica gets: int64 [B].

    A loop that is left early begins the same epoch again, but for `load_state_dict`.
    """
    step = self._step = self._begin
    end = step - step % self._steps + self._steps
    if int(self._state.step) != step:
      self._state = first_state(self._draws, step, None)()
    state = self._state
    while step < end:
      n = min(end - step, max(1, _DRAWS_AT_A_TIME // self._draws.batch_size))
      records, state = self._draws.records(state, n)
      rows = self._rows[records[:, self._first : self._first + self._part]]
      for batch in rows:
        step += 1
        self._step = step
        if step == end:
          self._begin, self._state = end, state
        yield batch

  def set_epoch(self, epoch: int) -> None:
    """Sets the epoch that the next loop gives, from 0; the same in all replicas.

    Raises:
      ConfigError: if it is no whole number.
    """
    epoch = check_whole('epoch', epoch, 0)
    if epoch != self.epoch:
      self._begin = self._step = epoch * self._steps

  def state_dict(self, step: int | None = None) -> dict[str, Any]:
    """Returns where the batches are, to go on in another process: the same for all replicas.

    Args:
      step: Number of batches since the first epoch that were trained on; None for those that were
        given. A loader with workers takes batches before they are due: give the number there.

    Raises:
      ConfigError: if the step is no whole number.
    """
    at = self._step if step is None else check_whole('step', step, 0)
    return {'batch_state': batch_state(self._draws, at, None).dumps()}

  def load_state_dict(self, state: Mapping[str, Any]) -> None:
    """Has the next loop begin where the batches were when `state_dict` was called.

    Raises:
      ConfigError: if the state is of other labels or arguments.
      DataError: if it is none.
    """
    text = check_mapping('state', state, 'the dict of state_dict()').get('batch_state', '')
    self._state = first_state(self._draws, None, text)()
    self._begin = self._step = int(self._state.step)


def _plain(value: ClassValue) -> Any:
  """Returns the value of a class, of a label set those of its labels."""
  return tuple(map(_plain, value.value)) if isinstance(value.value, tuple) else value.value
