"""Entrypoint of a compiled task's container: TFX's, with additions for KFP.

Takes the arguments of TFX's own (`tfx.orchestration.kubeflow.v2.container`), and hands over to it
in the same process once

- every artifact has a type and a name of its own, and is at a path that TFX can open
  (`task_artifacts`),
- a file-based ExampleGen knows the span and the files of its input, for which it has a driver that
  Vertex AI runs before the task and open-source KFP does not.

On Vertex AI none of these is missing, and TFX's entrypoint gets what this one got. After the task,
the process ends without what could still abort it.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import copy
import ctypes
import json
import os
import runpy
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from tfx_balance.kubeflow.task_artifacts import (
  launcher_is_here,
  make_output_folders,
  resolve_types,
  task_folders,
  to_local,
  to_remote,
)
from tfx_balance.tfrecord.storage import exists, read_whole, write_whole

MODULE = 'tfx_balance.kubeflow.entrypoint'
TFX_MODULE = 'tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor'

INVOCATION = '--json_serialized_invocation_args'  # TFX's
INPUTS_SPEC = '--json_serialized_inputs_spec_args'  # TFX's
OUTPUTS_SPEC = '--json_serialized_outputs_spec_args'  # ours
DRIVER = '--pre_cache_check'  # ours

# Beam runners whose workers are in the container that starts them.
_RUNNERS_IN_POD = {
  'directrunner',
  'switchingdirectrunner',
  'bundlebaseddirectrunner',
  'fnapirunner',
  'prismrunner',
  'interactiverunner',
}


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
    own, others = parser.parse_known_args(arguments)
    return cls(**vars(own), others=tuple(others))

  @property
  def output_file(self) -> str:
    """Where the task is to describe its outputs, an ExecutorOutput."""
    return self.executor_input['outputs']['outputFile']

  def for_tfx(self) -> list[str]:
    """Returns the arguments that TFX's entrypoint takes."""
    inputs = [INPUTS_SPEC, json.dumps(self.inputs_spec)] if self.inputs_spec else []
    return [*self.others, INVOCATION, json.dumps(self.executor_input), *inputs]


def run_task(arguments: Sequence[str]) -> None:
  """Runs a task as TFX's entrypoint does, given what it needs.

  Raises:
    ConfigError: if an artifact's type is not known, or another one than the component takes.
    SystemExit: if TFX's entrypoint ends with another exit code than 0.
  """
  given = Invocation.parse(arguments)
  executor_input = resolve_types(given.executor_input, given.inputs_spec, given.outputs_spec)
  folders = task_folders(runs_in_pod(given.others))
  task = replace(given, executor_input=to_local(executor_input, folders))
  if task.driver and not exists(task.output_file):
    run_module(task.driver, task.for_tfx())
    described = json.loads(read_whole(task.output_file))
    task = replace(task, executor_input=add_metadata(task.executor_input, described))
  run_module(TFX_MODULE, task.for_tfx())
  if launcher_is_here():
    described = to_remote(json.loads(read_whole(task.output_file)), executor_input, folders)
    write_whole(task.output_file, json.dumps(described).encode())
    make_output_folders(executor_input, task_folders(workers_are_here=True))


def runs_in_pod(beam_args: Sequence[str]) -> bool:
  """Returns whether arguments for Beam choose a runner whose workers are in this container.

  >>> runs_in_pod(['--runner=FnApiRunner']), runs_in_pod(['--runner', 'DataflowRunner'])
  (True, False)
  """
  parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
  parser.add_argument('--runner', default='DirectRunner')
  runner = parser.parse_known_args(beam_args)[0].runner
  return runner.rpartition('.')[2].lower() in _RUNNERS_IN_POD


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
  merged = copy.deepcopy(dict(executor_input))
  for name, given in executor_output.get('artifacts', {}).items():
    if name in merged['outputs']['artifacts']:
      artifacts = merged['outputs']['artifacts'][name]['artifacts']
      for artifact, found in zip(artifacts, given['artifacts'], strict=True):
        artifact['metadata'] = {**artifact.get('metadata', {}), **found.get('metadata', {})}
  return merged


def exit_code_of(arguments: Sequence[str]) -> int:
  """Runs a task; returns the exit code that Python would end with, its error printed."""
  try:
    run_task(arguments)
  except SystemExit as end:
    if end.code is None or isinstance(end.code, int):
      return end.code or 0
    print(end.code, file=sys.stderr)
    return 1
  except BaseException:
    traceback.print_exc()
    return 1
  return 0


def end_process(exit_code: int) -> NoReturn:
  """Ends this process as Python does, but for the destruction of its objects.

  Threads are waited for, and handlers of `atexit` are run: they end child processes, flush logs,
  delete temporary folders, and finish what a user's tracker of experiments sends. Objects of C++
  are not destroyed, since threads of TensorFlow that still use them then abort the process ("pure
  virtual method called", exit code 134), and KFP takes a finished task for a failed one.
  """
  try:
    threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its children
    atexit._run_exitfuncs()
  except BaseException:
    traceback.print_exc()
  for stream in (sys.stdout, sys.stderr):
    with contextlib.suppress(Exception):
      stream.flush()
  ctypes.CDLL(None).fflush(None)  # what C has buffered
  os._exit(exit_code)


if __name__ == '__main__':
  end_process(exit_code_of(sys.argv[1:]))
