"""The label of large examples of different lengths, found in all of them at once.

An example is a list of entries, a name and its values each, and to get from one entry to the next
only lengths are read. So all examples are walked at the same time, an entry at a time, where the
parser copies them first. Whatever is not one value of the feature in each record, written as
TensorFlow does, is left to the parser.

Source: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.fixed_layout import Bytes, ValueKind

FIRST = 0x0A
"""Tag of a delimited field 1."""
_SECOND = 0x12
_KINDS: dict[int, ValueKind] = {0x0A: 'bytes', 0x12: 'float', 0x1A: 'int'}
_UNPACKED = {'int': 0x08, 'float': 0x0D}  # tag of a value that is not in a packed list
_MOST_ENTRIES = 64
_LENGTH_DIGITS, _INT_DIGITS = 5, 9  # bytes of a varint below 2**31, and of one below 2**63


def ragged_values(
  data: Bytes, starts: Ints, ends: Ints, feature: str
) -> tuple[ValueKind, npt.NDArray[Any]] | None:
  """Returns the type and the values of a feature, or None to fall back to the parser.

  Args:
    data: Bytes with examples in them, and a few bytes after each.
    starts: Start of each example: int64 [n].
    ends: End of each example: int64 [n].
    feature: Name of the feature.

  Returns:
    int64 [n], float32 [n], or bytes as object [n].
  """
  walk = RaggedWalk(data)
  lists = walk.find(walk.enter(starts, ends, FIRST), ends, feature.encode())
  if lists is None or not walk.ok:
    return None
  tag = int(data[lists[0][0]])
  kind = _KINDS.get(tag)
  if kind is None:
    return None
  low, high = walk.enter(*lists, tag), lists[1]
  if kind != 'bytes' and walk.ok and int(data[low[0]]) == _UNPACKED[kind]:
    low = walk.step(low, high, _UNPACKED[kind])
  else:
    low = walk.enter(low, high, FIRST)
  found = walk.values(kind, low, high)
  return (kind, found) if walk.ok else None


class RaggedWalk:
  """A way through many messages at once; `ok` is False once one of them is not as expected."""

  def __init__(self, data: Bytes) -> None:
    self.data = data
    self.ok = True

  def step(self, at: Ints, ends: Ints, tag: int) -> Ints:
    """Returns the places behind a tag, which all messages must have."""
    self.ok = self.ok and bool((at < ends).all()) and bool((self.data[at] == tag).all())
    return at + 1

  def field(self, at: Ints, ends: Ints, tag: int) -> tuple[Ints, Ints]:
    """Returns where the content of a delimited field starts and ends, which must be in bounds."""
    after = self.step(at, ends, tag)
    if not self.ok:
      return at, at
    n, start = self.varint(after, ends, _LENGTH_DIGITS)
    self.ok = self.ok and bool((start + n <= ends).all())
    return start, start + n

  def enter(self, at: Ints, ends: Ints, tag: int) -> Ints:
    """Returns where the content of a delimited field starts, which must be all of a message."""
    start, end = self.field(at, ends, tag)
    self.ok = self.ok and bool((end == ends).all())
    return start

  def varint(self, at: Ints, ends: Ints, most: int) -> tuple[Ints, Ints]:
    """Returns the numbers there, of at most so many bytes, and where they end."""
    number, position = np.zeros(len(at), np.int64), at.copy()
    more = np.arange(len(at))
    for i in range(most):
      if (position[more] >= ends[more]).any():
        break
      digit = self.data[position[more]]
      number[more] |= (digit & 0x7F).astype(np.int64) << (7 * i)
      position[more] += 1
      more = more[digit >= 0x80]
      if not len(more):
        return number, position
    self.ok = False
    return number, position

  def find(self, at: Ints, ends: Ints, name: bytes) -> tuple[Ints, Ints] | None:
    """Returns where the values of a name are, or None if it is not in each message once."""
    low, high = np.full(len(at), -1), np.empty(len(at), np.int64)
    letters = np.frombuffer(name, np.uint8)
    left = np.arange(len(at))
    for _ in range(_MOST_ENTRIES):
      left = left[at[left] < ends[left]] if self.ok else left[:0]
      if not len(left):
        break
      start, end = self.field(at[left], ends[left], FIRST)
      key, key_end = self.field(start, end, FIRST)
      value, value_end = self.field(key_end, end, _SECOND)
      if not self.ok or (value_end != end).any():
        return None
      same = np.flatnonzero(key_end - key == len(name))
      same = same[(self.data[key[same, None] + np.arange(len(name))] == letters).all(axis=1)]
      if (low[left[same]] >= 0).any():
        return None
      low[left[same]], high[left[same]] = value[same], value_end[same]
      at[left] = end
    return (low, high) if self.ok and (at >= ends).all() and (low >= 0).all() else None

  def values(self, kind: ValueKind, low: Ints, high: Ints) -> npt.NDArray[Any]:
    """Returns the values between these places, one each; none if the layout did not fit."""
    if not self.ok:
      return np.empty(0)
    if kind == 'bytes':
      whole = self.data.data
      spans = zip(low.tolist(), high.tolist(), strict=True)
      values = np.empty(len(low), object)
      values[:] = [bytes(whole[start:end]) for start, end in spans]
      return values
    if kind == 'float':
      self.ok = bool((high - low == 4).all())
      return self.data[low[:, None] + np.arange(4)].view('<f4')[:, 0]
    number, end = self.varint(low, high, _INT_DIGITS)
    self.ok = self.ok and bool((end == high).all())
    return number
