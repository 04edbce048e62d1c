"""Divides the core-seconds of each component by a lower bound, the floor.

The floor is one decompression of the input and one compression of the output, in one thread; the
output of BalancedAugmenter, plain copies, is three times the input. A process measures one
component in rounds: the component on 500 records (the fixed cost of a pipeline), the floor and
the component, one after the other, so that a machine that is slower for a while is so for all
three. The printed ratio, 'times floor', is the median over the rounds of (component - fixed) /
floor. Core-seconds are those of all threads, in user and in system mode.

The first round is left out: it is printed as 'cold'. In it, the component runs for the first time
in its process, after its fixed run: libraries are loaded and memory of the machine was touched, but
buffers, files and threads are new to the process. In a pipeline, every component runs cold, once.
Work files and output are deleted after every run, and pending writes are waited for before the
next one, outside the measured time. Targets of 'times floor' on 8 files: at most 1.8 for
StratifiedSplitter and BalancedInputGen, and 1.6 for BalancedAugmenter.
"""

from __future__ import annotations

import importlib
import shutil
import statistics
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from benchmarks.data import DataFiles, DataSpec, find_or_write
from benchmarks.harness import FLOOR, Case, Measured, Piece, Work, run_here

SPECS = {
  'full': 'small:500000:8 small:500000:64 4k:50000:8',
  'small': 'small:50000:8',
  'tiny': 'small:500:2',
}
ROUNDS = {'full': 3, 'small': 3, 'tiny': 1}
LEVEL = 1  # compression level of the package
FLOOR_LIBRARY = 'isal'
_LIBRARIES: dict[str, Any] = {'zlib': zlib, 'isal': isal_zlib}
_GZIP_WINDOW = 31
_BLOCK = 64 << 10  # compressed bytes at a time; much larger blocks decompress slower


@dataclass(frozen=True)
class Round:
  """Measurements of one round.

  Attributes:
    fixed: Core-seconds of the component on 500 records.
    floor: Core-seconds of the floor.
    component: Measurements of the component.
  """

  fixed: float
  floor: float
  component: Measured

  @property
  def times_floor(self) -> float:
    """Core-seconds of the component, less the fixed ones, divided by the floor."""
    return (self.component.core_seconds - self.fixed) / self.floor


def cases(size: str, specs: Sequence[DataSpec] = ()) -> list[Case]:
  """Returns the cases of a size, or those of the given input files."""
  found = []
  for spec in specs or map(DataSpec.parse, SPECS[size].split()):
    copies = Piece('benchmarks.augment:ours', {'n_copies': 0, 'alone': False})
    same = {'StratifiedSplitter': Piece('benchmarks.split:stratified_split')}
    same['BalancedInputGen'] = Piece('benchmarks.components:lay_out_by_class')
    most = spec.classes * max(spec.class_counts())
    for written, sides in ((spec.records, same), (most, {'BalancedAugmenter': copies})):
      given = {'output': written / spec.records, 'rounds': ROUNDS[size]}
      case = Case(
        name=f'{spec.records:,} {spec.kind} to {written:,}, {spec.shards} files',
        records=written,
        sides={
          side: Piece('benchmarks.floor:in_rounds', {**given, 'piece': asdict(piece)})
          for side, piece in sides.items()
        },
        peers=(),
        ours=tuple(sides),
        make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
      )
      found.append(case)
  return found


def in_rounds(
  data: dict[str, Any],
  root: str,
  beam_args: Sequence[str],
  piece: Mapping[str, Any],
  output: float,
  rounds: int,
) -> Work:
  """Returns the work of measuring a component and its floor in turn, so often and once before.

  Args:
    data: Input files.
    root: Folder of the runs.
    beam_args: Options of Beam.
    piece: Piece of the component, whose work does the same at every run.
    output: Bytes of the output as a multiple of those of the input.
    rounds: Number of rounds that count.
  """
  few = fixed(Piece(**piece), 0)
  component = Piece(**piece)

  def measured(piece: Piece, name: str) -> Measured:
    try:
      return run_here(piece, data=data, root=f'{root}/{name}', beam_args=beam_args)
    finally:
      shutil.rmtree(f'{root}/{name}', ignore_errors=True)

  def run() -> list[Round]:
    Path(root).mkdir(parents=True)
    return [
      Round(
        measured(few, f'few-{i}').core_seconds,
        recode(data, [FLOOR_LIBRARY], output).run()[FLOOR],
        measured(component, f'all-{i}'),
      )
      for i in range(rounds + 1)
    ]

  def check(rounds: list[Round]) -> dict[str, Any]:
    cold, *warm = rounds
    median = {
      name: statistics.median(getattr(each, name) for each in warm)
      for name in ('fixed', 'floor', 'times_floor')
    }
    runs = [each.component for each in warm]
    return {
      'records': runs[0].records,
      'counts': runs[0].counts,
      'seconds': statistics.median(run.seconds for run in runs),
      'core_seconds': statistics.median(run.core_seconds for run in runs),
      'other_cores': max(run.other_cores for run in runs),
      'figures': {
        'fixed': median['fixed'],
        'floor': median['floor'],
        'times floor': median['times_floor'],
        'cold': cold.times_floor,
      },
    }

  return Work(run, check)


def fixed(piece: Piece, records: int) -> Piece:
  """Returns the piece that does the same for 500 records, which are counted as `records`."""
  given = {'function': piece.function, 'arguments': piece.arguments, 'records': records}
  return Piece('benchmarks.floor:on_few_records', given)


def on_few_records(
  data: Any, root: str, function: str, arguments: Mapping[str, Any], records: int, **more: Any
) -> Work:
  """Returns the work of a side on 500 records: costs that are the same for any number."""
  module, name = function.split(':')
  files = asdict(find_or_write(DataSpec('small', 500, 1), Path(root).parent))
  work = getattr(importlib.import_module(module), name)(files, root, **arguments, **more)
  return Work(work.run, lambda value: {**work.check(value), 'records': records})


def recode(
  data: dict[str, Any], libraries: Sequence[str] = tuple(_LIBRARIES), output: float = 1.0
) -> Work:
  """Returns the work of decompressing gzip files and compressing the bytes again, without output.

  The result is the core-seconds of each library in one thread: {'isal D': ...} for decompression,
  and {'isal D+C': ...} for decompression and compression of `output` times the bytes.
  """

  def run() -> dict[str, float]:
    found: dict[str, float] = {}
    for library in libraries:
      times = [_recode(path, _LIBRARIES[library]) for path in DataFiles.from_json(data).paths()]
      decompress, compress = map(sum, zip(*times, strict=True))
      found |= {f'{library} D': decompress, f'{library} D+C': decompress + output * compress}
    return found

  return Work(run)


def _recode(path: str, library: Any) -> tuple[float, float]:
  """Returns the core-seconds of decompressing a file, and of compressing its content."""
  clock, decompress, compress = time.thread_time, 0.0, 0.0
  squeeze = library.compressobj(LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
  expand = library.decompressobj(_GZIP_WINDOW)
  with open(path, 'rb') as file:
    while block := file.read(_BLOCK):
      start = clock()
      data = expand.decompress(block)
      middle = clock()
      squeeze.compress(data)
      compress += clock() - middle
      decompress += middle - start
  start = clock()
  squeeze.flush()
  if not expand.eof or expand.unused_data:
    raise RuntimeError(f'{path} is not one complete gzip member; make the files again')
  return decompress, compress + clock() - start
