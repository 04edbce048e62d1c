"""The physical floor: what decompressing and compressing the same bytes takes, and nothing else."""

from __future__ import annotations

import time
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from isal import isal_zlib

from benchmarks.data import DataFiles
from benchmarks.measure import Work

LEVEL = 1
"""The level at which the package compresses."""

_LIBRARIES = {'zlib': zlib, 'isal': isal_zlib}
_GZIP_WINDOW = 31
_BLOCK = 64 << 10  # compressed, at a time: much larger ones decompress slower


def recode(data: dict[str, Any], library: str) -> Work:
  """Returns the work of decompressing gzip files and compressing the bytes again, to nowhere.

  One thread. The result: the seconds of each of the two, by that thread's clock, as
  {'decompress': ..., 'compress': ...}.
  """
  paths = DataFiles(**data).paths()
  return Work(lambda: _recode(paths, library))


def _recode(paths: Sequence[str], library: str) -> dict[str, float]:
  module, clock = _LIBRARIES[library], time.thread_time
  decompress = compress = 0.0
  for path in paths:
    squeeze = module.compressobj(LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    expand = module.decompressobj(_GZIP_WINDOW)
    with open(path, 'rb') as file:
      for block in _blocks(file):
        start = clock()
        data = expand.decompress(block)
        middle = clock()
        squeeze.compress(data)
        compress += clock() - middle
        decompress += middle - start
    start = clock()
    squeeze.flush()
    compress += clock() - start
    if not expand.eof or expand.unused_data:
      raise RuntimeError(f'{path} is not one whole gzip member; make the files again')
  return {'decompress': decompress, 'compress': compress}


def _blocks(file: BinaryIO) -> Iterator[bytes]:
  while block := file.read(_BLOCK):
    yield block
