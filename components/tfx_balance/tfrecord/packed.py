"""Work files in an object store: a local file, brought there in the order in which it is read.

Reading an object costs by request, so what is read together is stored together: parts of the file,
wherever they are in it, one after another, in units that are compressed each by itself. Who reads
some of the file fetches the units that have it to the same places of a sparse local file.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord.object_store import RANGE_BYTES, read_ranges
from tfx_balance.tfrecord.work_files import create_as_is, fill, open_as_is

GAP_BYTES = 64 << 10
"""Bytes between two units up to which they are read by one request."""

Ints = npt.NDArray[np.int64]
_NONE = np.empty((0, 2), np.int64)


@dataclass(frozen=True, eq=False)
class PackedFile:
  """A packed file, or some units of one.

  Attributes:
    path: Path of the object.
    units: First byte of each unit in the object, and its end, ascending: int64 [units, 2].
    n_parts: Number of parts in each unit: int64 [units].
    parts: First byte of each part in the file, and its end, unit by unit: int64 [parts, 2].
    inline: The units themselves, where they are few bytes and in no object; b'' else.
  """

  path: str
  units: Ints
  n_parts: Ints
  parts: Ints
  inline: bytes = b''

  def having(self, ranges: Ints) -> PackedFile:
    """Returns the units that have some of these ranges, which are first bytes and ends: [m, 2]."""
    ranges = merged(ranges)
    at = np.searchsorted(ranges[:, 1], self.parts[:, 0], side='right')
    starts = np.append(ranges[:, 0], np.iinfo(np.int64).max)
    wanted = starts[at] < self.parts[:, 1]
    unit = np.repeat(np.arange(len(self.units)), self.n_parts)
    return self._only(np.bincount(unit[wanted], minlength=len(self.units)) > 0)

  def without(self, units: Ints) -> PackedFile:
    """Returns the units but for some: int64 [m, 2]."""
    return self._only(~np.isin(self.units[:, 0], units[:, 0]))

  def _only(self, chosen: npt.NDArray[np.bool_]) -> PackedFile:
    parts = self.parts[np.repeat(chosen, self.n_parts)]
    return PackedFile(self.path, self.units[chosen], self.n_parts[chosen], parts)

  def fetch(
    self, target: BinaryIO, gap_bytes: int = GAP_BYTES, range_bytes: int = RANGE_BYTES
  ) -> None:
    """Writes the units to a local file, each part to where it is in the file.

    Args:
      target: The local file.
      gap_bytes: Bytes between two units up to which they are read by one request.
      range_bytes: Bytes of the largest request of several units.
    """
    codec = pa.Codec('zstd')
    parts = np.split(self.parts, np.cumsum(self.n_parts)[:-1]) if len(self.units) else []
    runs = list(_runs(self.units, gap_bytes, range_bytes))
    requests = [(int(self.units[low, 0]), int(self.units[high - 1, 1])) for low, high in runs]
    found = iter([self.inline]) if self.inline else read_ranges(self.path, requests)
    for (low, high), (start, _), data in zip(runs, requests, found, strict=True):
      for i in range(low, high):
        first, end = (self.units[i] - start).tolist()
        sizes = parts[i][:, 1] - parts[i][:, 0]
        unit = memoryview(codec.decompress(memoryview(data)[first:end], int(sizes.sum())))
        at = 0
        for place, n in zip(parts[i][:, 0].tolist(), sizes.tolist(), strict=True):
          target.seek(place)
          target.write(unit[at : at + n])
          at += n


def _runs(units: Ints, gap_bytes: int, range_bytes: int) -> Iterator[tuple[int, int]]:
  """Yields the first unit and the end of what one request reads."""
  low = 0
  for i in range(1, len(units)):
    gap = units[i, 0] - units[i - 1, 1]
    if gap > gap_bytes or units[i, 1] - units[low, 0] > range_bytes:
      yield low, i
      low = i
  if len(units):
    yield low, len(units)


@contextlib.contextmanager
def opened(file: str | PackedFile, ranges: Ints | None = None) -> Iterator[BinaryIO]:
  """Opens a work file, of a packed one a local copy of what it has, or has of some ranges."""
  if isinstance(file, str):
    with open_as_is(file) as stream:
      yield stream
    return
  with local_copy() as copy:
    (file if ranges is None else file.having(ranges)).fetch(copy)
    yield copy


def local_copy() -> BinaryIO:
  """Opens a temporary file to fetch units to."""
  return cast('BinaryIO', tempfile.TemporaryFile(prefix='tfx-balance-'))


def merged(ranges: Ints) -> Ints:
  """Returns the same as ranges that neither overlap nor touch, ascending: int64 [k, 2].

  >>> merged(np.array([[5, 7], [0, 2], [2, 3], [6, 9]])).tolist()
  [[0, 3], [5, 9]]
  """
  ranges = ranges[np.argsort(ranges[:, 0], kind='stable')]
  ends = np.maximum.accumulate(ranges[:, 1])
  new = np.append(True, ranges[1:, 0] > ends[:-1])[: len(ranges)]
  last = np.append(new[1:], True)[: len(ranges)]
  return np.stack([ranges[new, 0], ends[last]], axis=1)


def packed_inline(source: BinaryIO, parts: Ints, path: str) -> PackedFile:
  """Returns parts of a local file as one unit, which is inline."""
  unit = _compressed(_read_parts(source, parts, path))
  units, n_parts = np.array([[0, len(unit)]], np.int64), np.array([len(parts)], np.int64)
  return PackedFile(path, units, n_parts, parts, unit)


def _read_parts(source: BinaryIO, parts: Ints, path: str) -> npt.NDArray[np.uint8]:
  """Returns parts of a local file one after another: uint8 [bytes]."""
  data, at = np.empty(int((parts[:, 1] - parts[:, 0]).sum()), np.uint8), 0
  for low, high in parts.tolist():
    source.seek(low)
    fill(source, data[at : at + high - low], path)
    at += high - low
  return data


def _compressed(data: Any) -> bytes:
  """Returns a unit of some bytes."""
  # As bytes: the length of a memoryview of pyarrow's buffer is that before it was truncated.
  unit: bytes = pa.Codec('zstd', compression_level=1).compress(data, asbytes=True)
  return unit


class PackedWriter(contextlib.ExitStack):
  """Writes a packed file; a context manager. What was written is `packed`, once it is closed."""

  def __init__(self, path: str, largest_unit_bytes: int = SIZES.largest_unit_bytes) -> None:
    super().__init__()
    self._path, self._largest = path, largest_unit_bytes
    self._out = self.enter_context(create_as_is(path))
    self._end = 0
    self._units: list[tuple[int, int]] = []
    self._parts: list[Ints] = []

  @property
  def n_units(self) -> int:
    """The units so far."""
    return len(self._units)

  def packed(self, first: int = 0) -> PackedFile:
    """Returns the units from one on."""
    parts = self._parts[first:]
    return PackedFile(
      self._path,
      np.array(self._units[first:], np.int64).reshape(-1, 2),
      np.array([len(each) for each in parts], np.int64),
      np.concatenate([_NONE, *parts]),
    )

  def add(self, data: Any, place: int) -> None:
    """Appends a unit: bytes, and where they begin in the file."""
    self.add_unit(_compressed(data), np.array([[place, place + len(data)]], np.int64))

  def add_parts(self, source: BinaryIO, parts: Ints) -> None:
    """Appends parts of a local file, in one unit or, if they are long, in several.

    Args:
      source: Local file.
      parts: First byte and end of each: int64 [parts, 2].
    """
    pending: list[tuple[int, int]] = []
    n = 0
    for low, end in parts.tolist():
      while low < end:
        high = min(end, low + self._largest - n)
        pending.append((low, high))
        n += high - low
        low = high
        if n == self._largest:
          self._add_parts(source, pending)
          pending, n = [], 0
    if pending:
      self._add_parts(source, pending)

  def _add_parts(self, source: BinaryIO, pending: list[tuple[int, int]]) -> None:
    parts = np.array(pending, np.int64)
    self.add_unit(_compressed(_read_parts(source, parts, self._path)), parts)

  def add_unit(self, unit: bytes, parts: Ints) -> None:
    """Appends a unit that is compressed already, and has these parts."""
    self._out.write(unit)
    self._units.append((self._end, self._end + len(unit)))
    self._end += len(unit)
    self._parts.append(parts)
