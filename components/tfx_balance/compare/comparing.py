"""compare: trains a model with every remedy, on the same folds, and says which helps."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tfx_balance.arguments import (
  check_callable,
  check_flag,
  check_number,
  check_seed,
  check_whole,
  format_value,
)
from tfx_balance.compare import advice
from tfx_balance.compare.answer import Answer
from tfx_balance.compare.arms import ARMS, NATURAL, Floats
from tfx_balance.compare.duplicates import duplicates_sentence, equal_rows
from tfx_balance.compare.estimator_training import EstimatorTraining, maker_of
from tfx_balance.compare.fold_progress import watched
from tfx_balance.compare.intervals import CONFIDENCE, Interval
from tfx_balance.compare.judging import (
  Judged,
  Scores,
  equivalence,
  gaps,
  judge,
  out_of_fold,
  verdict,
  with_means,
)
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import (
  N_FOLDS,
  N_REPEATS,
  Task,
  Trainer,
  check_classes,
  fold_tasks,
  values_like,
)
from tfx_balance.documents.comparison import (
  MOST_CONFUSED,
  Calibration,
  ComparedArm,
  ComparisonDocument,
  Gap,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.labels import label_codes
from tfx_balance.plan.ranks import Ints

DUPLICATES = 'duplicates'
"""Value of `groups` that keeps records of equal features in one fold."""


def compare(
  model: Any,
  x: Any,
  y: Any,
  metric: Any = 'macro_recall',
  *,
  steps: int | None = None,
  batch_size: int | None = None,
  callbacks: Callable[[], Sequence[Any]] | None = None,
  cost: Any = None,
  prevalence: Mapping[Any, float] | None = None,
  groups: Any = None,
  times: Any = None,
  averages: bool = True,
  minutes: float = 10,
  seed: int = 0,
  processes: int = 2,
  verbose: bool = True,
) -> Answer:
  """Returns the remedy for unequal classes that helps a model, its gain and the gain's interval.

  The model is trained anew with each remedy on the same 5 times 5 stratified folds, and the
  differences to natural batches get an interval that holds for all remedies together; see
  docs/which-remedy.md. It prints its progress and the answer.

  Args:
    model: An estimator with `fit` and `predict_proba`, as scikit-learn, XGBoost and LightGBM have
      them, a class of such, or a function that returns one; or a function that returns a new Keras
      model (of Keras 3 or tf_keras) that ends in logits, one for each class. Every layer that is
      trained is made inside of that function, which may take (x, y), the features and class indices
      of what is trained on, to adapt layers. Where the model is compiled, its optimizer is used, or
      else Adam. Weights, optimizer and random layers begin anew for each training; what layers draw
      with `tf.random` themselves does not. An estimator's `random_state` is set where it is None.
    x: Features, [n, ...]: for Keras as `BalancedInputs.from_arrays` takes them, an array, or a dict
      or DataFrame of such; an estimator gets rows of what is given, a DataFrame, an array, a sparse
      matrix or a list of texts. SMOTE is compared where they are a table of numbers.
    y: [n], the class of each record.
    metric: Metric that decides: 'macro_recall', 'worst_class', 'average_precision', 'macro_f1',
      'log_loss', 'brier', 'cost', `recall_at_precision(0.9, 'fraud')`,
      `precision_at_recall(0.9, 'fraud')`, or a function of y and probabilities [n, n_classes] that
      returns a number, higher where better.
    steps: Batches that each Keras model is trained on; None for 400. This and the next two are
      refused with an estimator.
    batch_size: Records in a batch of Keras; None for 64.
    callbacks: Function that returns new Keras callbacks, such as
      lambda: [keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True)]. With it a
      tenth of the records that a model would be trained on, drawn by class, is for validation, ten
      times in a training.
    cost: What it costs to put a record of class i into class j, [n_classes, n_classes], classes in
      ascending order, or such as {('fraud', 'fine'): 50}, where other mistakes cost 1. Records are
      then put into the class of least expected cost.
    prevalence: Share by class where the model is used, where that is another than in y.
    groups: Group of each record, [n], such as patients, whose records stay in one fold;
      'duplicates' for records of equal features.
    times: Time of each record, [n]: models are tested on what comes after what they were trained
      on, in 5 folds.
    averages: Whether the mean of several models may be the remedy; False where one model is served.
    minutes: Time after which it stops, and answers with the folds that there are.
    seed: Seed of folds, weights and batches.
    processes: Processes, which share the cores; 1 trains in this process, as does a GPU.
    verbose: Whether to print.

  Raises:
    ConfigError: if an argument breaks a rule, the model does not end in logits or has no
      predict_proba, two models of a function share weights, or time is up before the first fold.
    DataError: if x, y, groups and times differ in length, a class has fewer than 5 records, or
      training gives weights that are not finite.
  """
  start = time.time()
  limits: dict[str, Any] = {
    name: check_whole(name, value)
    for name, value in (('steps', steps), ('batch_size', batch_size))
    if value is not None
  }
  if callbacks is not None:
    example = 'lambda: [keras.callbacks.EarlyStopping(patience=2)]'
    limits['callbacks'] = check_callable('callbacks', callbacks, example)
  seed, processes = check_seed(seed), check_whole('processes', processes)
  averages, verbose = check_flag('averages', averages), check_flag('verbose', verbose)
  minutes = float(check_number('minutes', minutes, 0))
  deadline = start + 60 * minutes
  counts, codes = label_codes(y, 'y')
  labels = codes.astype(np.int64)
  check_classes(counts)
  values = values_like(counts.classes, y)
  measures = Measures.of(
    np.array(counts.records),
    cost,
    classes=counts.classes,
    values=values,
    metric=metric,
    prevalence=prevalence,
  )
  metric = measures.check(metric)
  zeros = (0.0,) * len(counts.records)
  matrix = () if measures.cost is None else tuple(map(tuple, measures.cost.tolist()))
  plain = Remedy(NATURAL, counts.classes, counts.records, zeros, matrix)
  trainer = trainer_of(model, x, labels, plain, deadline, limits)
  equal = equal_rows(x)
  if isinstance(groups, str) and groups == DUPLICATES:
    groups = equal
  repeats = 1 if times is not None else N_REPEATS
  tasks = list(fold_tasks(labels, counts.classes, groups, times, repeats, seed))

  say: Callable[[str], None] = print if verbose else (lambda text: None)
  repeated = duplicates_sentence(equal, labels, counts.classes, together=groups is equal)
  said = repeated and f'{repeated}.', measures.cost_words, *trainer.left_out
  remarks = [words for words in said if words]
  for words in remarks:
    say(words)
  say(
    f'{len(trainer.remedies)} ways to train, on {len(tasks)} folds each; stops after {minutes:g} '
    f'minutes'
  )
  done = list(
    watched(trainer.folds(tasks, processes), len(tasks), start, deadline, say if verbose else None)
  )
  if not done:
    raise ConfigError(
      f'minutes={minutes:g} are up before the first of {len(tasks)} folds; give more minutes=, '
      f'fewer steps=, or fewer records'
    )
  whole = done[: len(done) // N_FOLDS * N_FOLDS]
  folds = whole or done
  if averages and whole:
    folds = with_means(whole, len(labels))
  scores = Scores(folds, labels, measures, metric, times is not None)
  found = judge(scores)
  recommended = advice.simplest(found, measures, metric)
  threshold = scores.threshold(recommended)
  arms = compared_arms(scores, found, recommended)
  notes = [
    *remarks,
    *advice.notes(found, recommended, min(counts.records), measures, metric),
    *advice.to_settle(arms, recommended, min(counts.records)),
    *_of_other_settings(trainer, tasks[0], scores, recommended, threshold),
  ]
  if len(done) < len(tasks):
    notes.append(
      f'Time was up after {len(done)} of {len(tasks)} folds, and {len(folds)} count; more minutes= '
      f'tell more.'
    )
  log_prior = np.log(np.array(counts.records) / len(labels))
  own = ARMS[recommended]
  shift = own.shift(log_prior, measures.log_served(log_prior), threshold)
  remedy = replace(
    trainer.remedies[own.trained_as or recommended], name=recommended, shift=tuple(shift.tolist())
  )
  deciding = measures.metrics[metric]
  document = ComparisonDocument(
    metric=metric,
    metric_words=deciding.words,
    classes=counts.classes,
    records=counts.records,
    equivalence=equivalence(measures, metric, found[NATURAL].values[metric]),
    confidence=CONFIDENCE,
    folds=len(folds),
    steps=getattr(trainer, 'steps', None),
    batch_size=getattr(trainer, 'batch_size', None),
    seed=seed,
    seconds=time.time() - start,
    arms=arms,
    recommended=recommended,
    reason=advice.reason(
      next(arm for arm in arms if arm.name == recommended), arms, deciding.words, deciding.higher
    ),
    notes=tuple(notes),
    shift=remedy.shift,
  )
  answer = Answer(document, remedy, trainer, labels, out_of_fold(folds, len(labels)), values)
  say(f'\n{answer}')
  return answer


def trainer_of(
  model: Any, x: Any, labels: Ints, plain: Remedy, deadline: float, limits: Mapping[str, Any]
) -> Trainer:
  """Returns the trainer of a model: of an estimator, or of what a function makes.

  TensorFlow is imported for Keras models alone.

  Args:
    model: As `compare` takes it.
    x: Features.
    labels: Index of each record's class, [n].
    plain: Remedy of the classes that does nothing.
    deadline: Time when it is to stop, as `time.time` gives it.
    limits: Steps, batch size and callbacks of Keras, those that are given.

  Raises:
    ConfigError: if it is neither, a Keras model in place of a function, or an estimator with limits
      of Keras.
  """
  if not isinstance(model, type):
    if (hasattr(model, 'fit') and hasattr(model, 'get_params')) or hasattr(model, 'predict_proba'):
      check_no_limits(limits)
      return EstimatorTraining.of(maker_of(model), x, labels, plain, deadline)
    if hasattr(type(model), 'trainable_weights'):
      raise ConfigError(
        f'model={format_value(model)} is a Keras model; give a function that returns a new one, '
        f'such as lambda: keras.Sequential([...])'
      )
  if not callable(model):
    raise ConfigError(
      f'model={format_value(model)} is not a model; give an estimator such as '
      f'HistGradientBoostingClassifier(), or a function such as lambda: keras.Sequential([...])'
    )
  takes_rows = _n_needed(model) == 2
  made = None if takes_rows else model()
  # Of the type: a Keras model that is not built has no weights yet.
  if hasattr(made, 'fit') and not hasattr(type(made), 'trainable_weights'):
    check_no_limits(limits)
    return EstimatorTraining.of(model, x, labels, plain, deadline)
  try:
    from tfx_balance.compare.keras_training import KerasTraining
  except ImportError as error:
    raise ConfigError(
      f'model={format_value(model)} returns no estimator with fit and predict_proba, and Keras '
      f'models '
      f"need TensorFlow ({error}); run pip install 'tfx-balance[compare,tensorflow]' tensorflow"
    ) from error

  return KerasTraining.of(model, takes_rows, x, labels, plain, deadline, made, **limits)


def check_no_limits(limits: Mapping[str, Any]) -> None:
  """Checks that an estimator is given no argument of Keras; raises ConfigError otherwise."""
  for name, value in limits.items():
    raise ConfigError(
      f'{name}={format_value(value)} is of Keras models, and the model is an estimator; leave it '
      f'out, and say in the estimator how long it trains, such as '
      f'HistGradientBoostingClassifier(max_iter=100)'
    )


def _n_needed(function: Callable[..., Any]) -> int:
  """Returns the number of arguments that a function requires."""
  try:
    parameters = inspect.signature(function).parameters.values()
  except ValueError:  # of a function that is not of Python
    return 0
  kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
  return sum(one.kind in kinds and one.default is one.empty for one in parameters)


def compared_arms(
  scores: Scores, found: Mapping[str, Judged], recommended: str
) -> tuple[ComparedArm, ...]:
  """Returns the results as the document has them; all intervals that are shown hold together.

  Args:
    scores: Scores of all folds.
    found: What was found for each arm.
    recommended: Name of the recommended arm.
  """
  others = len(found) - 1
  shown_to = recommended != NATURAL
  comparisons = max(2 * others - 1 if shown_to else others, 1)
  gained = dict(gaps(scores, found, NATURAL, comparisons))
  behind = dict(gaps(scores, found, recommended, comparisons)) if shown_to else {}
  natural = found[NATURAL].values[scores.metric]
  arms = []
  for name, one in found.items():
    gain = None if name == NATURAL else _gap(gained[name])
    to_best = behind.get(name) if name not in (recommended, NATURAL) else None
    arms.append(
      ComparedArm(
        name,
        ARMS[name].words,
        one.values,
        difference=None if gain is None else gain.mean,
        low=None if gain is None else gain.low,
        high=None if gain is None else gain.high,
        verdict=None if name == NATURAL else verdict(scores, gained[name], natural),
        calibration=None if one.calibration is None else Calibration(*one.calibration),
        to_recommended=None if to_best is None else _gap(to_best),
        **decisions_of(one.confusion) if name in (NATURAL, recommended) else {},
      )
    )
  return tuple(arms)


def decisions_of(confusion: Floats) -> dict[str, Any]:
  """Returns the fields of an arm that tell of its decisions on each class."""
  few = len(confusion) <= MOST_CONFUSED
  return {
    'tested': tuple(confusion.sum(axis=1).tolist()),
    'assigned': tuple(confusion.sum(axis=0).tolist()),
    'right': tuple(confusion.diagonal().tolist()),
    'confusion': tuple(map(tuple, confusion.tolist())) if few else (),
  }


def _gap(interval: Interval) -> Gap:
  ends = [None if math.isnan(end) else end for end in (interval.low, interval.high)]
  return Gap(interval.mean, *ends)


def _of_other_settings(
  trainer: Trainer, task: Task, scores: Scores, recommended: str, threshold: float
) -> Iterator[str]:
  """Yields scores of natural batches and the recommended arm at other settings, on one fold."""
  names = [NATURAL] if ARMS[recommended].averaged else list(dict.fromkeys((NATURAL, recommended)))
  settings = trainer.settings({ARMS[name].trained_as or name for name in names})
  tested = [fold for other in settings.values() for fold in other.folds([task], 1)]
  if not settings or len(tested) < len(settings):
    return
  words = []
  for name in names:
    t = threshold if ARMS[name].tuned else 0.0
    values = [
      scores.measures.measure(scores.metric, scores.of(name, fold, t), scores.labels[fold.rows])
      for fold in (scores.folds[0], *tested)
    ]
    words.append(f'{name} {", ".join(f"{value:.3f}" for value in values)}')
  yield f'On the first fold, then with {" and ".join(settings)}: {"; ".join(words)}.'
