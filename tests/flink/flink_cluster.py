"""A small Flink cluster on this machine: a job manager, task managers, a job server and workers.

Every part is a process of its own, as on a real cluster, so that any of them can be killed. The
workers are Python processes in this environment, started by the task managers.

    python -m tests.flink.flink_cluster    # runs until Ctrl-C, and prints the arguments for Beam
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from tests.flink.job_server_jars import FLINK, JarError, find_jars, one_jar

_SECONDS_TO_START = 90
_ENTRY = 'org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint'
_TASK_MANAGER = 'org.apache.flink.runtime.taskexecutor.TaskManagerRunner'
_WORKER = Path(__file__).resolve().with_name('flink_worker.py')
# Flink opens these to its serializers by its own start scripts.
_OPENED = ('java.lang', 'java.net', 'java.io', 'java.nio', 'java.text', 'java.time', 'java.util')
_SETTINGS = {
  'jobmanager.rpc.address': '127.0.0.1',
  'rest.address': '127.0.0.1',
  'taskmanager.host': '127.0.0.1',
  'taskmanager.cpu.cores': 1,
  'taskmanager.memory.framework.heap.size': '128m',
  'taskmanager.memory.framework.off-heap.size': '128m',
  'taskmanager.memory.task.heap.size': '256m',
  'taskmanager.memory.task.off-heap.size': '0m',
  'taskmanager.memory.network.min': '256m',
  'taskmanager.memory.network.max': '256m',
  'taskmanager.memory.managed.size': '128m',
  'taskmanager.memory.jvm-metaspace.size': '256m',
  'taskmanager.memory.jvm-overhead.min': '192m',
  'taskmanager.memory.jvm-overhead.max': '192m',
  # A shuffle asks for 512 buffers otherwise, and a pipeline has dozens.
  'taskmanager.network.sort-shuffle.min-buffers': 32,
  # A lost task manager is to be noticed in seconds, and its slots are to be spread over the others.
  'heartbeat.interval': 1000,
  'heartbeat.timeout': 6000,
  'cluster.evenly-spread-out-slots': 'true',
  # What fails is tried again; the default is not to.
  'restart-strategy.type': 'fixed-delay',
  'restart-strategy.fixed-delay.attempts': 3,
  'restart-strategy.fixed-delay.delay': '4 s',
  # All classes are on the class path of every process already.
  'classloader.resolve-order': 'parent-first',
}


class ClusterError(Exception):
  """The cluster does not run; the message has the end of a log."""


class FlinkCluster:
  """A running cluster; a context manager, at whose end all its processes end.

  Attributes:
    folder: Folder of its settings and logs.
    slots: Number of tasks that run at once.
  """

  def __init__(self, task_managers: int = 2, slots_each: int = 2) -> None:
    self._jars = find_jars(FLINK)
    self.slots = task_managers * slots_each
    self._slots_each = slots_each
    self._n_task_managers = task_managers
    self._processes: dict[str, subprocess.Popen[bytes]] = {}
    self._ports: dict[str, int] = {}
    self.folder = Path()

  def __enter__(self) -> FlinkCluster:
    self.folder = Path(tempfile.mkdtemp(prefix='tfx-balance-flink-'))
    try:
      self._start()
    except BaseException:
      self.__exit__()
      raise
    return self

  def __exit__(self, *_: object) -> None:
    for name in reversed(list(self._processes)):
      end_group(self._processes[name])
    shutil.rmtree(self.folder, ignore_errors=True)

  @property
  def beam_args(self) -> list[str]:
    """What a pipeline is to be given to run here, one task on each task manager."""
    return [
      '--runner=PortableRunner',
      f'--job_endpoint=127.0.0.1:{self._ports["job"]}',
      '--environment_type=PROCESS',
      '--environment_config=' + json.dumps({'command': str(self.folder / 'worker')}),
      # Workers stay for the next stage, which saves their imports; not as long as a restart waits,
      # for dead ones stay too.
      '--environment_cache_millis=2000',
      f'--parallelism={self._n_task_managers}',
    ]

  @property
  def flink_runner_args(self) -> list[str]:
    """The same for FlinkRunner, which starts a job server of its own."""
    return [
      '--runner=FlinkRunner',
      f'--flink_master=127.0.0.1:{self._ports["rest"]}',
      f'--flink_job_server_jar={one_jar(FLINK)}',
      *self.beam_args[2:],
    ]

  def worker_pids(self) -> list[int]:
    """Returns the processes of the Python workers that run now."""
    return [pid for name in self._task_managers() for pid in children(self._processes[name].pid)]

  def kill_workers(self) -> list[int]:
    """Kills the Python workers, as a machine short of memory would; returns who they were."""
    pids = self.worker_pids()
    for pid in pids:
      with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    return pids

  def kill_task_manager(self, number: int) -> None:
    """Kills a task manager and its workers, as if its machine were lost."""
    os.killpg(self._processes[f'task-manager-{number}'].pid, signal.SIGKILL)

  def restore(self) -> None:
    """Starts the task managers that were killed, and waits until all the slots are there."""
    for name in self._task_managers():
      known = self._processes.get(name)
      if known is None or known.poll() is not None:
        self._start_java(name, _TASK_MANAGER, '--configDir', str(self.folder))
    self._wait(lambda: self._free_slots() == self.slots, 'task-manager-0')

  def jobs(self) -> list[dict[str, Any]]:
    """Returns the jobs that have ended, oldest first: name, state, hosts that had a part in it."""
    found = self._ask('/jobs/overview')['jobs']
    ended = sorted((job for job in found if job['end-time'] > 0), key=lambda job: job['start-time'])
    return [
      {'name': job['name'], 'state': job['state'], 'hosts': self._n_hosts(job['jid'])}
      for job in ended
    ]

  def log(self, name: str, lines: int = 20) -> str:
    """Returns the end of a process's log."""
    path = self.folder / f'{name}.log'
    text = path.read_text(encoding='utf-8', errors='replace') if path.exists() else ''
    return '\n'.join(text.splitlines()[-lines:])

  def _start(self) -> None:
    names = ('rpc', 'rest', 'job', 'artifact', 'expansion')
    self._ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = {
      **_SETTINGS,
      'jobmanager.rpc.port': self._ports['rpc'],
      'rest.port': self._ports['rest'],
      'taskmanager.numberOfTaskSlots': self._slots_each,
      'io.tmp.dirs': self.folder / 'tmp',
    }
    lines = ''.join(f'{key}: {value}\n' for key, value in settings.items())
    (self.folder / 'flink-conf.yaml').write_text(lines, encoding='utf-8')
    self._start_java('job-manager', _ENTRY, '--configDir', str(self.folder))
    self._start_java(
      'job-server',
      FLINK.main_class,
      f'--flink-master=127.0.0.1:{self._ports["rest"]}',
      f'--job-port={self._ports["job"]}',
      f'--artifact-port={self._ports["artifact"]}',
      f'--expansion-port={self._ports["expansion"]}',
      f'--artifacts-dir={self.folder / "artifacts"}',
    )
    write_program(
      self.folder / 'worker', [sys.executable, str(_WORKER)], self.folder / 'worker.log'
    )
    self._wait(lambda: answers(self._ports['job']), 'job-server')
    self.restore()

  def _task_managers(self) -> list[str]:
    return [f'task-manager-{i}' for i in range(self._n_task_managers)]

  def _start_java(self, name: str, main_class: str, *arguments: str) -> None:
    opened = [f'--add-opens=java.base/{package}=ALL-UNNAMED' for package in _OPENED]
    class_path = os.pathsep.join(self._jars)
    command = ['java', '-Xmx768m', *opened, '-cp', class_path, main_class, *arguments]
    with (self.folder / f'{name}.log').open('ab') as log:
      # A group of its own: Ctrl-C in a terminal ends the cluster in order, by __exit__.
      self._processes[name] = subprocess.Popen(
        command, stdout=log, stderr=log, start_new_session=True
      )

  def _free_slots(self) -> int:
    try:
      return int(self._ask('/overview')['slots-available'])
    except (OSError, ValueError, KeyError):
      return -1

  def _n_hosts(self, job: str) -> int:
    """Returns how many task managers had tasks of a job."""
    names = set()
    for vertex in self._ask(f'/jobs/{job}')['vertices']:
      found = self._ask(f'/jobs/{job}/vertices/{vertex["id"]}/taskmanagers')
      names |= {one['taskmanager-id'] for one in found['taskmanagers']}
    return len(names)

  def _ask(self, path: str) -> Any:
    url = f'http://127.0.0.1:{self._ports["rest"]}{path}'
    with urllib.request.urlopen(url, timeout=10) as answer:
      return json.load(answer)

  def _wait(self, is_ready, name: str) -> None:
    end = time.monotonic() + _SECONDS_TO_START
    while not is_ready():
      if self._processes[name].poll() is not None or time.monotonic() > end:
        raise ClusterError(f"Flink's {name} did not start:\n{self.log(name)}")
      time.sleep(0.1)


