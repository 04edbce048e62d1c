"""Runs the cases of every benchmark; each side is measured in its own process.

A piece is a function, named as 'module:function', that takes keyword arguments and returns a
`Work`. Its process imports the module and calls the function before timing starts, so that imports
and preparation are not measured.
"""

from __future__ import annotations

import importlib
import json
import os
import re
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
"""Name of the floor: the time of one decompression and one compression, as in the package."""
IMAGE_FLOOR = 'decode + operations + encode'
"""Name of the floor of augmented images."""
_SHOWN_LOG_LINES = 20


@dataclass(frozen=True)
class Work:
  """Work of a piece.

  Attributes:
    run: Function that is timed.
    check: Function from the result of `run` to fields of `Measured`, not timed; raises if wrong.
    fresh_bytes: Approximate bytes that `run` uses, written files included; see `touch_memory`.
  """

  run: Callable[[], Any]
  check: Callable[[Any], Mapping[str, Any]] = lambda value: {'result': value}
  fresh_bytes: int = 0


@dataclass(frozen=True)
class Measured:
  """Measurements of one piece.

  Attributes:
    seconds: Wall time of `Work.run`, or of the part of it in which records were counted.
    core_seconds: CPU time during `seconds`, of all threads and of child processes that ended.
    peak_bytes: Peak resident memory until the end of `Work.run`.
    start_bytes: Peak resident memory when timing started.
    other_cores: Average number of cores used by other processes.
    records, counts: Number of output records, in all and by class or split.
    figures: Additional printed values by column name.
    result: Result of a piece that is not a side of a case.
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
  """Function, named as 'module:function', and its JSON-serializable arguments.

  `peers` names the benchmark in whose environment of peers it runs; None is this environment.
  """

  function: str
  arguments: Mapping[str, Any] = field(default_factory=dict)
  peers: str | None = None


@dataclass(frozen=True)
class Case:
  """Case of a benchmark: one input and the sides that are measured on it.

  Attributes:
    records: Approximate number of output records.
    sides: Piece of each side by name; it also receives `data`, `root` and `beam_args`.
    peers: Names of the peers' sides; ratios refer to the first.
    ours: Names of this package's sides.
    make: Piece that makes the input files; it also receives `cache` and `beam_args`.
    floor: Piece that measures the floor; it also receives `data`.
    shape: Sizes of the input by name; cases that differ in one of them form a series.
    aim: Target ratio in a full run.
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
  """Measurements of one case of a benchmark.

  Attributes:
    case: Measured case; all seconds refer to `case.records` records.
    sizes: Bytes of the input: 'raw_bytes' decompressed, 'file_bytes' compressed.
    floor: Core-seconds of decompression (D) and compression (C) alone, for each library, or of the
      steps of augmented images.
    runs: Measurements of each side.
    errors: Last log lines of failed runs.
  """

  benchmark: str
  case: Case
  sizes: Mapping[str, float]
  floor: Mapping[str, float]
  runs: Mapping[str, Sequence[Measured]]
  errors: Sequence[str]

  @classmethod
  def from_json(cls, data: Mapping[str, Any]) -> Result:
    """Returns the result that `asdict` converted."""
    runs = {side: [Measured(**run) for run in runs] for side, runs in data['runs'].items()}
    return cls(**{**data, 'case': Case(**data['case']), 'runs': runs})

  @property
  def floor_seconds(self) -> float | None:
    """Core-seconds of the floor; None if it was not measured."""
    return self.floor.get(FLOOR, self.floor.get(IMAGE_FLOOR))

  def median(self, side: str, figure: Callable[[Measured], float]) -> float | None:
    """Returns the median of a figure over a side's runs; None if all failed."""
    values = [figure(run) for run in self.runs.get(side, ())]
    return statistics.median(values) if values else None

  def rate(self, side: str) -> float | None:
    """Returns the records per second of a side; None if all runs failed."""
    return self.median(side, lambda run: run.records / run.seconds)

  def seconds(self, side: str) -> float | None:
    """Returns the seconds of a side for all records; None if all runs failed."""
    rate = self.rate(side)
    return self.case.records / rate if rate else None

  def core_seconds(self, side: str) -> float | None:
    """Returns the core-seconds of a side for all records; None if all runs failed."""
    each = self.median(side, lambda run: run.core_seconds / run.records)
    return None if each is None else each * self.case.records

  def peak_bytes(self, side: str) -> int | None:
    """Returns the peak memory of a side in bytes; None if all runs failed."""
    return max((run.peak_bytes for run in self.runs.get(side, ())), default=None)

  def ratio(self, side: str, peer: str | None = None) -> float | None:
    """Returns the ratio of the records per second of a side and a peer; None if either failed."""
    peer = peer or next(iter(self.case.peers), '')
    own, other = self.rate(side), self.rate(peer)
    return own / other if own and other else None


class PieceError(RuntimeError):
  """Failure of a piece; the message contains the end of its log."""


Runner = Callable[..., Measured]
"""Function that runs a piece: `run_piece` or, in tests, `run_here`."""


