"""Runs the cases of every benchmark: each side in a process of its own, measured there.

A piece is a function, named as 'module:function', that takes keyword arguments and returns a
`Work`. Its process imports the module and calls the function before the clock starts, so that
imports and preparations are not in the time.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psutil

PROJECT = Path(__file__).resolve().parent.parent
FLOOR = 'isal D+C'
"""The figure that is the floor: to decompress once and compress once, as the package does."""
_SHOWN_LOG_LINES = 20


@dataclass(frozen=True)
class Work:
  """What a piece is to do.

  Attributes:
    run: Function that is timed.
    check: Function that takes what `run` returned, after the clock has stopped, and returns fields
      of `Measured` to set, or raises if the work was not done right.
    fresh_bytes: Memory that `run` fills anew, written files included, about; see `touch_memory`.
  """

  run: Callable[[], Any]
  check: Callable[[Any], Mapping[str, Any]] = lambda value: {'result': value}
  fresh_bytes: int = 0


@dataclass(frozen=True)
class Measured:
  """What one piece took.

  Attributes:
    seconds: Wall time of `Work.run`, or of the part of it in which records were counted.
    core_seconds: CPU time in these, of all threads and of child processes that ended meanwhile.
    peak_bytes: Largest resident memory until `Work.run` ended, imported libraries included. The
      kernel counts that of the process that starts it in, so this one should stay small.
    start_bytes: The same, when the clock started.
    other_cores: Cores that other processes kept busy meanwhile, on average.
    records: Number of records that came out.
    counts: The same by class or split.
    figures: What else is printed of a side, by the name of its column.
    result: What a piece that is no side of a case returned.
  """

  seconds: float
  core_seconds: float
  peak_bytes: int
  start_bytes: int
  other_cores: float
  records: int = 0
  counts: Mapping[str, int] = field(default_factory=dict)
  figures: Mapping[str, float] = field(default_factory=dict)
  result: Any = None


@dataclass(frozen=True)
class Piece:
  """A function, named as 'module:function', and its arguments, as JSON can hold them."""

  function: str
  arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
  """What is to be measured.

  Attributes:
    name: Input, in words.
    records: Number of records that come out, about.
    sides: Name of a side to its piece, which takes `data`, `root` and `beam_args` as well.
    peers: Sides that ours are compared with; the first is what every ratio refers to.
    ours: Sides that are compared with them.
    make: Piece that makes the input files; it takes `cache` and `beam_args` as well.
    floor: Piece that measures the floor; it takes `data` as well.
    shape: Sizes of the input, by name: cases that differ in one of them make a series.
    aim: Ratio that is aimed at in a full run.
  """

  name: str
  records: int
  sides: Mapping[str, Piece]
  peers: tuple[str, ...]
  ours: tuple[str, ...]
  make: Piece | None = None
  floor: Piece | None = None
  shape: Mapping[str, Any] = field(default_factory=dict)
  aim: float | None = None


@dataclass(frozen=True)
class Result:
  """What was measured on one case of any benchmark.

  Attributes:
    benchmark: Name of the benchmark.
    case: What was to be measured; `case.records` is what all the seconds are of.
    sizes: Bytes of the input: 'raw_bytes' decompressed, 'file_bytes' as it is.
    floor: Core-seconds of decompressing (D) and compressing (C) by each library, and nothing else.
    runs: Side to its runs.
    errors: Ends of the logs of runs that failed.
  """

  benchmark: str
  case: Case
  sizes: Mapping[str, float]
  floor: Mapping[str, float]
  runs: Mapping[str, Sequence[Measured]]
  errors: Sequence[str]

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> Result:
    """Returns what `asdict` gave."""
    runs = {side: [Measured(**run) for run in runs] for side, runs in data['runs'].items()}
    return cls(**{**data, 'case': Case(**data['case']), 'runs': runs})

  def median(self, side: str, figure: Callable[[Measured], float]) -> float | None:
    """Returns the median of a figure of a side's runs; None if all failed."""
    values = [figure(run) for run in self.runs.get(side, ())]
    return statistics.median(values) if values else None

  def rate(self, side: str) -> float | None:
    """Returns the records a second of a side; None if all runs failed."""
    return self.median(side, lambda run: run.records / run.seconds)

  def seconds(self, side: str) -> float | None:
    """Returns the seconds that a side takes for all the records; None if all runs failed."""
    rate = self.rate(side)
    return self.case.records / rate if rate else None

  def core_seconds(self, side: str) -> float | None:
    """Returns the core-seconds that a side takes for these; None if all runs failed."""
    each = self.median(side, lambda run: run.core_seconds / run.records)
    return None if each is None else each * self.case.records

  def peak_bytes(self, side: str) -> int | None:
    """Returns the most memory that a side had; None if all runs failed."""
    return max((run.peak_bytes for run in self.runs.get(side, ())), default=None)

  def ratio(self, side: str, peer: str | None = None) -> float | None:
    """Returns how many times the records a second of a peer a side has; None if either failed."""
    peer = peer or next(iter(self.case.peers), '')
    own, other = self.rate(side), self.rate(peer)
    return own / other if own and other else None


class PieceError(RuntimeError):
  """A piece failed: the message has the end of its log."""


Runner = Callable[..., Measured]
"""Runs a piece: `run_piece`, or in a test, `run_here`."""


