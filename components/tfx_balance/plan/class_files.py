"""Files of classes, of their own or shared, as a function of the bytes of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tfx_balance.sizes import SIZES, Sizes

_FILES = 64


@dataclass(frozen=True)
class ClassFiles:
  """Several files of one class, or one file of several classes.

  Attributes:
    classes: Class indices, ascending.
    n_files: Number of files; 1 where there are several classes.
  """

  classes: tuple[int, ...]
  n_files: int


def file_bytes(n_bytes: Sequence[int], sizes: Sizes = SIZES) -> int:
  """Returns the largest size of a file of one class, for data of this size.

  It is 1/64 of the data, so that a reader whose memory is a small part of the data can hold several
  files of each class, within the limits of `sizes`: classes have 64 files together, and one more
  each, or as few as `sizes.class_file_bytes` allows.

  >>> file_bytes([1000, 2000]), file_bytes([200 << 20, 56 << 20]), file_bytes([1 << 40])
  (1048576, 4194304, 33554432)

  Args:
    n_bytes: Bytes of each class.
    sizes: Least and largest size.
  """
  return min(max(-(-sum(n_bytes) // _FILES), sizes.least_file_bytes), sizes.class_file_bytes)


def assign_files(
  n_bytes: Sequence[int],
  max_file_bytes: int = SIZES.class_file_bytes,
  shared_file_bytes: int = SIZES.shared_file_bytes,
) -> tuple[ClassFiles, ...]:
  """Returns the files of every class, in the order of their first classes.

  A class above half of what a shared file may hold gets files of its own. The others fill shared
  files from the smallest class on, so that a reader that holds small classes and streams large ones
  finds the small ones together. All shared files but one are at least half full.

  >>> assign_files([50, 3, 1, 90, 2], max_file_bytes=40, shared_file_bytes=8)
  (ClassFiles(classes=(0,), n_files=2), ClassFiles(classes=(1, 2, 4), n_files=1), \
ClassFiles(classes=(3,), n_files=3))

  Args:
    n_bytes: Bytes of each class.
    max_file_bytes: Largest size of a file of one class.
    shared_file_bytes: Largest size of a file of several classes.
  """
  own = [i for i, size in enumerate(n_bytes) if 2 * size > shared_file_bytes]
  rare = [i for i, size in enumerate(n_bytes) if 2 * size <= shared_file_bytes]
  shared: list[list[int]] = []
  used = shared_file_bytes
  for i in sorted(rare, key=lambda i: (n_bytes[i], i)):
    if used + n_bytes[i] > shared_file_bytes or not shared:
      shared.append([])
      used = 0
    shared[-1].append(i)
    used += n_bytes[i]
  file_groups = [ClassFiles((i,), -(-n_bytes[i] // max_file_bytes)) for i in own]
  file_groups += [ClassFiles(tuple(sorted(together)), 1) for together in shared]
  return tuple(sorted(file_groups, key=lambda file_group: file_group.classes[0]))
