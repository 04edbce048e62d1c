"""Runs StratifiedSplitter: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.types import artifact_utils

from tfx_balance.beam_executor import BeamExecutor
from tfx_balance.errors import ConfigError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput, log_warnings
from tfx_balance.plan.sidecar import SIDECAR_NAME
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.transforms.counters import check_counters
from tfx_balance.transforms.publish import write_outputs
from tfx_balance.transforms.records import suffix_of
from tfx_balance.transforms.split import StratifiedSplit, publish_split
from tfx_balance.transforms.split_job import SplitRequest
from tfx_balance.transforms.work_files import read_json
from tfx_balance.transforms.work_folder import work_folder


class Executor(BeamExecutor):
  """Writes the split artifact."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Re-splits `input_examples` into `examples`.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the input's splits.
      DataError: if the data breaks one. Nothing has been published then.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = SplitterParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    chosen = source.splits if parameters.input_splits is None else parameters.input_splits
    passed = passed_through(source, chosen, parameters)
    files = source.input_files(chosen, grouped=False)
    copies = source.copies(passed, output.uri)
    with work_folder(output.uri, [file.path for file in files]) as work_dir:
      request = SplitRequest(
        features=parameters.features,
        shares=parameters.shares,
        seed=parameters.seed,
        missing=parameters.missing,
        payload=source.payload(),
        output_uri=output.uri,
        suffix=suffix_of(files[0].path),
        n_files=parameters.output_files,
        work_dir=work_dir,
        reading=parameters.reading,
        parameters=parameters.describe(),
      )
      with plain_errors(), self.beam_pipeline() as pipeline:
        write_outputs(
          pipeline, files, StratifiedSplit(request), publish_split, copies, passed, work_dir
        )
    sidecar = read_json(f'{output.uri}/{SIDECAR_NAME}')
    check_counters(pipeline.result, sidecar)
    source.carry_over(output, [*parameters.shares.names, *passed])
    log_warnings(sidecar, output.uri)


def passed_through(
  source: ExamplesInput, chosen: Sequence[str], parameters: SplitterParameters
) -> list[str]:
  """Returns the splits that are copied as they are.

  Raises:
    ConfigError: if a split is chosen that there is not, or a name would be there twice.
  """
  passed = source.others(chosen, 'input_splits')
  for name in passed:
    if name in parameters.shares.names:
      raise ConfigError(
        f'split {name!r} of the input passes through, and is a split to make too; '
        f'name it in input_splits=, or give the new one another name'
      )
  return passed