def run_piece(piece: Piece, **more: Any) -> Measured:
  """Runs a piece in a new process and returns its measurements; raises `PieceError` on failure."""
  python = find_peers(piece.peers) if piece.peers else sys.executable
  with tempfile.TemporaryDirectory(prefix='tfx-balance-') as folder:
    answer, log = Path(folder, 'answer.json'), Path(folder, 'log.txt')
    given = json.dumps({**piece.arguments, **more})
    script = 'import sys; from benchmarks import harness; harness.main(*sys.argv[1:])'
    command = [python, '-c', script, piece.function, given, str(answer)]
    with log.open('wb') as output:
      done = subprocess.run(command, env=_environment(), stdout=output, stderr=output, check=False)
    if done.returncode:
      lines = log.read_text(errors='replace').splitlines()[-_SHOWN_LOG_LINES:]
      raise PieceError('\n'.join([f'{piece.function} ended with code {done.returncode}:', *lines]))
    return Measured(**json.loads(answer.read_text()))


def find_peers(benchmark: str) -> str:
  """Returns the Python of the peers' environment of a benchmark, which is made first.

  Raises:
    PieceError: if it cannot be made.
  """
  command = [sys.executable, str(PROJECT / 'tools/setup_peers.py'), benchmark]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  if done.returncode:
    raise PieceError(f'the peers of {benchmark} cannot be installed: {done.stderr.strip()}')
  return done.stdout.split()[-1]


def run_here(piece: Piece, **more: Any) -> Measured:
  """Runs a piece in this process and returns its measurements."""
  module, function = piece.function.split(':')
  return measure(getattr(importlib.import_module(module), function)(**piece.arguments, **more))


def measure(work: Work) -> Measured:
  """Runs the work in this process and returns its measurements."""
  touch_memory(work.fresh_bytes)
  os.sync()  # so that pending writes of earlier pieces are not measured
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
  if hasattr(mmap, 'MADV_HUGEPAGE'):  # hosts reclaim whole free blocks
    memory.madvise(mmap.MADV_HUGEPAGE)
  for start in range(0, n, 1 << 20):
    memory[start : start + (1 << 20)] = b'1' * min(1 << 20, n - start)
"""


def touch_memory(n_bytes: int) -> None:
  """Fills and releases about n_bytes, so that the cost of their first use is not measured.

  A virtual machine may return free memory to its host and fetch it again page by page, in 2.5
  seconds per GB, where filling it takes 0.1. At most three quarters of the free memory is filled,
  in a separate process, since it would count as peak memory in this one.
  """
  n = min(n_bytes, psutil.virtual_memory().free * 3 // 4)
  if n > 0:
    subprocess.run([sys.executable, '-S', '-c', _FILL, str(n)], check=True)


def core_seconds() -> float:
  """Returns the CPU time of this process and of its children that ended."""
  used = psutil.Process().cpu_times()
  return used.user + used.system + used.children_user + used.children_system


def _machine_seconds() -> float:
  """Returns the CPU time of all processes since the machine started."""
  used = psutil.cpu_times()
  return sum(getattr(used, name, 0.0) for name in _BUSY)


_BUSY = ('user', 'nice', 'system', 'irq', 'softirq', 'steal')


def _peak_bytes() -> int:
  """Returns the peak resident memory in bytes, without that of the parent, which getrusage adds."""
  found = re.search(r'VmHWM:\s*(\d+) kB', Path('/proc/self/status').read_text())
  assert found is not None
  return int(found[1]) * 1024


def _environment() -> dict[str, str]:
  """Returns this environment with the project on the path and TensorFlow's logs disabled."""
  own = (str(PROJECT), str(PROJECT / 'components'))  # environments of peers do not have the package
  path = os.pathsep.join([*own, *filter(None, [os.environ.get('PYTHONPATH')])])
  quiet = {'PYTHONWARNINGS': 'ignore', 'TF_CPP_MIN_LOG_LEVEL': '3'}
  environment = {**os.environ, **quiet, 'PYTHONPATH': path}
  if environment.pop('PYTHONDONTWRITEBYTECODE', None):  # otherwise each piece compiles all imports
    folder = f'tfx-balance-bytecode-{os.getuid()}'
    environment['PYTHONPYCACHEPREFIX'] = os.path.join(tempfile.gettempdir(), folder)
  return environment


def run_case(
  benchmark: str, case: Case, repeat: int, beam_args: Sequence[str], cache: Path, run: Runner
) -> Result:
  """Makes the input files of a case in the cache, and measures the floor and each side."""
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
  """Returns the path of a new folder for a run, and removes folders of killed runs."""
  for folder in cache.glob('run-*'):
    process = int(folder.name.removeprefix('run-'))
    if process == os.getpid() or not psutil.pid_exists(process):
      shutil.rmtree(folder)
  cache.mkdir(parents=True, exist_ok=True)
  return cache / f'run-{os.getpid()}'


def progress(text: str) -> None:
  """Prints a line with a timestamp to standard error."""
  print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)


def main(function: str, arguments: str, answer: str) -> None:
  """Runs a piece in this process and writes its measurements to a file."""
  # Without a handler on the root logger, the libraries log extensively to stderr at import.
  import logging

  logging.basicConfig(level=logging.WARNING)
  found = run_here(Piece(function, json.loads(arguments)))
  Path(answer).write_text(json.dumps(asdict(found)))
