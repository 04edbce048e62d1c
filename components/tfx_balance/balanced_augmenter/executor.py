"""Runs BalancedAugmenter: decodes artifacts, calls the Beam transform, describes the output."""

from __future__ import annotations

from typing import Any

from tfx import types
from tfx.components.util import udf_utils
from tfx.types import artifact_utils
from tfx.utils import io_utils

from tfx_balance.balanced_augmenter import augment_source
from tfx_balance.balanced_augmenter.job import AugmentRequest
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.balanced_augmenter.transform import BalancedAugment
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import ExamplesExecutor


class Executor(ExamplesExecutor):
  """Writes the balanced artifact."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Balances `input_examples` into `examples`."""
    self._log_startup(input_dict, output_dict, exec_properties)
    parameters = AugmenterParameters.decode(exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    passed = passed_through(source, parameters)
    load_augment_fn = augment_source.loader(exec_properties)
    files = source.input_files(parameters.splits)
    made = [parameters.augmented_split] if parameters.augmented_split else parameters.splits

    def transform_of(**target: Any) -> BalancedAugment:
      request = AugmentRequest(parameters, **target)
      if load_augment_fn is not None:
        check_augmentable(request, load_augment_fn())
      return BalancedAugment(request, load_augment_fn)

    with udf_utils.TempPipInstallContext(self._wheels(exec_properties)):
      self.write_examples(source, output, files, passed, made, transform_of)

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
