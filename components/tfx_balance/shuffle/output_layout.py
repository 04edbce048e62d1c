"""How an output, such as a split, is cut into files, and these into what fits into memory."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

SHARD_BYTES = 128 << 20
"""Decompressed bytes of an output file, about, where nobody asks for a number of files."""
BUCKET_BYTES = 8 << 20
"""Decompressed bytes that a gather sorts at a time, about."""
MAX_BUCKET_BYTES = 256 << 20
"""The same, for outputs so large that smaller buckets would be too many."""
MAX_BUCKETS = 256
"""Buckets that are small, in all the files of an output."""
FAN_OUT = 64
"""Files of an output that one input file writes to."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OutputLayout:
  """How one output, such as a split, is cut.

  Attributes:
    paths: of its files. Several outputs may share these, and each has a part of a file then.
    n_buckets: in each file.
    part: its place among the outputs in a bucket: that of part 0 comes first.
  """

  paths: tuple[str, ...]
  n_buckets: int
  part: int = 0

  @classmethod
  def of(
    cls,
    n_bytes: int,
    folder: str,
    suffix: str,
    n_files: int | None = None,
    most_files: int = sys.maxsize,
  ) -> OutputLayout:
    """Returns the layout for about n_bytes, in as many files as asked for or as are sensible.

    Args:
      n_bytes: decompressed.
      folder: of the files.
      suffix: of their names: '.gz', or '' for plain ones.
      n_files: how many, or None.
      most_files: where nobody asked for a number.
    """
    n = n_files or min(max(1, -(-n_bytes // SHARD_BYTES)), most_files)
    bucket = min(max(BUCKET_BYTES, n_bytes // MAX_BUCKETS), MAX_BUCKET_BYTES)
    paths = (f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{suffix}' for i in range(n))
    return cls(tuple(paths), max(1, -(-n_bytes // n // bucket)))


def fan_out(files: Ints, rank: int, n_inputs: int) -> tuple[Ints, Ints]:
  """Returns how many files of an output one input file writes to, and the first of them.

  FAN_OUT, or more where that leaves none out, beginning at the input's own share of them: the
  pieces stay few, and all the files equally full.

  Args:
    files: int64 [outputs], how many each has.
    rank: of the input file.
    n_inputs: how many input files there are.
  """
  targets = np.minimum(files, np.maximum(FAN_OUT, -(-files // n_inputs)))
  return targets, np.where(files > FAN_OUT, files * rank // n_inputs, 0)


class LaidOut(Protocol):
  """What has outputs."""

  layouts: tuple[OutputLayout, ...]
