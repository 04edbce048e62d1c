"""Layout of an output, such as a split: its files, and their chunks that fit into memory."""

from __future__ import annotations

from dataclasses import dataclass

from tfx_balance.sizes import SIZES, Sizes

MAX_GATHER_BYTES = 256 << 20
"""Largest chunk, for outputs so large that smaller ones would be too many."""
SMALL_CHUNKS = 256
"""Number of chunks that are small, in all the files of an output."""
TOGETHER_BYTES = 32 << 20
"""Decompressed bytes of neighbouring small files that are gathered one after another."""


@dataclass(frozen=True)
class OutputLayout:
  """Files and chunks of one output, such as a split.

  Attributes:
    paths: Paths of its files. Several outputs may share one; each has a section of it then.
    n_chunks: Number of chunks in which each file is gathered.
    section: Number of its section: that of number 0 comes first.
    n_together: Number of neighbouring files that are gathered one after another.
  """

  paths: tuple[str, ...]
  n_chunks: int
  section: int = 0
  n_together: int = 1

  @classmethod
  def of(
    cls,
    n_bytes: int,
    folder: str,
    suffix: str,
    n_files: int | None = None,
    sizes: Sizes = SIZES,
  ) -> OutputLayout:
    """Returns the layout for about n_bytes, in the given or a sensible number of files.

    Args:
      n_bytes: Decompressed bytes of all the files.
      folder: Folder of the files.
      suffix: End of their names: '.gz', or '' for plain ones.
      n_files: Number of files; None for as many as are sensible.
      sizes: Sizes of files and chunks.
    """
    n = n_files or max(1, -(-n_bytes // sizes.shard_bytes))
    chunk = min(max(sizes.gather_bytes, n_bytes // SMALL_CHUNKS), MAX_GATHER_BYTES)
    paths = (f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{suffix}' for i in range(n))
    n_chunks, n_together = max(1, -(-n_bytes // n // chunk)), files_together(n_bytes // n)
    return cls(tuple(paths), n_chunks, n_together=n_together)


def files_together(file_bytes: int) -> int:
  """Returns the number of neighbouring files of this size that are gathered one after another.

  What they take of an input file is one range, which a request to an object store is worth.
  """
  return max(1, TOGETHER_BYTES // max(1, file_bytes))
