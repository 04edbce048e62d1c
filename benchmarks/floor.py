"""Divides the core-seconds of each component by a lower bound, the floor.

The floor is one decompression of the input and one compression of the output, in one thread; the
output of BalancedAugmenter, plain copies, is three times the input. What each component takes for
500 records is subtracted first, and memory is touched before timing starts. Targets on 8 files: at
most 1.8 for StratifiedSplitter and BalancedInputGen, and 1.6 for BalancedAugmenter.
"""

from __future__ import annotations

import importlib
import time
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from isal import isal_zlib

from benchmarks.data import DataFiles, DataSpec, find_or_write
from benchmarks.harness import Case, Piece, Work

SPECS = {
  'full': 'small:500000:8 small:500000:64 4k:50000:8',
  'small': 'small:50000:8',
  'tiny': 'small:500:2',
}
LEVEL = 1  # compression level of the package
_LIBRARIES: dict[str, Any] = {'zlib': zlib, 'isal': isal_zlib}
_GZIP_WINDOW = 31
_BLOCK = 64 << 10  # compressed bytes at a time; much larger blocks decompress slower


def cases(size: str, specs: Sequence[DataSpec] = ()) -> list[Case]:
  """Returns the cases of a size, or those of the given input files."""
  found = []
  for spec in specs or map(DataSpec.parse, SPECS[size].split()):
    copies = Piece('benchmarks.augment:ours', {'n_copies': 0, 'alone': False})
    same = {'StratifiedSplitter': Piece('benchmarks.split:stratified_split')}
    same['BalancedInputGen'] = Piece('benchmarks.components:lay_out_by_class')
    most = spec.classes * max(spec.class_counts())
    for written, sides in ((spec.records, same), (most, {'BalancedAugmenter': copies})):
      case = Case(
        name=f'{spec.records:,} {spec.kind} to {written:,}, {spec.shards} files',
        records=written,
        sides={**{f'{side}, fixed': fixed(sides[side], written) for side in sides}, **sides},
        peers=(),
        ours=tuple(sides),
        make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
        floor=Piece('benchmarks.floor:recode', {'output': written / spec.records}),
      )
      found.append(case)
  return found


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
