"""compare as a tuner of the stock TFX Tuner; its answer goes to the Trainer as hyperparameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_callable
from tfx_balance.compare.answer import Answer
from tfx_balance.compare.comparing import compare
from tfx_balance.compare.remedy import HYPERPARAMETER
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.array_nests import n_bytes
from tfx_balance.inputs.balanced_inputs import BalancedInputs
from tfx_balance.inputs.parsing import class_values
from tfx_balance.inputs.record_source import DEFAULT_MEMORY_BUDGET
from tfx_balance.plan.label_sets import LabelSetCounts

try:
  from joblib.externals import cloudpickle
except ImportError:  # joblib 1.6 and later have none of their own
  import cloudpickle

if TYPE_CHECKING:
  from keras_tuner import HyperParameters
  from keras_tuner.engine.trial import Trial

DOCUMENT = 'tfx_balance.comparison'
"""Name of the hyperparameter that has `comparison.json`."""

_READ = 1024  # records at a time


class TunerResult(NamedTuple):
  """Result of a `tuner_fn`, as `tfx.components.tuner.component.TunerFnResult`."""

  tuner: ComparisonTuner
  fit_kwargs: dict[str, Any]


def compare_tuner(
  make_model: Callable[[], Any],
  fn_args: Any,
  metric: str = 'macro_recall',
  *,
  memory_budget: int = DEFAULT_MEMORY_BUDGET,
  groups: str | None = None,
  times: str | None = None,
  averages: bool = False,
  **arguments: Any,
) -> TunerResult:
  """Returns the result of a `tuner_fn(fn_args)` of the TFX Tuner that compares remedies.

  The Tuner's examples are those of BalancedInputGen. The chosen remedy is in the Tuner's
  `best_hyperparameters`, from which `Remedy.from_fn_args` reads it in a Trainer, together with all
  that was found; its `tuner_results` have a row for each remedy.

  Args:
    make_model: As in `compare`; the model takes a dict of features, as in the Trainer.
    fn_args: Argument of `tuner_fn`.
    metric: Metric that decides, as in `compare`.
    memory_budget: Bytes of features to hold.
    groups: Feature whose equal values keep records in one fold, such as patients.
    times: Feature that is the time of each record.
    averages: Whether the mean of several models may be the remedy; the Trainer is to train
      `Remedy.average` of them then.
    **arguments: Other arguments of `compare`, such as steps, batch_size, cost and minutes.

  Raises:
    ConfigError: if there are no train files, records have several labels, or the examples were
      merged from several splits, whose copies would be in both the trained and the tested records.
    DataError: if the plan, a file or the schema cannot be read.
  """
  check_callable('make_model', make_model, 'lambda: keras.Sequential([...])')
  inputs = BalancedInputs.from_fn_args(fn_args, memory_budget)
  if isinstance(inputs.source.counts, LabelSetCounts):
    raise ConfigError(
      f'records have several labels {inputs.label!r}, and compare takes one a record; lay the '
      f'examples out by one label'
    )
  if len(inputs.source.natural) > 1:
    raise ConfigError(
      f'splits {list(inputs.source.natural)} were merged, and copies of a record would be in both '
      f'the trained and the tested records; compare on natural data: give the Tuner the examples '
      f'of a BalancedInputGen of the natural split alone, such as train_splits=("train",)'
    )

  _pickle_by_value(make_model)

  def search() -> Answer:
    features, labels = read_records(inputs, memory_budget)
    columns = {'groups': groups, 'times': times}
    named = {key: _column(features, key, name) for key, name in columns.items() if name is not None}
    return compare(make_model, features, labels, metric, averages=averages, **named, **arguments)

  return TunerResult(ComparisonTuner(search), {})


class ComparisonTuner:
  """A comparison with the methods that the TFX Tuner calls on a tuner of Keras and its oracle.

  Attributes:
    tuner_id: Name of the tuner in the Tuner's log.
    max_trials: As many trials as there are; the Tuner asks for all.
    answer: What was found, once `search` is done.
  """

  tuner_id = 'tfx_balance.compare'
  max_trials: int | None = None
  answer: Answer

  def __init__(self, make_answer: Callable[[], Answer]) -> None:
    """Keeps the function that compares, which `search` calls."""
    self._make_answer = make_answer

  @property
  def oracle(self) -> ComparisonTuner:
    """The tuner itself, which has the trials."""
    return self

  def search_space_summary(self) -> None:
    """Prints nothing: `compare` says what it trains."""

  def search(self) -> None:
    """Compares the remedies."""
    self.answer = self._make_answer()

  def results_summary(self) -> None:
    """Prints nothing: `compare` has printed the answer."""

  def get_best_hyperparameters(self, num_trials: int = 1) -> list[HyperParameters]:
    """Returns the hyperparameters with the remedy and with what was found, as JSON texts."""
    remedy, found = self.answer.remedy.to_json(), self.answer.to_json()
    return [_fixed({HYPERPARAMETER: json.dumps(remedy), DOCUMENT: json.dumps(found)})]

  def get_best_trials(self, num_trials: int | None = None) -> list[Trial]:
    """Returns a completed trial for each remedy, best first, with its score and verdict."""
    from keras_tuner.engine.trial import Trial, TrialStatus

    found = self.answer.document
    trials = []
    for arm in sorted(found.arms, key=lambda arm: -(arm.difference or 0)):
      values = {
        'remedy': arm.name,
        'verdict': arm.verdict,
        'difference': arm.difference,
        'low': arm.low,
        'high': arm.high,
        'recommended': arm.name == found.recommended,
      }
      trials.append(Trial(_fixed(values), arm.name, TrialStatus.COMPLETED))
      trials[-1].score = arm.values[found.metric]
    return trials[:num_trials]


def _pickle_by_value(function: Callable[[], Any]) -> None:
  """Has a function's module sent to other processes whole, where these could not import it.

  Such is that of a Tuner's `module_file`: TFX takes its folder off `sys.path` after the import.
  """
  name = getattr(function, '__module__', None)
  if name in sys.modules and PathFinder.find_spec(name.partition('.')[0]) is None:
    cloudpickle.register_pickle_by_value(sys.modules[name])


def read_records(
  inputs: BalancedInputs, memory_budget: int
) -> tuple[dict[str, npt.NDArray[Any]], npt.NDArray[Any]]:
  """Returns the train records of inputs, each once: arrays of features, and labels [n].

  Args:
    inputs: Inputs of one label a record.
    memory_budget: Bytes of features to hold.

  Raises:
    ConfigError: if a feature is sparse or ragged.
    DataError: if the features take more than the budget.
  """
  parts, indices, used = [], [], 0
  trained = replace(inputs, eval_files=None)
  for features, index in trained.eval(_READ, data=trained, label_as='index'):
    for name, values in features.items():
      if not isinstance(values, tf.Tensor):
        raise ConfigError(
          f'feature {name!r} is a {type(values).__name__}, and records are compared as arrays; '
          f'make it dense in Transform, of one shape, or leave it out there'
        )
    part = {name: values.numpy() for name, values in features.items()}
    used += sum(map(n_bytes, part.values()))
    if used > memory_budget:
      raise DataError(
        f'the features take more than memory_budget={memory_budget} bytes, and records are '
        f'compared in memory; raise memory_budget=, or compare on a part of the records'
      )
    parts.append(part)
    indices.append(index.numpy())
  arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
  return arrays, class_values(inputs.classes).numpy()[np.concatenate(indices)]


def _column(features: Mapping[str, npt.NDArray[Any]], argument: str, name: str) -> Any:
  """Returns a feature of one value a record, [n]; raises ConfigError if it is none."""
  values = features.get(name)
  if values is None or values.size != len(values):
    raise ConfigError(
      f'{argument}={name!r} must be one of the features with one value a record, which are '
      f'{sorted(key for key, array in features.items() if array.size == len(array))}'
    )
  return values.reshape(-1)


def _fixed(values: Mapping[str, Any]) -> HyperParameters:
  """Returns hyperparameters of these values, but for those that are None."""
  from keras_tuner import HyperParameters

  made = HyperParameters()
  for name, value in values.items():
    if value is not None:
      made.Fixed(name, value)
  return made
