"""Ways to run the command of a pod: in this process, or in one that is forked for it."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import ForkServerContext
from pathlib import Path
from unittest import mock

from tfx_balance.kubeflow import entrypoint, task_artifacts
from tfx_balance.kubeflow.task_artifacts import task_folders

from tests.kubeflow.launcher_double import Pod

# This module first: TFX imports IPython, which has a package `tests` that is then found instead.
PRELOADED = [
  __name__,
  'tfx.v1',
  'tfx.orchestration.kubeflow.v2.container.kubeflow_v2_run_executor',
]


def run_here(pod: Pod, run: Callable[[Sequence[str]], None] = entrypoint.run_task) -> int:
  """Runs a task in this process; raises what it raises."""
  with _inside(pod):
    run(pod.arguments)
  return 0


class ForkedPods:
  """Runs each task in a process of its own, forked from one that has imported TFX.

  As in a pod of KFP, the task has no credentials for any storage.
  """

  def __init__(self) -> None:
    context = multiprocessing.get_context('forkserver')
    assert isinstance(context, ForkServerContext)
    self._context = context
    self._context.set_forkserver_preload(PRELOADED)

  def __call__(self, pod: Pod) -> int:
    process = self._context.Process(target=_run_command, args=(pod,))
    process.start()
    process.join()
    return process.exitcode or 0


def _run_command(pod: Pod) -> None:
  """Becomes `python -m MODULE ARGUMENTS`, its output written to the log."""
  assert pod.log is not None
  with pod.log.open('wb') as log:
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
  for name in [n for n in os.environ if n.startswith(('AWS_', 'GOOGLE_'))]:
    del os.environ[name]
  os.chdir(pod.folder)
  sys.argv = ['', *pod.arguments]
  with _inside(pod):
    runpy.run_module(pod.command[2], run_name='__main__', alter_sys=True)


@contextlib.contextmanager
def _inside(pod: Pod) -> Iterator[None]:
  """Has this process see a pod's environment, and the pod's folder as the root of folders."""
  folders = folders_in(pod.folder)
  with (
    mock.patch.dict(os.environ, pod.environment),
    mock.patch.object(entrypoint, 'task_folders', folders),
    mock.patch.object(task_artifacts, 'task_folders', folders),  # of an entrypoint run anew
  ):
    yield


def folders_in(root: Path) -> Callable[[bool], dict[str, str]]:
  """Returns `task_folders` with another root of folders."""
  return lambda workers_are_here: {
    s: f'{root}{f}' for s, f in task_folders(workers_are_here).items()
  }
