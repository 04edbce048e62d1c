"""The folds of a comparison: what is trained and tested, and what a trainer gives back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tfx_balance.compare.arms import Floats
from tfx_balance.compare.processes import call_in_processes
from tfx_balance.compare.remedy import Remedy
from tfx_balance.errors import DataError
from tfx_balance.modes.cross_validation import StratifiedSplits
from tfx_balance.plan.arrays import read_column
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts

N_FOLDS, N_REPEATS = 5, 5


class OutOfTimeError(Exception):
  """The time of a comparison is up."""


@dataclass(frozen=True)
class Task:
  """One fold to train and test.

  Attributes:
    repeat: Number of the repetition.
    seed: Seed of the weights and of the batches.
    trained: Records to train on, int64.
    tested: Records to test, int64.
  """

  repeat: int
  seed: int
  trained: Ints
  tested: Ints


@dataclass(frozen=True)
class Fold:
  """Scores of one fold's records.

  Attributes:
    repeat: Number of the repetition that it is a fold of.
    rows: Records that were tested, int64 [n].
    counts: Records of each class that were trained on, int64 [n_classes].
    log_p: Log probabilities by arm, float64 [n, n_classes], -inf where they are 0.
  """

  repeat: int
  rows: Ints
  counts: Ints
  log_p: Mapping[str, Floats]

  @property
  def log_prior(self) -> Floats:
    """Log share of each class in what was trained on, float64 [n_classes]."""
    return np.log(self.counts / self.counts.sum())


class Fitted(Protocol):
  """A model that was trained."""

  def log_p(self, x: Any) -> Floats:
    """Returns log probabilities of records: float64 [n, n_classes]."""


class Trainer(Protocol):
  """Trains a kind of models on records that it holds; it knows neither metrics nor verdicts."""

  @property
  def remedies(self) -> Mapping[str, Remedy]:
    """Remedies by arm, of those that it can train."""

  @property
  def left_out(self) -> Sequence[str]:
    """Why arms are left out, a sentence each."""

  def folds(self, tasks: Sequence[Task], processes: int) -> Iterator[Fold]:
    """Yields the scores of folds as they are done, and ends early when time is up."""

  def fit(self, x: Any, labels: Ints, rows: Ints, remedy: Remedy, seed: int) -> Fitted:
    """Returns a model that was trained on rows of records with the remedy of a trained arm."""

  def settings(self, arms: Collection[str]) -> Mapping[str, Trainer]:
    """Returns trainers of these arms with other settings, by words for them."""


def train_folds(
  trainer: Any, tasks: Sequence[Task], processes: int, begin: Callable[[], None] | None = None
) -> Iterator[Fold]:
  """Yields the scores of folds as they are done, and ends early when time is up.

  Args:
    trainer: Trainer that is a dataclass with `features`, `labels` and a method `fold` of a task,
      which returns None when time is up.
    tasks: Folds.
    processes: Number of processes; 1 for this one.
    begin: Function that prepares another process for a fold; None for nothing to prepare.
  """
  if processes == 1:
    done: Iterator[Fold | None] = map(trainer.fold, tasks)
  else:
    rest = replace(trainer, features=None, labels=np.empty(0, np.int64))
    data = (trainer.features, trainer.labels)
    done = call_in_processes(partial(_in_process, rest, begin), data, tasks, processes)
  for fold in done:
    if fold is not None:
      yield fold


def _in_process(
  trainer: Any, begin: Callable[[], None] | None, data: tuple[Any, Ints], task: Task
) -> Fold | None:
  """Returns the scores of a fold, in another process."""
  if begin is not None:
    begin()
  features, labels = data
  found: Fold | None = replace(trainer, features=features, labels=labels).fold(task)
  return found


def values_of(classes: Sequence[ClassValue]) -> npt.NDArray[Any]:
  """Returns the values of classes as people have them, [n_classes]: texts, integers, or both."""
  values = [
    one.value.decode('utf-8', 'surrogateescape') if isinstance(one.value, bytes) else int(one.value)  # type: ignore[arg-type]
    for one in classes
  ]
  mixed = len(set(map(type, values))) > 1
  return np.array(values, object if mixed else None)


def check_classes(counts: TrainingCounts) -> None:
  """Checks that every class has a record in each fold.

  Raises:
    DataError: if one has not.
  """
  if len(counts.classes) < 2:
    raise DataError(f'y has one class, {counts.classes[0]}; give records of two or more')
  fewest = min(range(len(counts.records)), key=lambda c: counts.records[c])
  if counts.records[fewest] < N_FOLDS:
    raise DataError(
      f'class {counts.classes[fewest]} has {counts.records[fewest]} records, and {N_FOLDS} folds '
      f'need {N_FOLDS}; collect more, merge it with another class, or leave it out'
    )


def fold_tasks(
  labels: Ints, classes: Sequence[ClassValue], groups: Any, times: Any, repeats: int, seed: int
) -> Iterator[Task]:
  """Yields the folds of all repetitions; those of other seeds have other folds.

  Raises:
    DataError: if all records of a class are in one fold, so that none is left to train on.
  """
  in_time = times is not None
  table = {'times': read_column(times, 'times')} if in_time else labels
  drawn = np.random.SeedSequence(seed % 2**63).generate_state(repeats * (N_FOLDS + 1)).tolist()
  seeds = iter(drawn[repeats:])
  for repeat in range(repeats):
    splits = StratifiedSplits(N_FOLDS, seed=drawn[repeat], order_by='times' if in_time else None)
    for trained, tested in splits.split(table, labels, groups):
      absent = np.flatnonzero(np.bincount(labels[trained], minlength=len(classes)) == 0)
      if len(absent):
        why = 'are later than what is trained on' if in_time else 'are of one group'
        raise DataError(
          f'all records of class {classes[absent[0]]} {why}, so that a fold has none to train on; '
          f'leave the class out, or {"times=" if in_time else "groups="}'
        )
      yield Task(repeat, next(seeds), trained, tested)
