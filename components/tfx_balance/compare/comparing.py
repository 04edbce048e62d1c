"""compare: trains a model with every remedy, on the same folds, and says which helps."""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf

from tfx_balance.arguments import check_callable, check_number, check_seed, check_whole, shown
from tfx_balance.compare.answer import Answer, notes_of, recommend
from tfx_balance.compare.arms import ARMS, CORRECTION, NATURAL, SMOTE, THRESHOLD, TRAINED
from tfx_balance.compare.intervals import CONFIDENCE, FEWEST_RECORDS
from tfx_balance.compare.judging import (
  Judged,
  equivalence,
  judge,
  threshold_of,
  with_shifts,
)
from tfx_balance.compare.keras_training import Task, Training, check_unshared, new_model
from tfx_balance.compare.metrics import METRICS, Measures
from tfx_balance.compare.remedy import Remedy, check_logits
from tfx_balance.documents.comparison import Calibration, ComparedArm, ComparisonDocument
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.array_nests import as_nest, check_rows
from tfx_balance.inputs.online_augment import ARRAY
from tfx_balance.modes.cross_validation import StratifiedSplits
from tfx_balance.plan.array_columns import read_column
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.labels import count_labels
from tfx_balance.plan.ranks import Ints
from tfx_balance.plan.sampling import TrainingCounts, log_shares

N_FOLDS, N_REPEATS = 5, 5


