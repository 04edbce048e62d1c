"""Runs BalancedAugmenter: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_balance.balanced_augmenter import augment_source
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.beam_executor import BeamExecutor
from tfx_balance.errors import ConfigError, plain_errors
from tfx_balance.examples_artifact import ExamplesInput, log_warnings
from tfx_balance.plan.sidecar import SIDECAR_NAME
from tfx_balance.transforms.augment import BalancedAugment, publish_augmented
from tfx_balance.transforms.augment_job import AugmentRequest
from tfx_balance.transforms.counters import check_counters
from tfx_balance.transforms.publish import write_outputs
from tfx_balance.transforms.records import suffix_of
from tfx_balance.transforms.work_files import read_json
from tfx_balance.transforms.work_folder import work_folder


class Executor(BeamExecutor):
  """Writes the balanced artifact."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Balances `input_examples` into `examples`.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the input.
      DataError: if the data or the augment function breaks one. Nothing has been published then.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = AugmenterParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    passed = passed_through(source, parameters)
    load_augment_fn = augment_source.loader(exec_properties)
    files = source.input_files(parameters.splits)
    copies = source.copies(passed, output.uri)
    wheels = self._wheels(exec_properties)
    reads = [file.path for file in files]
    with work_folder(output.uri, reads) as work_dir, udf_utils.TempPipInstallContext(wheels):
      request = AugmentRequest(
        label=parameters.label,
        balance=parameters.balance,
        augmented_split=parameters.augmented_split,
        seed=parameters.seed,
        missing=parameters.missing,
        missing_is_class=parameters.missing_is_class,
        payload=source.payload(),
        output_uri=output.uri,
        suffix=suffix_of(files[0].path),
        work_dir=work_dir,
        reading=parameters.reading,
        provenance=parameters.provenance,
        parameters=parameters.shown,
        augment_timeout=parameters.augment_timeout,
      )
      if load_augment_fn is not None:
        check_augmentable(request, load_augment_fn())
      with plain_errors(), self.beam_pipeline() as pipeline:
        transform = BalancedAugment(request, load_augment_fn)
        write_outputs(pipeline, files, transform, publish_augmented, copies, passed, work_dir)
    sidecar = read_json(f'{output.uri}/{SIDECAR_NAME}')
    check_counters(pipeline.result, sidecar)
    made = [parameters.augmented_split] if parameters.augmented_split else list(parameters.splits)
    source.carry_over(output, [*made, *passed])
    log_warnings(sidecar, output.uri)

  def _wheels(self, exec_properties: dict[str, Any]) -> list[str]:
    """Returns the wheels that TFX made of a module file, and has remote workers install them."""
    _, packages = udf_utils.decode_user_module_key(exec_properties.get('module_path') or '')
    wheels = [io_utils.ensure_local(package) for package in packages]
    self._beam_pipeline_args += [f'--extra_package={wheel}' for wheel in wheels]
    return wheels


def passed_through(source: ExamplesInput, parameters: AugmenterParameters) -> list[str]:
  """Returns the splits that are copied as they are.

  Raises:
    ConfigError: if a split is to be balanced that there is not, or one would be there twice.
  """
  others = source.others(parameters.splits, 'splits')
  apart = parameters.augmented_split
  if apart in source.splits:
    raise ConfigError(
      f'augmented_split={apart!r} is a split of the input already; give the new one another name'
    )
  return source.splits if apart else others


def check_augmentable(request: AugmentRequest, augment_fn: Any) -> None:
  """Checks that there is a function, and that it can be run on the records.

  Raises:
    ConfigError: if not.
  """
  if augment_fn is not None and request.payload != 'FORMAT_TF_EXAMPLE':
    raise ConfigError(
      f'augment_fn= works on FORMAT_TF_EXAMPLE, the input is {request.payload}; drop augment_fn= '
      f'for plain copies'
    )
