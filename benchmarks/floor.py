"""Lower bound of the cost: decompression and compression of the same bytes alone."""

from __future__ import annotations

import time
import zlib
from collections.abc import Sequence
from typing import Any

from isal import isal_zlib

from benchmarks.data import DataFiles
from benchmarks.harness import Work

LEVEL = 1  # compression level of the package
_LIBRARIES: dict[str, Any] = {'zlib': zlib, 'isal': isal_zlib}
_GZIP_WINDOW = 31
_BLOCK = 64 << 10  # compressed bytes at a time; much larger blocks decompress slower


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
