"""Runs StratifiedSplitter: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.types import artifact_utils

from tfx_balance.beam_executor import BeamExecutor
from tfx_balance.errors import ConfigError, DataError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput, log_warnings
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.transforms.count import InputFile
from tfx_balance.transforms.publish import write_outputs
from tfx_balance.transforms.records import suffix_of
from tfx_balance.transforms.split import StratifiedSplit, publish_split
from tfx_balance.transforms.split_job import SplitRequest
from tfx_balance.transforms.work_files import work_folder


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
    split, passed = choose_splits(source.splits, parameters)
    paths = [path for name in split for path in source.files(name)]
    if not paths:
      raise DataError(f'splits {split} of the input hold no files; give at least one record')
    copies = [copy for name in passed for copy in source.copies(name, output.uri)]
    with work_folder(output.uri) as work_dir:
      request = SplitRequest(
        features=parameters.features,
        shares=parameters.shares,
        seed=parameters.seed,
        missing=parameters.missing,
        payload=source.payload(),
        output_uri=output.uri,
        suffix=suffix_of(paths[0]),
        n_files=parameters.output_files,
        work_dir=work_dir,
        parameters=parameters.describe(),
      )
      files = [InputFile(path, rank) for rank, path in enumerate(paths)]
      with plain_errors(), self._make_beam_pipeline() as pipeline:
        write_outputs(
          pipeline, files, StratifiedSplit(request), publish_split, copies, passed, work_dir
        )
    source.carry_over(output, [*parameters.shares.names, *passed])
    log_warnings('StratifiedSplitter', output.uri)


def choose_splits(
  known: Sequence[str], parameters: SplitterParameters
) -> tuple[list[str], list[str]]:
  """Returns the input's splits that are split again, and those that pass through.

  Raises:
    ConfigError: if a split is asked for that there is not, or a name would be there twice.
  """
  chosen = list(known) if parameters.input_splits is None else list(parameters.input_splits)
  for name in chosen:
    if name not in known:
      raise ConfigError(
        f'split {name!r} is not in {list(known)}; pass one of these in input_splits='
      )
  passed = [name for name in known if name not in chosen]
  for name in passed:
    if name in parameters.shares.names:
      raise ConfigError(
        f'split {name!r} of the input passes through, and is a split to make too; '
        f'name it in input_splits=, or give the new one another name'
      )
  return chosen, passed
