"""Runs BalancedInputGen: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfx import types
from tfx.types import artifact_utils

from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.beam_executor import BeamExecutor
from tfx_balance.errors import ConfigError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput, log_warnings
from tfx_balance.plan.sidecar import SIDECAR_NAME
from tfx_balance.transforms.class_shards import ClassShards, publish_shards
from tfx_balance.transforms.class_shards_job import TRAIN, ShardRequest
from tfx_balance.transforms.counters import check_counters
from tfx_balance.transforms.publish import write_outputs
from tfx_balance.transforms.records import suffix_of
from tfx_balance.transforms.work_files import read_json
from tfx_balance.transforms.work_folder import work_folder


class Executor(BeamExecutor):
  """Writes the artifact that is laid out by class, and its plan."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Lays `input_examples` out by class in `examples`, and writes the plan to `hyperparameters`.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the input's splits.
      DataError: if the data breaks one. Nothing has been published then.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = InputGenParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    passed = passed_through(source, parameters.train_splits)
    files = source.input_files(parameters.train_splits)
    copies = source.copies(passed, output.uri)
    with work_folder(output.uri, [file.path for file in files]) as work_dir:
      request = ShardRequest(
        label=parameters.label,
        train_splits=parameters.train_splits,
        seed=parameters.seed,
        missing=parameters.missing,
        payload=source.payload(),
        output_uri=output.uri,
        hyperparameters_uri=artifact_utils.get_single_uri(output_dict['hyperparameters']),
        suffix=suffix_of(files[0].path),
        work_dir=work_dir,
        reading=parameters.reading,
        parameters=parameters.describe(),
      )
      with plain_errors(), self.beam_pipeline() as pipeline:
        write_outputs(
          pipeline, files, ClassShards(request), publish_shards, copies, passed, work_dir
        )
    sidecar = read_json(f'{output.uri}/{SIDECAR_NAME}')
    check_counters(pipeline.result, sidecar)
    source.carry_over(output, [TRAIN, *passed])
    log_warnings(sidecar, output.uri)


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
