"""The folds of a comparison: what is trained and tested, and what a trainer gives back."""

from __future__ import annotations

import abc
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from tfx_balance.modes.time import keys_of_times
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


@dataclass(frozen=True)
class Trainer(abc.ABC):
  """Trains a kind of models on records that it holds; it knows neither metrics nor verdicts.

  Attributes:
    features: What the models take, [n, ...].
    labels: Index of each record's class, [n].
    remedies: Remedies by arm, of those that it can train.
    left_out: Why arms are left out, a sentence each.
    deadline: Time when it is to stop, as `time.time` gives it.
  """

  features: Any
  labels: Ints
  remedies: Mapping[str, Remedy]
  left_out: Sequence[str]
  deadline: float

  def folds(self, tasks: Sequence[Task], processes: int) -> Iterator[Fold]:
    """Yields the scores of folds as they are done, and ends early when time is up.

    Args:
      tasks: Folds.
      processes: Number of processes; 1 for this one.
    """
    if processes == 1:
      done: Iterator[Fold | None] = map(self.fold, tasks)
    else:
      rest = replace(self, features=None, labels=np.empty(0, np.int64))
      data = (self.features, self.labels)
      done = call_in_processes(partial(_in_process, rest), data, tasks, processes)
    return (fold for fold in done if fold is not None)

  def fold(self, task: Task) -> Fold | None:
    """Returns the scores of all arms on the records of a fold; None when time is up."""
    try:
      log_p = {arm: self.scores(task, remedy) for arm, remedy in self.remedies.items()}
    except OutOfTimeError:
      return None
    return Fold(task.repeat, task.tested, self.counts(task.trained), log_p)

  def counts(self, rows: Ints) -> Ints:
    """Returns the records of each class among rows: int64 [n_classes]."""
    n_classes = len(next(iter(self.remedies.values())).classes)
    return np.bincount(self.labels[rows], minlength=n_classes)

  def begin(self) -> None:  # noqa: B027 -- few need it
    """Prepares another process for a fold."""

  @abc.abstractmethod
  def scores(self, task: Task, remedy: Remedy) -> Floats:
    """Returns the log probabilities of a fold's tested records, with the remedy of a trained arm.

    Raises:
      OutOfTimeError: if time is up.
    """

  @abc.abstractmethod
  def fit(self, x: Any, labels: Ints, rows: Ints, remedy: Remedy, seed: int) -> Fitted:
    """Returns a model that was trained on rows of records with the remedy of a trained arm."""

  def settings(self, arms: Collection[str]) -> Mapping[str, Trainer]:
    """Returns trainers of these arms with other settings, by words for them; {} without any."""
    return {}


def _in_process(trainer: Trainer, data: tuple[Any, Ints], task: Task) -> Fold | None:
  """Returns the scores of a fold, in another process."""
  trainer.begin()
  features, labels = data
  return replace(trainer, features=features, labels=labels).fold(task)


def values_of(classes: Sequence[ClassValue]) -> npt.NDArray[Any]:
  """Returns the values of classes as people have them, [n_classes]: texts, integers, or both."""
  values = [
    one.value.decode('utf-8', 'surrogateescape') if isinstance(one.value, bytes) else int(one.value)  # type: ignore[arg-type]
    for one in classes
  ]
  mixed = len(set(map(type, values))) > 1
  return np.array(values, object if mixed else None)


def values_like(classes: Sequence[ClassValue], y: Any) -> npt.NDArray[Any]:
  """Returns the values of the classes of y as y has them, booleans and floats too: [n_classes]."""
  values, kind = values_of(classes), read_column(y, 'y').values.dtype
  return values.astype(kind) if kind.kind in 'biuf' else values


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
  table: Any = labels
  if in_time:
    table = {'times': keys_of_times(read_column(times, 'times'), len(labels))[0]}
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
