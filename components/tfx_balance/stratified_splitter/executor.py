"""Runs StratifiedSplitter: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.types import artifact_utils

from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import ExamplesExecutor
from tfx_balance.stratified_splitter.job import SplitRequest
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit


class Executor(ExamplesExecutor):
  """Writes the split artifact."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Re-splits `input_examples` into `examples`."""
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = SplitterParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    chosen = source.splits if parameters.input_splits is None else parameters.input_splits
    passed = passed_through(source, chosen, parameters)
    self.write_examples(
      source,
      output,
      source.input_files(chosen, grouped=False),
      passed,
      parameters.split_names,
      lambda **target: StratifiedSplit(SplitRequest(parameters, **target)),
    )


def passed_through(
  source: ExamplesInput, chosen: Sequence[str], parameters: SplitterParameters
) -> list[str]:
  """Returns the splits that are copied as they are.

  Raises:
    ConfigError: if a split is chosen that there is not, or a name would be there twice.
  """
  passed = source.others(chosen, 'input_splits')
  for name in passed:
    if name in parameters.split_names:
      raise ConfigError(
        f'split {name!r} of the input passes through, and is a split to make too; '
        f'name it in input_splits=, or give the new one another name'
      )
  return passed
