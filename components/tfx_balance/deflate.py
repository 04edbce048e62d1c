"""Compresses by ISA-L so that equal content gives equal bytes."""

from __future__ import annotations

import zlib
from typing import Any

from isal import isal_zlib

_FIRST_BYTES = 16


class Compressor:
  """A DEFLATE stream whose bytes depend on the content and on where it is cut into calls.

  As long as ISA-L has no history, it enters one position of its hash table by a register that
  nothing has set (`write_first_byte` in igzip_icf_body_h1_gr_bt.asm, up to 2.32.1): what is there
  depends on addresses, and about one stream in four thousand becomes another. Its routine for the
  end of a block has no such fault. So the first bytes are a block of their own, which takes some 10
  bytes more.

  Args:
    level: ISA-L's level, 0 to 3.
    window_bits: As zlib has them: 15 for a zlib stream, 31 for a gzip file.
  """

  def __init__(self, level: int, window_bits: int) -> None:
    self._stream = isal_zlib.compressobj(level, zlib.DEFLATED, window_bits)
    self._has_history = False

  def compress(self, data: Any) -> bytes:
    """Takes bytes, a buffer of one dimension, and returns what is compressed so far."""
    if self._has_history:
      return self._stream.compress(data)
    self._has_history = True
    first = self._stream.compress(data[:_FIRST_BYTES])
    first += self._stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return first + self._stream.compress(data[_FIRST_BYTES:])

  def flush(self) -> bytes:
    """Ends the stream, and returns the rest of it."""
    return self._stream.flush()
