"""Sizes of what is read, held in memory and written at a time.

Which records are selected depends on none of them, but for `histograms`. The files that hold them
depend on those of output files alone.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sizes:
  """Sizes of a run's work, one value for all its steps; bytes are decompressed ones.

  Attributes:
    chunk_bytes: Bytes that are checked at a time, about: larger chunks leave the cache, smaller
      ones pay per chunk.
    block_bytes: Bytes that are held until they are spilled, about.
    shard_bytes: Bytes of an output file, about, where nobody asks for a number of files.
    gather_bytes: Bytes of an output file that are gathered at a time, about.
    class_file_bytes: Largest size of a file of one class: a reader holds whole files.
    least_file_bytes: Least of the largest sizes of files of one class: to open smaller files takes
      longer than to read them.
    shared_file_bytes: Largest size of a file of several classes, of which a reader may need only
      one.
    unit_bytes: Bytes of a unit of a packed work file, about: smaller ones compress worse, of larger
      ones more is read in vain.
    largest_unit_bytes: Bytes of the largest unit.
    inline_bytes: Compressed bytes up to which a unit travels with what names it, so that no request
      is made.
    fan_in: Elements that one worker combines: more are combined in a tree, so many at a time first.
    range_rows: Buckets and candidates of a range of strata, about: they take 40 bytes each.
    group_records: Records of a part of the groups, about: an entry takes 20 bytes, and up to 100
      while it is sorted.
    histograms: Distinct histograms of groups that are planned; groups with others are dealt.
    group_marks: Marks of a part of the groups in time: between two that follow each other is so
      small a part of its records, or one group.
    run_keys: Keys of a file that are sorted at a time to find those of several splits; one has 24
      bytes, and as much again while it is.
    part_keys: Keys of all files that are compared at a time.
    file_shares: Groups of plain copies that an output file has at least.
  """

  chunk_bytes: int = 2 << 20
  block_bytes: int = 16 << 20
  shard_bytes: int = 128 << 20
  gather_bytes: int = 8 << 20
  class_file_bytes: int = 32 << 20
  least_file_bytes: int = 1 << 20
  shared_file_bytes: int = 8 << 20
  unit_bytes: int = 16 << 10
  largest_unit_bytes: int = 1 << 20
  inline_bytes: int = 4 << 10
  fan_in: int = 256
  range_rows: int = 1 << 18
  group_records: int = 1 << 20
  histograms: int = 200_000
  group_marks: int = 4096
  run_keys: int = 1 << 21
  part_keys: int = 1 << 21
  file_shares: int = 256


SIZES = Sizes()
"""The sizes of every run but those of tests."""


@dataclass(frozen=True, kw_only=True)
class Workspace:
  """Where a run keeps its work files, and how much it holds at a time.

  Attributes:
    work_dir: Folder of work files, which every worker reaches; '' where there are none.
    n_files: Number of files to read.
    sizes: Sizes of what is held and written.
  """

  work_dir: str
  n_files: int = 1
  sizes: Sizes = SIZES

  @property
  def in_tree(self) -> bool:
    """Whether what files have is combined in a tree, a number of files at a time first."""
    return self.n_files > self.sizes.fan_in

  def fan_in_of(self, file_number: int) -> int:
    """Returns the number of the node of the tree that takes a file, 0 where there is no tree."""
    return file_number // self.sizes.fan_in if self.in_tree else 0
