"""Compresses by ISA-L so that equal content gives equal bytes."""

from __future__ import annotations

import struct
import zlib
from typing import Any

from isal import isal_zlib

_FIRST_BYTES = 16
_SAVED = 16  # one part in so many must be saved: 6 percent more are read sooner than decompressed
_STORED_BYTES = (1 << 16) - 1  # of a block that is stored as it is, at most
_ZLIB_HEAD = b'\x78\x01'


class Compressor:
  """A DEFLATE stream whose bytes depend on the content and on where calls divide it.

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

  def compress_piece(self, data: Any) -> bytes:
    """Takes bytes, as `compress`, and returns all of them in blocks that end at a whole byte.

    Where compression saves little, as with encoded images, they are stored as they are: these are
    decompressed five times as fast. Later pieces refer to them all the same.
    """
    head = b''
    if not self._has_history:
      head, data = self.compress(data[:_FIRST_BYTES]), data[_FIRST_BYTES:]
    made = self._stream.compress(data) + self._stream.flush(isal_zlib.Z_SYNC_FLUSH)
    return head + (made if len(made) <= len(data) - len(data) // _SAVED else _stored(data))

  def flush(self) -> bytes:
    """Ends the stream, and returns the rest of it."""
    return self._stream.flush()


def _stored(data: Any) -> bytes:
  """Returns bytes in blocks without compression (RFC 1951, 1996, section 3.2.4)."""
  parts: list[Any] = []
  for start in range(0, len(data), _STORED_BYTES):
    part = data[start : start + _STORED_BYTES]
    parts += struct.pack('<BHH', 0, len(part), len(part) ^ _STORED_BYTES), part
  return b''.join(parts)


def zlib_stream(data: Any, level: int) -> bytes:
  """Returns a zlib stream of bytes, one or more, that depends on them and the level alone.

  Where all is there at once, this takes a quarter less time than `Compressor` for a kilobyte: the
  first byte is a stored block, and to ISA-L a dictionary, so that it has history from the start and
  the fault that `Compressor` tells of does not occur.

  Args:
    data: Bytes, or a buffer of one dimension of them.
    level: ISA-L's level, 0 to 3.
  """
  first = bytes(data[:1])
  rest = isal_zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zdict=first)
  pieces = [_ZLIB_HEAD, _stored(first), rest.compress(data[1:]), rest.flush()]
  return b''.join([*pieces, struct.pack('>I', isal_zlib.adler32(data))])
