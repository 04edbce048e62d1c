"""Runs a piece of work in a process of its own, and measures it there.

A piece is a function, named as 'module:function', that takes keyword arguments and returns a
`Work`. Its process imports the module and calls the function before the clock starts, so that
imports and preparations are not in the time.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.touch_memory import touch_memory

PROJECT = Path(__file__).resolve().parent.parent
_SHOWN_LOG_LINES = 20


@dataclass(frozen=True)
class Work:
  """What a piece is to do.

  Attributes:
    run: is timed.
    check: takes what `run` returned, after the clock has stopped; returns the result, as JSON, or
      raises if the work was not done right.
    fresh_bytes: of memory that `run` fills anew, written files included, about; see `touch_memory`.
  """

  run: Callable[[], Any]
  check: Callable[[Any], Any] = lambda value: value
  fresh_bytes: int = 0


@dataclass(frozen=True)
class Measured:
  """What one piece took.

  Attributes:
    seconds: of `Work.run`, by the wall clock.
    cpu_seconds: of `Work.run`: of all threads, and of child processes that ended meanwhile.
    peak_bytes: the most memory that the process had resident until `Work.run` ended: interpreter,
      imported libraries and mapped files included, child processes not. The kernel counts that of
      the process that starts it in, so this one should stay small.
    start_bytes: the same, when the clock started.
    other_cores: that other processes kept busy meanwhile, on average; None where the system does
      not tell. Much above 0, and the time is not this piece's alone.
    result: of `Work.check`.
  """

  seconds: float
  cpu_seconds: float
  peak_bytes: int
  start_bytes: int
  other_cores: float | None
  result: Any


def median(values: Sequence[float]) -> float | None:
  """Returns the median; None of nothing, as where all runs failed."""
  return statistics.median(values) if values else None


def most_other_cores(runs: Mapping[str, Sequence[Measured]]) -> float:
  """Returns the most cores that other processes kept busy during a run; 0 where none are known."""
  return max((run.other_cores or 0.0 for side in runs.values() for run in side), default=0.0)


class PieceError(RuntimeError):
  """A piece failed: the message has the end of its log."""


def run_piece(piece: str, **arguments: Any) -> Measured:
  """Runs a piece in a new process and returns what it took.

  Args:
    piece: 'module:function'; the module is imported with the project's root on the path.
    **arguments: of the function, as JSON can hold them.

  Raises:
    PieceError: if the process fails, or is killed.
  """
  with tempfile.TemporaryDirectory(prefix='tfx-balance-') as folder:
    answer, log = Path(folder, 'answer.json'), Path(folder, 'log.txt')
    command = [sys.executable, '-m', 'benchmarks.measure', piece, json.dumps(arguments)]
    with log.open('wb') as output:
      done = subprocess.run(
        [*command, str(answer)], env=_environment(), stdout=output, stderr=output, check=False
      )
    if done.returncode:
      lines = log.read_text(errors='replace').splitlines()[-_SHOWN_LOG_LINES:]
      raise PieceError('\n'.join([f'{piece} ended with code {done.returncode}:', *lines]))
    return Measured(**json.loads(answer.read_text()))


def measure(work: Work) -> Measured:
  """Runs the work in this process and returns what it took."""
  touch_memory(work.fresh_bytes)
  os.sync()  # what earlier pieces wrote is not this one's to wait for
  start_bytes = _peak_bytes()
  busy, cpu, start = _machine_seconds(), _cpu_seconds(), time.perf_counter()
  value = work.run()
  seconds, cpu, busy = time.perf_counter() - start, _cpu_seconds() - cpu, _machine_seconds() - busy
  peak_bytes = _peak_bytes()
  others = None if math.isnan(busy) else max(0.0, busy - cpu) / seconds
  return Measured(seconds, cpu, peak_bytes, start_bytes, others, work.check(value))


def main(piece: str, arguments: str, answer: str) -> None:
  """Runs a piece in this process and writes what it took to a file."""
  # A logger without a handler makes the libraries log to stderr, at length, at import.
  import logging

  logging.basicConfig(level=logging.WARNING)
  module, function = piece.split(':')
  work = getattr(importlib.import_module(module), function)(**json.loads(arguments))
  Path(answer).write_text(json.dumps(asdict(measure(work))))


def _environment() -> dict[str, str]:
  """Returns the environment of pieces: this one, the project on the path, TensorFlow quiet."""
  environment = {
    **os.environ,
    'PYTHONPATH': os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get('PYTHONPATH')])]),
    'PYTHONWARNINGS': 'ignore',
    'TF_CPP_MIN_LOG_LEVEL': '3',
  }
  if sys.dont_write_bytecode:  # or all that is imported would be compiled anew by each piece
    environment.pop('PYTHONDONTWRITEBYTECODE', None)
    folder = f'tfx-balance-bytecode-{os.getuid()}'
    environment['PYTHONPYCACHEPREFIX'] = os.path.join(tempfile.gettempdir(), folder)
  return environment


def _peak_bytes() -> int:
  peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return peak if sys.platform == 'darwin' else peak * 1024


def _cpu_seconds() -> float:
  used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
  return sum(u.ru_utime + u.ru_stime for u in used)


def _machine_seconds() -> float:
  """Returns the core-seconds that all processes have used since the start; nan where unknown."""
  stat = Path('/proc/stat')
  if not stat.exists():
    return math.nan
  user, nice, system, _idle, _wait, irq, softirq, steal = stat.read_text().split()[1:9]
  ticks = sum(map(int, (user, nice, system, irq, softirq, steal)))
  return ticks / os.sysconf('SC_CLK_TCK')


if __name__ == '__main__':
  main(*sys.argv[1:])
