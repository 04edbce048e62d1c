"""Runs BalancedAugmenter: decodes its arguments and artifacts."""

from __future__ import annotations

from typing import Any

from tfx.components.util import udf_utils
from tfx.utils import io_utils

from tfx_balance.balanced_augmenter import augment_source
from tfx_balance.balanced_augmenter.output_plan import AugmentContext
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.balanced_augmenter.transform import BalancedAugment
from tfx_balance.errors import ConfigError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import Artifacts, ExamplesExecutor, ExamplesRun


class Executor(ExamplesExecutor):
  """Writes the balanced artifact."""

  def prepare(
    self, source: ExamplesInput, inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]
  ) -> ExamplesRun:
    """Returns the files, splits and transform that balance `input_examples`."""
    del inputs, outputs
    parameters = AugmenterParameters.decode(properties)
    others, apart = source.others(parameters.splits, 'splits'), parameters.augmented_split
    if apart in source.splits:
      raise ConfigError(
        f'augmented_split={apart!r} is a split of the input already; give the new one another name'
      )
    load_augment_fn = augment_source.loader(properties)

    def transform_of(**target: Any) -> BalancedAugment:
      context = AugmentContext(parameters, **target)
      augments = load_augment_fn is not None and load_augment_fn() is not None
      if augments and context.payload != 'FORMAT_TF_EXAMPLE':
        raise ConfigError(
          f'augment_fn= works on FORMAT_TF_EXAMPLE, the input is {context.payload}; drop '
          f'augment_fn= for plain copies'
        )
      return BalancedAugment(context, load_augment_fn)

    # TFX makes a wheel of a module file, which remote workers install too.
    _, packages = udf_utils.decode_user_module_key(properties.get('module_path') or '')
    wheels = [io_utils.ensure_local(package) for package in packages]
    self._beam_pipeline_args += [f'--extra_package={wheel}' for wheel in wheels]
    return ExamplesRun(
      source.input_files(parameters.splits),
      source.splits if apart else others,
      [apart] if apart else parameters.splits,
      transform_of,
      udf_utils.TempPipInstallContext(wheels),
    )