def free_ports(n: int) -> list[int]:
  """Returns ports that nobody uses."""
  with contextlib.ExitStack() as stack:
    sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
    for one in sockets:
      one.bind(('127.0.0.1', 0))
    return [one.getsockname()[1] for one in sockets]


def answers(port: int) -> bool:
  """Whether something listens on a port of this machine."""
  with socket.socket() as probe:
    return probe.connect_ex(('127.0.0.1', port)) == 0


def children(parent: int) -> list[int]:
  """Returns the processes that a process has started and that run now."""
  listed = subprocess.run(
    ['ps', '-o', 'pid=,stat=', '--ppid', str(parent)],
    stdout=subprocess.PIPE,
    text=True,
    check=False,
  )
  rows = [line.split() for line in listed.stdout.splitlines()]
  return [int(pid) for pid, state in rows if not state.startswith('Z')]


def write_program(path: Path, command: list[str], log: Path) -> None:
  """Writes a program that runs a command with what it is given; its output goes to a log."""
  quoted = ' '.join(map(shlex.quote, command))
  path.write_text(f'#!/bin/sh\nexec {quoted} "$@" >> {shlex.quote(str(log))} 2>&1\n', 'utf-8')
  path.chmod(0o755)


def end_group(process: subprocess.Popen[bytes]) -> None:
  """Ends a process that leads a group, and all of the group."""
  for sign, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
    with contextlib.suppress(ProcessLookupError):
      os.killpg(process.pid, sign)
    with contextlib.suppress(subprocess.TimeoutExpired):
      process.wait(seconds)


def main() -> None:
  """Runs a cluster until it is stopped by Ctrl-C."""
  signal.signal(signal.SIGTERM, lambda *_: sys.exit())
  try:
    with FlinkCluster() as cluster:
      print(f'{FLINK.version}, {cluster.slots} slots; give a pipeline these arguments for Beam:')
      print(shlex.join(cluster.beam_args), flush=True)
      while True:
        signal.pause()
  except (JarError, ClusterError) as error:
    sys.exit(str(error))
  except KeyboardInterrupt:
    pass


if __name__ == '__main__':
  main()