def compare(
  make_model: Callable[[], Any],
  x: Any,
  y: Any,
  metric: str = 'macro_recall',
  *,
  steps: int = 400,
  batch_size: int = 64,
  cost: Any = None,
  groups: Any = None,
  times: Any = None,
  minutes: float = 10,
  seed: int = 0,
  processes: int = 2,
  verbose: bool = True,
) -> Answer:
  """Returns which remedy for unequal classes helps a model, by how much, and how sure that is.

  The model is trained from new weights with each remedy on the same 5 times 5 stratified folds,
  for the same number of steps, and the differences to natural batches get an interval that holds
  for all remedies together; see docs/which-remedy.md. It prints its progress and the answer.

  Args:
    make_model: Function that returns a new Keras model (of Keras 3 or tf_keras) that ends in
      logits, one for each class. Every layer that is trained is made inside of it. Where the model
      is compiled, its optimizer is used, or else Adam. Weights, optimizer and random layers begin
      anew for each training; what layers draw with `tf.random` themselves does not.
    x: Features as `BalancedInputs.from_arrays` takes them: an array [n, ...], or a dict or
      DataFrame of such. SMOTE is compared where they are a table of numbers: integers count as
      such, and texts are taken over whole.
    y: [n], the class of each record.
    metric: Metric that decides: 'macro_recall', 'worst_class', 'average_precision', 'macro_f1',
      'log_loss', 'brier', or 'cost'.
    steps: Batches that each model is trained on.
    batch_size: Records in a batch.
    cost: What it costs to put a record of class i into class j, [n_classes, n_classes], classes in
      ascending order. Records are then put into the class of least expected cost.
    groups: Group of each record, [n], such as patients, whose records stay in one fold.
    times: Time of each record, [n]: models are tested on what comes after what they were trained
      on, in 5 folds.
    minutes: Time after which it stops; only whole repetitions of the folds count.
    seed: Seed of folds, weights and batches.
    processes: Processes of one thread each; 1 trains in this process, as does a GPU.
    verbose: Whether to print.

  Raises:
    ConfigError: if an argument breaks a rule, the model does not end in logits, two models of
      make_model share weights, or time is up before the first repetition.
    DataError: if x, y, groups and times differ in length, a class has fewer than 5 records, or
      training gives weights that are not finite.
  """
  check_callable('make_model', make_model, 'lambda: keras.Sequential([...])')
  if hasattr(make_model, 'trainable_weights'):
    raise ConfigError(
      f'make_model={shown(make_model)} is a model; give a function that returns a new one, such as '
      f'lambda: keras.Sequential([...])'
    )
  steps, batch_size = check_whole('steps', steps), check_whole('batch_size', batch_size)
  seed, processes = check_seed(seed), check_whole('processes', processes)
  check_number('minutes', minutes, 0)
  counts, rows = count_labels(y, 'y')
  labels = np.empty(len(rows), np.int64)
  labels[rows] = np.repeat(np.arange(len(counts.classes)), counts.records)
  features = tf.nest.map_structure(np.asarray, as_nest(x))
  check_rows(features, len(labels), 'labels')
  _check_classes(counts)
  measures = Measures.of(np.array(counts.records), cost)
  measures.check(metric)
  model, logits = new_model(make_model, features)
  check_logits(model, logits, len(counts.classes))
  check_unshared(model, new_model(make_model, features)[0])

  start = time.time()
  training = Training(
    uuid.uuid4().hex,
    make_model,
    features,
    labels,
    remedies_of(counts, features, measures.cost),
    steps,
    batch_size,
    start + 60 * minutes,
  )
  repeats = 1 if times is not None or min(counts.records) < FEWEST_RECORDS else N_REPEATS
  tasks = list(_tasks(labels, counts.classes, groups, times, repeats, seed))
  say = print if verbose else (lambda text: None)
  say(
    f'{len(training.remedies)} ways to train, on {len(tasks)} folds each, {steps:,} batches of '
    f'{batch_size}; stops after {minutes:g} minutes'
  )
  folds = []
  for fold in training.folds(tasks, processes):
    folds.append(fold)
    took = time.time() - start
    left = took / len(folds) * (len(tasks) - len(folds))
    if len(folds) % N_FOLDS == 0 or len(folds) == 1:
      say(f'  {len(folds)} of {len(tasks)} folds, {took:.0f} s; about {left:.0f} s left')
  kept = folds[: len(folds) // N_FOLDS * N_FOLDS]
  if not kept:
    raise ConfigError(
      f'minutes={minutes:g} are up after {len(folds)} of {N_FOLDS} folds; give more minutes=, '
      f'fewer steps=, or fewer records'
    )
  log_prior = np.array(log_shares(counts.records))
  shifts = {
    THRESHOLD: -threshold_of(kept, labels, log_prior, measures, metric) * log_prior,
    CORRECTION: log_prior,
  }
  kept = with_shifts(kept, labels, log_prior, measures, metric, times is not None)
  arms = compared_arms(judge(kept, labels, measures, metric), metric)
  recommended, reason = recommend(arms, metric)
  notes = list(notes_of(arms, recommended, min(counts.records)))
  if len(kept) < len(tasks):
    notes.append(f'Time was up after {len(folds)} of {len(tasks)} folds; more minutes= tell more.')
  document = ComparisonDocument(
    metric=metric,
    metric_words=METRICS[metric].words,
    classes=counts.classes,
    records=counts.records,
    equivalence=equivalence(metric, arms[0].values[metric]),
    confidence=CONFIDENCE,
    folds=len(kept),
    steps=steps,
    batch_size=batch_size,
    seed=seed,
    seconds=time.time() - start,
    arms=arms,
    recommended=recommended,
    reason=reason,
    notes=tuple(notes),
  )
  remedy = replace(
    training.remedies[ARMS[recommended].trained_as or recommended],
    name=recommended,
    shift=tuple(shifts.get(recommended, np.zeros(len(log_prior))).tolist()),
  )
  answer = Answer(document, remedy)
  say(f'\n{answer}')
  return answer


def compared_arms(found: Mapping[str, Judged], metric: str) -> tuple[ComparedArm, ...]:
  """Returns what was found as the document has it."""
  return tuple(
    ComparedArm(
      name,
      ARMS[name].words,
      one.values,
      difference=None if name == NATURAL else one.interval.mean,
      low=None if math.isnan(one.interval.low) else one.interval.low,
      high=None if math.isnan(one.interval.high) else one.interval.high,
      verdict=one.verdict or None,
      calibration=None if one.calibration is None else Calibration(*one.calibration),
    )
    for name, one in found.items()
  )


def remedies_of(counts: TrainingCounts, features: Any, cost: Any) -> dict[str, Remedy]:
  """Returns the remedies that train models; SMOTE where features are a table with numbers."""
  plain = Remedy(
    NATURAL,
    counts.classes,
    counts.records,
    (0.0,) * len(counts.records),
    () if cost is None else tuple(map(tuple, cost.tolist())),
  )
  found = {name: replace(plain, name=name) for name in TRAINED if name != SMOTE}
  columns = features if isinstance(features, dict) else {ARRAY: features}
  if all(hasattr(column, 'ndim') and column.ndim <= 2 for column in columns.values()):
    moved = tuple(name for name, column in columns.items() if column.dtype.kind in 'fiu')
    others = tuple(name for name in columns if name not in moved)
    if moved and all(columns[name].ndim == 1 for name in others):
      found[SMOTE] = replace(plain, name=SMOTE, features=moved, categorical=others)
  return found


def _tasks(
  labels: Ints, classes: Sequence[ClassValue], groups: Any, times: Any, repeats: int, seed: int
) -> Iterator[Task]:
  """Yields the folds of all repetitions.

  Raises:
    DataError: if all records of a class are in one fold, so that none is left to train on.
  """
  in_time = times is not None
  table = {'times': read_column(times, 'times')} if in_time else labels
  seeds = iter(np.random.SeedSequence(seed % 2**63).generate_state(repeats * N_FOLDS).tolist())
  for repeat in range(repeats):
    splits = StratifiedSplits(N_FOLDS, seed=seed + repeat, order_by='times' if in_time else None)
    for trained, tested in splits.split(table, labels, groups):
      absent = np.flatnonzero(np.bincount(labels[trained], minlength=len(classes)) == 0)
      if len(absent):
        why = 'are later than what is trained on' if in_time else 'are of one group'
        raise DataError(
          f'all records of class {classes[absent[0]]} {why}, so that a fold has none to train on; '
          f'leave the class out, or {"times=" if in_time else "groups="}'
        )
      yield Task(repeat, next(seeds), trained, tested)


def _check_classes(counts: TrainingCounts) -> None:
  """Checks that every class has a record in each fold."""
  if len(counts.classes) < 2:
    raise DataError(f'y has one class, {counts.classes[0]}; give records of two or more')
  fewest = min(range(len(counts.records)), key=lambda c: counts.records[c])
  if counts.records[fewest] < N_FOLDS:
    raise DataError(
      f'class {counts.classes[fewest]} has {counts.records[fewest]} records, and {N_FOLDS} folds '
      f'need {N_FOLDS}; collect more, merge it with another class, or leave it out'
    )
