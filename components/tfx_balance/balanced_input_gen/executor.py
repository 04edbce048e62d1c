"""Runs BalancedInputGen: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.types import artifact_utils

from tfx_balance.balanced_input_gen.job import TRAIN, ShardRequest
from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.balanced_input_gen.transform import ClassShards
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import ExamplesExecutor


class Executor(ExamplesExecutor):
  """Writes the artifact that is laid out by class, and its plan."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Lays `input_examples` out by class in `examples`; `hyperparameters` gets the plan."""
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = InputGenParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    passed = passed_through(source, parameters.train_splits)
    hyperparameters_uri = artifact_utils.get_single_uri(output_dict['hyperparameters'])
    self.write_examples(
      source,
      output,
      source.input_files(parameters.train_splits),
      passed,
      [TRAIN],
      lambda **target: ClassShards(
        ShardRequest(parameters, hyperparameters_uri=hyperparameters_uri, **target)
      ),
    )


def passed_through(source: ExamplesInput, train_splits: Sequence[str]) -> list[str]:
  """Returns the splits that are copied as they are.

  Raises:
    ConfigError: if a split is to be merged that there is not, or 'train' would be there twice.
  """
  passed = source.others(train_splits, 'train_splits')
  if TRAIN in passed:
    raise ConfigError(
      f'split {TRAIN!r} of the input passes through, and is what train_splits='
      f'{list(train_splits)} are merged into; name it in train_splits= too'
    )
  return passed
