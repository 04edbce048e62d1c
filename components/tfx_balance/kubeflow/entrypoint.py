"""What a compiled task calls in its container: TFX's entrypoint, with what KFP leaves out.

Takes the arguments of TFX's own (`tfx.orchestration.kubeflow.v2.container`), and hands over to it
in the same process once

- every artifact has a type, and is at a path that TFX can open (`task_artifacts`),
- a file-based ExampleGen knows the span and the files of its input, for which it has a driver that
  Vertex AI runs before the task and open-source KFP does not.

On Vertex AI none of these is missing, and TFX's entrypoint gets what this one got.
"""

from __future__ import annotations

import argparse
import json
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tfx_balance.kubeflow.task_artifacts import launcher_is_here, resolve_types, to_local, to_remote
from tfx_balance.tfrecord.storage import exists, read_whole, write_whole

MODULE = 'tfx_balance.kubeflow.entrypoint'
TFX_MODULE = 'tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor'

INVOCATION = '--json_serialized_invocation_args'  # TFX's
INPUTS_SPEC = '--json_serialized_inputs_spec_args'  # TFX's
OUTPUTS_SPEC = '--json_serialized_outputs_spec_args'  # ours
DRIVER = '--pre_cache_check'  # ours


@dataclass(frozen=True)
class Invocation:
  """The arguments of a task.

  Attributes:
    executor_input: KFP's ExecutorInput of this execution.
    inputs_spec: ComponentInputsSpec of the component.
    outputs_spec: Its ComponentOutputsSpec; empty if TFX compiled the pipeline.
    driver: Module to run before, which KFP may not have run.
    others: Other arguments of TFX, and Beam's.
  """

  executor_input: Mapping[str, Any]
  inputs_spec: Mapping[str, Any]
  outputs_spec: Mapping[str, Any]
  driver: str | None
  others: tuple[str, ...]

  @classmethod
  def parse(cls, arguments: Sequence[str]) -> Invocation:
    """Returns the invocation that command line arguments describe."""
    parser = argparse.ArgumentParser(prog=MODULE, allow_abbrev=False)
    parser.add_argument(INVOCATION, type=json.loads, required=True, dest='executor_input')
    parser.add_argument(INPUTS_SPEC, type=json.loads, default={}, dest='inputs_spec')
    parser.add_argument(OUTPUTS_SPEC, type=json.loads, default={}, dest='outputs_spec')
    parser.add_argument(DRIVER, dest='driver')
    known, others = parser.parse_known_args(arguments)
    return cls(**vars(known), others=tuple(others))

  @property
  def output_file(self) -> str:
    """Where the task is to describe its outputs, an ExecutorOutput."""
    return self.executor_input['outputs']['outputFile']

  def for_tfx(self) -> list[str]:
    """Returns the arguments that TFX's entrypoint takes."""
    arguments = [*self.others, INVOCATION, json.dumps(self.executor_input)]
    return (
      [*arguments, INPUTS_SPEC, json.dumps(self.inputs_spec)] if self.inputs_spec else arguments
    )


def run_task(arguments: Sequence[str]) -> None:
  """Runs a task as TFX's entrypoint does, given what it needs.

  Raises:
    ConfigError: if an artifact's type cannot be told.
  """
  given = Invocation.parse(arguments)
  task = replace(
    given,
    executor_input=resolve_types(given.executor_input, given.inputs_spec, given.outputs_spec),
  )
  in_folders = launcher_is_here(given.executor_input)
  if in_folders:
    task = replace(task, executor_input=to_local(task.executor_input))
  if task.driver and not exists(task.output_file):
    run_module(task.driver, task.for_tfx())
    task = replace(task, executor_input=add_metadata(task.executor_input, read(task.output_file)))
  run_module(TFX_MODULE, task.for_tfx())
  if in_folders:
    write(task.output_file, to_remote(read(task.output_file), given.executor_input))


def run_module(name: str, arguments: Sequence[str]) -> None:
  """Runs a module as `python -m` does; returns when it ends well.

  Raises:
    SystemExit: if it ends with another exit code than 0.
  """
  before = sys.argv
  sys.argv = [name, *arguments]
  try:
    runpy.run_module(name, run_name='__main__', alter_sys=True)
  except SystemExit as end:
    if end.code:
      raise
  finally:
    sys.argv = before


def add_metadata(
  executor_input: Mapping[str, Any], executor_output: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns an ExecutorInput whose outputs have the metadata that a driver gave them."""
  outputs = dict(executor_input['outputs'])
  outputs['artifacts'] = {
    name: {
      **artifacts,
      'artifacts': [
        {**artifact, 'metadata': {**artifact.get('metadata', {}), **found.get('metadata', {})}}
        for artifact, found in zip(
          artifacts['artifacts'],
          executor_output.get('artifacts', {}).get(name, artifacts)['artifacts'],
          strict=True,
        )
      ],
    }
    for name, artifacts in outputs['artifacts'].items()
  }
  return {**executor_input, 'outputs': outputs}


def read(path: str) -> dict[str, Any]:
  """Returns the JSON in a file."""
  return json.loads(read_whole(path))


def write(path: str, message: Mapping[str, Any]) -> None:
  """Writes a file of JSON."""
  write_whole(path, json.dumps(message).encode())


if __name__ == '__main__':
  run_task(sys.argv[1:])