def run_piece(piece: Piece, **more: Any) -> Measured:
  """Returns what a piece took in a new process; raises `PieceError` if that fails."""
  with tempfile.TemporaryDirectory(prefix='tfx-balance-') as folder:
    answer, log = Path(folder, 'answer.json'), Path(folder, 'log.txt')
    given = json.dumps({**piece.arguments, **more})
    script = 'import sys; from benchmarks import harness; harness.main(*sys.argv[1:])'
    command = [sys.executable, '-c', script, piece.function, given, str(answer)]
    with log.open('wb') as output:
      done = subprocess.run(command, env=_environment(), stdout=output, stderr=output, check=False)
    if done.returncode:
      lines = log.read_text(errors='replace').splitlines()[-_SHOWN_LOG_LINES:]
      raise PieceError('\n'.join([f'{piece.function} ended with code {done.returncode}:', *lines]))
    return Measured(**json.loads(answer.read_text()))


def run_here(piece: Piece, **more: Any) -> Measured:
  """Runs a piece in this process and returns what it took."""
  module, function = piece.function.split(':')
  return measure(getattr(importlib.import_module(module), function)(**piece.arguments, **more))


def measure(work: Work) -> Measured:
  """Runs the work in this process and returns what it took."""
  touch_memory(work.fresh_bytes)
  os.sync()  # what earlier pieces wrote is not this one's to wait for
  start_bytes = _peak_bytes()
  clocks = (time.perf_counter, core_seconds, _machine_seconds)
  before = [clock() for clock in clocks]
  value = work.run()
  seconds, core, busy = (clock() - start for clock, start in zip(clocks, before, strict=True))
  others = max(0.0, busy - core) / seconds
  measured = Measured(seconds, core, _peak_bytes(), start_bytes, others)
  return Measured(**{**asdict(measured), **work.check(value)})


_FILL = """
import mmap, sys
n = int(sys.argv[1])
with mmap.mmap(-1, n, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
  if hasattr(mmap, 'MADV_HUGEPAGE'):  # whole free blocks are what a host takes
    memory.madvise(mmap.MADV_HUGEPAGE)
  for start in range(0, n, 1 << 20):
    memory[start : start + (1 << 20)] = b'1' * min(1 << 20, n - start)
"""


def touch_memory(n_bytes: int) -> None:
  """Fills about n_bytes and gives them back, so that what is measured does not pay for first use.

  A virtual machine may give free memory back to its host and fetch it again page by page, in 2.5
  seconds a GB where filling it takes 0.1. At most three quarters of what is free is filled, in a
  process of its own: in this one it would count as peak memory.
  """
  n = min(n_bytes, psutil.virtual_memory().free * 3 // 4)
  if n > 0:
    subprocess.run([sys.executable, '-S', '-c', _FILL, str(n)], check=True)


def core_seconds() -> float:
  """Returns the CPU time of this process so far, and of its children that ended."""
  used = psutil.Process().cpu_times()
  return used.user + used.system + used.children_user + used.children_system


def _machine_seconds() -> float:
  """Returns the core-seconds that all processes have used since the machine started."""
  used = psutil.cpu_times()
  return sum(getattr(used, name, 0.0) for name in _BUSY)


_BUSY = ('user', 'nice', 'system', 'irq', 'softirq', 'steal')


def _peak_bytes() -> int:
  """Returns the largest resident memory so far, which psutil does not tell on Linux."""
  return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _environment() -> dict[str, str]:
  """Returns the environment of pieces: this one, the project on the path, TensorFlow quiet."""
  path = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get('PYTHONPATH')])])
  quiet = {'PYTHONWARNINGS': 'ignore', 'TF_CPP_MIN_LOG_LEVEL': '3'}
  environment = {**os.environ, **quiet, 'PYTHONPATH': path}
  if environment.pop('PYTHONDONTWRITEBYTECODE', None):  # or each piece compiles all it imports
    folder = f'tfx-balance-bytecode-{os.getuid()}'
    environment['PYTHONPYCACHEPREFIX'] = os.path.join(tempfile.gettempdir(), folder)
  return environment


def run_case(
  benchmark: str, case: Case, repeat: int, beam_args: Sequence[str], cache: Path, run: Runner
) -> Result:
  """Makes the files of a case in the cache, and measures the floor and each side on them."""
  data, runs, errors = None, {side: list[Measured]() for side in case.sides}, []
  if case.make:
    progress(f'{case.name}: input files')
    data = run(case.make, cache=str(cache), beam_args=beam_args).result
  floor = run(case.floor, data=data).result if case.floor else {}
  for side, piece in list(case.sides.items()) * repeat:
    progress(f'{case.name}: {side}')
    root = _new_folder(cache)
    try:
      runs[side].append(run(piece, data=data, root=str(root), beam_args=beam_args))
    except PieceError as error:
      progress(f'{case.name}: {side} FAILED\n{error}')
      errors.append(str(error))
    finally:
      shutil.rmtree(root, ignore_errors=True)
  names = ('raw_bytes', 'file_bytes')
  sizes = {name: data[name] for name in names} if data else {}
  return Result(benchmark, case, sizes, floor, runs, errors)


def _new_folder(cache: Path) -> Path:
  """Returns a folder for a run that is not there, and removes what killed runs have left."""
  for folder in cache.glob('run-*'):
    process = int(folder.name.removeprefix('run-'))
    if process == os.getpid() or not psutil.pid_exists(process):
      shutil.rmtree(folder)
  cache.mkdir(parents=True, exist_ok=True)
  return cache / f'run-{os.getpid()}'


def progress(text: str) -> None:
  """Prints a line with the time to standard error."""
  print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)


def main(function: str, arguments: str, answer: str) -> None:
  """Runs a piece in this process and writes what it took to a file."""
  # A logger without a handler makes the libraries log to stderr, at length, at import.
  import logging

  logging.basicConfig(level=logging.WARNING)
  found = run_here(Piece(function, json.loads(arguments)))
  Path(answer).write_text(json.dumps(asdict(found)))
