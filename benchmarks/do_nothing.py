"""A component that does nothing: what any pipeline of one component costs."""

from __future__ import annotations

from typing import Any, ClassVar

from tfx import types
from tfx.dsl.components.base import base_beam_component, base_beam_executor, executor_spec
from tfx.types import component_spec, standard_artifacts

_EXAMPLES = component_spec.ChannelParameter(type=standard_artifacts.Examples)


class DoNothingExecutor(base_beam_executor.BaseBeamExecutor):
  """Returns at once."""

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Does nothing."""


class DoNothingSpec(types.ComponentSpec):
  """Inputs and outputs of `DoNothing`: those of a component from examples to examples."""

  PARAMETERS: ClassVar[dict[str, Any]] = {}
  INPUTS: ClassVar[dict[str, Any]] = {'input_examples': _EXAMPLES}
  OUTPUTS: ClassVar[dict[str, Any]] = {'examples': _EXAMPLES}


class DoNothing(base_beam_component.BaseBeamComponent):
  """What any component of one input costs before it does anything."""

  SPEC_CLASS = DoNothingSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(DoNothingExecutor)

  def __init__(self, input_examples: types.BaseChannel) -> None:
    output = types.Channel(type=standard_artifacts.Examples)
    super().__init__(spec=DoNothingSpec(input_examples=input_examples, examples=output))
