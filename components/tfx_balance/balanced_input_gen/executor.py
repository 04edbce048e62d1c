"""Runs BalancedInputGen: decodes its arguments and artifacts."""

from __future__ import annotations

from typing import Any

from tfx.types import artifact_utils

from tfx_balance.balanced_input_gen.output_plan import TRAIN, ShardContext
from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.balanced_input_gen.transform import ClassShards
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import Artifacts, ExamplesExecutor, ExamplesRun


class Executor(ExamplesExecutor):
  """Writes the artifact that is laid out by class, and its plan."""

  def prepare(
    self, source: ExamplesInput, inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]
  ) -> ExamplesRun:
    """Returns the files and transform of the layout; `hyperparameters` gets its plan."""
    del inputs
    parameters = InputGenParameters.decode(properties)
    passed = source.others(parameters.train_splits, 'train_splits')
    if TRAIN in passed:
      raise ConfigError(
        f'split {TRAIN!r} of the input passes through, and is what train_splits='
        f'{list(parameters.train_splits)} are merged into; name it in train_splits= too'
      )
    uri = artifact_utils.get_single_uri(outputs['hyperparameters'])
    return ExamplesRun(
      source.input_files(parameters.train_splits),
      passed,
      [TRAIN],
      lambda **target: ClassShards(ShardContext(parameters, hyperparameters_uri=uri, **target)),
    )
