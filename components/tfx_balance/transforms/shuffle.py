"""Records on their way from input files to output files, shuffled, in memory that does not grow.

Each input file's frames are scattered into one spill file, as segments: the frames that belong to
the same bucket of the same output file. A bucket fits into memory. Each output file gathers its
buckets one after another, puts the frames of each into the order of their keys, and is written.
Keys are random and buckets are ranges of keys, so an output file is one thorough shuffle of the
input files that it draws from, whatever order those have.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfx_balance.plan.selection import UInts, mix
from tfx_balance.transforms.records import Frames, concatenate, create_compressed
from tfx_balance.transforms.work_files import WorkFile, new_work_file

SHARD_BYTES = 128 << 20
"""Decompressed bytes of an output file, about, where nobody asks for a number of files."""
BUCKET_BYTES = 8 << 20
"""Decompressed bytes that a gather sorts at a time, about."""
MAX_BUCKET_BYTES = 256 << 20
"""The same, for outputs so large that smaller buckets would be too many."""
SPILL_BYTES = 8 << 20
"""Decompressed bytes that a scatter holds before it writes them."""
MAX_BUCKETS = 256
"""Buckets that are small, in all the files of an output."""
FAN_OUT = 64
"""Output files that one input file writes to, at the most."""

_ROW_BYTES = 16  # of a record in a segment, beside its frame: key and size

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OutputLayout:
  """How one output, such as a split, is cut.

  Attributes:
    paths: of its files.
    n_buckets: in each file.
  """

  paths: tuple[str, ...]
  n_buckets: int

  @classmethod
  def of(cls, n_bytes: int, folder: str, suffix: str, n_files: int | None = None) -> OutputLayout:
    """Returns the layout for about n_bytes, in as many files as asked for or as are sensible.

    Args:
      n_bytes: decompressed.
      folder: of the files.
      suffix: of their names: '.gz', or '' for plain ones.
      n_files: how many, or None.
    """
    n = n_files or max(1, -(-n_bytes // SHARD_BYTES))
    bucket = min(max(BUCKET_BYTES, n_bytes // MAX_BUCKETS), MAX_BUCKET_BYTES)
    paths = (f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{suffix}' for i in range(n))
    return cls(tuple(paths), max(1, -(-n_bytes // n // bucket)))


@dataclass(frozen=True)
class Segment:
  """Frames that a scatter wrote for one bucket of one output file.

  Attributes:
    bucket: its number among all the buckets of all the outputs.
    offset: in the spill file, in bytes.
    n_records: in the segment.
    n_bytes: of the frames.
  """

  bucket: int
  offset: int
  n_records: int
  n_bytes: int


@dataclass(frozen=True)
class Spill:
  """All the segments that one input file has for one output file."""

  path: str
  rank: int
  segments: tuple[Segment, ...]


class Scatterer:
  """Writes the frames of one input file to one spill file, by output file and bucket."""

  def __init__(
    self, layouts: Sequence[OutputLayout], rank: int, n_inputs: int, seed_key: int, work_dir: str
  ) -> None:
    self._layouts = layouts
    self._files = np.array([len(layout.paths) for layout in layouts], np.uint64)
    self._buckets = np.array([layout.n_buckets for layout in layouts], np.uint64)
    sizes = self._files * self._buckets
    self._base = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    self._first = self._files * np.uint64(rank) // np.uint64(n_inputs)
    self._rank, self._seed_key, self._position = rank, seed_key, 0
    self._path = new_work_file(work_dir, f'spill-{rank:05d}')
    self._file = FileSystems.create(self._path, compression_type=CompressionTypes.UNCOMPRESSED)
    self._offset = 0
    self._held: list[tuple[Frames, Ints, UInts]] = []
    self._held_bytes = 0
    self._segments: dict[int, list[Segment]] = {}

  def add(self, frames: Frames, outputs: Ints) -> None:
    """Takes frames, each for the output of that number; -1 leaves a frame out.

    Args:
      frames: n of them, the next ones of the input file.
      outputs: int64 [n].
    """
    positions = np.arange(self._position, self._position + len(frames), dtype=np.uint64)
    self._position += len(frames)
    keep = np.flatnonzero(outputs >= 0)
    if len(keep) < len(frames):
      frames, outputs, positions = frames.take(keep), outputs[keep], positions[keep]
    destinations, keys = self._place(positions, outputs)
    self._held.append((frames, destinations, keys))
    self._held_bytes += int(frames.offsets[-1])
    if self._held_bytes >= SPILL_BYTES:
      self._flush()

  def close(self) -> list[tuple[str, Spill]]:
    """Ends the spill file and returns what is in it, by the path of the output file."""
    self._flush()
    self._file.close()
    by_path: dict[str, list[Segment]] = {}
    for destination, segments in sorted(self._segments.items()):
      output = int(np.searchsorted(self._base, destination, side='right')) - 1
      file = (destination - int(self._base[output])) // self._layouts[output].n_buckets
      by_path.setdefault(self._layouts[output].paths[file], []).extend(segments)
    return [(path, Spill(self._path, self._rank, tuple(s))) for path, s in by_path.items()]

  def _place(self, positions: UInts, outputs: Ints) -> tuple[Ints, UInts]:
    """Returns the destination and the sort key of each frame.

    A random number in [0, 1) times the number of files is the file, what is left of it the place
    in the file: its multiple of the number of buckets is the bucket. Where an output has more than
    FAN_OUT files, an input file writes to that many, beginning at its own share of them.
    """
    order = mix(positions + np.uint64(self._rank << 40), self._seed_key)
    high, low = order >> np.uint64(32), order & np.uint64(0xFFFFFFFF)
    n_files, n_buckets = self._files[outputs], self._buckets[outputs]
    scaled = high * np.minimum(n_files, np.uint64(FAN_OUT))
    start = np.where(n_files > FAN_OUT, self._first[outputs], np.uint64(0))
    file = (start + (scaled >> np.uint64(32))) % n_files
    place = scaled & np.uint64(0xFFFFFFFF)
    bucket = (place * n_buckets) >> np.uint64(32)
    within = (file * n_buckets + bucket).astype(np.int64)
    return self._base[outputs] + within, (place << np.uint64(32)) | low

  def _flush(self) -> None:
    """Writes what is held, sorted by destination, one segment for each."""
    if not self._held:
      return
    frames = concatenate([held[0] for held in self._held])
    destinations = np.concatenate([held[1] for held in self._held])
    keys = np.concatenate([held[2] for held in self._held])
    self._held, self._held_bytes = [], 0
    order = np.argsort(destinations, kind='stable')
    frames, destinations, keys = frames.take(order), destinations[order], keys[order]
    sizes = frames.sizes
    starts = np.flatnonzero(np.diff(destinations, prepend=-1))
    for start, end in zip(starts, np.append(starts[1:], len(keys)), strict=True):
      self._write(int(destinations[start]), keys[start:end], sizes[start:end], frames, start, end)

  def _write(
    self, destination: int, keys: UInts, sizes: Ints, frames: Frames, start: int, end: int
  ) -> None:
    """Writes a segment: the keys, the sizes, the frames."""
    first, last = int(frames.offsets[start]), int(frames.offsets[end])
    for part in (keys.tobytes(), sizes.tobytes(), memoryview(frames.data)[first:last]):
      self._file.write(part)
    segment = Segment(destination, self._offset, end - start, last - first)
    self._segments.setdefault(destination, []).append(segment)
    self._offset += _ROW_BYTES * (end - start) + last - first


class GatherFile(beam.DoFn):
  """Turns (path of an output file, its spills) into a `WorkFile` that holds them, shuffled."""

  def __init__(self, work_dir: str) -> None:
    self._work_dir = work_dir

  def process(self, element: tuple[str, Iterable[Spill | None]]) -> Iterator[WorkFile]:
    path, spills = element
    found = sorted((spill for spill in spills if spill is not None), key=lambda s: s.rank)
    buckets = sorted({segment.bucket for spill in found for segment in spill.segments})
    name = FileSystems.split(path)[1]
    work_path = new_work_file(self._work_dir, 'out') + '-' + name  # keeps the suffix
    records = 0
    with create_compressed(work_path) as out:
      for bucket in buckets:
        frames = _read_bucket(found, bucket)
        out.write(frames.data)
        records += len(frames)
    yield WorkFile(work_path, path, records)


def _read_bucket(spills: Sequence[Spill], bucket: int) -> Frames:
  """Returns the frames of a bucket in the order of their keys."""
  keys, parts = [], []
  for spill in spills:
    segments = [segment for segment in spill.segments if segment.bucket == bucket]
    if segments:
      with FileSystems.open(spill.path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        for segment in segments:
          keys.append(_read_segment(file, segment, parts))
  return concatenate(parts).take(np.argsort(np.concatenate(keys), kind='stable'))


def _read_segment(file: BinaryIO, segment: Segment, parts: list[Frames]) -> UInts:
  """Appends the frames of a segment to the parts and returns their keys."""
  file.seek(segment.offset)
  n = segment.n_records
  head = file.read(_ROW_BYTES * n)
  sizes = np.frombuffer(head, np.int64, n, 8 * n)
  parts.append(Frames(file.read(segment.n_bytes), np.concatenate([[0], np.cumsum(sizes)])))
  return np.frombuffer(head, np.uint64, n)
