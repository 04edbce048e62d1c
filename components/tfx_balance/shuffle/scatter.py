"""Records on their way from input files to output files, shuffled, in memory that does not grow.

Each input file's frames are scattered into one work file, as segments: the frames that belong to
the same bucket of the same output file. A bucket fits into memory. Each output file gathers its
buckets one after another, puts the frames of each into the order of their keys, and is written.
Keys are random and buckets are ranges of keys, so an output file is one thorough shuffle of the
input files that it draws from, whatever order those have.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
import numpy as np
import pyarrow as pa

from tfx_balance.beam import counters
from tfx_balance.plan.ranks import Ints, UInts, mix, order_of_groups, order_of_keys, record_numbers
from tfx_balance.shuffle.output_layout import OutputLayout, fan_out
from tfx_balance.tfrecord.files import create_compressed, fill
from tfx_balance.tfrecord.frames import FOOTER, HEADER, Frames, concatenate
from tfx_balance.tfrecord.work_files import (
  WorkFile,
  create_as_is,
  file_size,
  new_output_file,
  new_work_file,
  open_as_is,
)

SCATTER_BYTES = 8 << 20
"""Decompressed bytes that a scatter holds before it writes them, at the least."""
SEGMENT_BYTES = 64 << 10
"""Bytes held for each bucket at the least, so that segments do not become many tiny ones."""
MAX_SCATTER_BYTES = 32 << 20
"""Bytes held at the most, however many buckets there are."""

_ROW_BYTES = 16  # of a record in a segment, beside its frame: key and size


@dataclass(frozen=True)
class ScatteredSegments:
  """The segments that one input file has for one output file.

  Attributes:
    path: Path of the work file.
    rank: Rank of the input file.
    segments: int64 [m, 4]: the bucket's number among all the buckets of all the outputs, where in
      the work file the segment is, its records, and the bytes of its frames.
    section_bits: Number of upper bits of a record's key that are its section.
  """

  path: str
  rank: int
  segments: Ints
  section_bits: int = 0


class Scatterer:
  """Writes the frames of one input file to one work file, by output file and bucket.

  A context manager: the work file is closed at its end, whatever happens.
  """

  def __init__(
    self, layouts: Sequence[OutputLayout], rank: int, n_inputs: int, seed_key: int, work_dir: str
  ) -> None:
    files = np.array([len(layout.paths) for layout in layouts])
    buckets = np.array([layout.n_buckets for layout in layouts])
    self._files, self._buckets = files.astype(np.uint64), buckets.astype(np.uint64)
    self._sections = np.array([layout.section for layout in layouts], np.uint64)
    self._section_bits = int(self._sections.max(initial=0)).bit_length()
    sizes = {path: layout.n_buckets for layout in layouts for path in layout.paths}
    self._paths = list(sizes)
    self._edges = np.cumsum([0, *sizes.values()])  # of each file, the number of its first bucket
    number = dict(zip(sizes, self._edges.tolist(), strict=False))
    self._base = np.array([number[layout.paths[0]] for layout in layouts], np.int64)
    targets, first = fan_out(files, rank, n_inputs)
    self._targets, self._first = targets.astype(np.uint64), first.astype(np.uint64)
    self._rank, self._seed_key, self._position = rank, seed_key, 0
    self._path = new_work_file(work_dir, f'scatter-{rank:05d}')
    self._file = create_as_is(self._path)
    most = min(int(self._edges[-1]), int((self._targets * self._buckets).sum()))
    self._scatter_bytes = min(max(SCATTER_BYTES, most * SEGMENT_BYTES), MAX_SCATTER_BYTES)
    self._frames: list[Frames] = []
    self._held: list[tuple[Ints, Ints, UInts]] = []  # of a record: which frame, its bucket, its key
    self._held_bytes = 0
    self._offset = 0
    self._segments: list[Ints] = []

  def __enter__(self) -> Scatterer:
    return self

  def __exit__(self, *_: object) -> None:
    self._file.close()

  def add(self, frames: Frames, outputs: Ints, which: Ints | None = None) -> None:
    """Takes frames, each for the output of that number; -1 leaves a frame out.

    Args:
      frames: Next frames of the input file.
      outputs: Number of each frame's output: int64 [n].
      which: Positions of the frames to take, some more than once: int64 [n]; None for all.
    """
    n_bytes = int(frames.offsets[-1] if which is None else frames.sizes[which].sum())
    which = np.arange(len(frames)) if which is None else which
    numbers = record_numbers(self._rank, self._position, len(which))
    self._position += len(which)
    if outputs.min(initial=0) < 0:
      keep = outputs >= 0
      which, outputs, numbers = which[keep], outputs[keep], numbers[keep]
      n_bytes = int(frames.sizes[which].sum())
    buckets, keys = self._place(numbers, outputs)
    if not self._frames or self._frames[-1] is not frames:
      self._frames.append(frames)
    before = sum(map(len, self._frames[:-1]))
    self._held.append((which + before, buckets, keys))
    self._held_bytes += n_bytes
    if self._held_bytes >= self._scatter_bytes:
      self._flush()

  def segments(self) -> Iterator[tuple[str, ScatteredSegments]]:
    """Ends the work file and yields what is in it, by the path of the output file."""
    self._flush()
    self._file.close()
    segments = np.concatenate([np.empty((0, 4), np.int64), *self._segments])
    if not len(segments):
      return
    file = np.searchsorted(self._edges, segments[:, 0], side='right') - 1
    order = np.argsort(file, kind='stable')
    starts = np.flatnonzero(np.diff(file[order], prepend=-1))
    for mine in np.split(order, starts[1:]):
      path = self._paths[file[mine[0]]]
      yield path, ScatteredSegments(self._path, self._rank, segments[mine], self._section_bits)

  def _place(self, numbers: UInts, outputs: Ints) -> tuple[Ints, UInts]:
    """Returns the bucket and the sort key of each frame.

    A random number in [0, 1) times the number of files is the file, what is left of it the place
    in the file: its multiple of the number of buckets is the bucket. Sections come before places.
    """
    order = mix(numbers, self._seed_key)
    high, low = order >> np.uint64(32), order & np.uint64(0xFFFFFFFF)
    scaled = high * self._targets[outputs]
    file = (self._first[outputs] + (scaled >> np.uint64(32))) % self._files[outputs]
    place = scaled & np.uint64(0xFFFFFFFF)
    bucket = (place * self._buckets[outputs]) >> np.uint64(32)
    within = file * self._buckets[outputs] + bucket
    keys = (place << np.uint64(32)) | low
    if self._section_bits:
      upper = self._sections[outputs] << np.uint64(64 - self._section_bits)
      keys = upper | (keys >> np.uint64(self._section_bits))
    return self._base[outputs] + within.astype(np.int64), keys

  def _flush(self) -> None:
    """Writes what is held as one segment for each bucket: keys, sizes, frames."""
    if not self._held:
      return
    which, buckets, keys = map(np.concatenate, zip(*self._held, strict=True))
    order = order_of_groups(buckets)
    frames = concatenate(self._frames).take(which[order])
    buckets, keys = buckets[order], keys[order]
    self._frames, self._held, self._held_bytes = [], [], 0
    starts = np.flatnonzero(np.diff(buckets, prepend=-1))
    edges = np.append(starts, len(keys))
    counts, n_bytes = np.diff(edges), np.diff(frames.offsets[edges])
    offsets = self._offset + np.cumsum(np.append(0, _ROW_BYTES * counts + n_bytes))
    sizes, data = frames.sizes, memoryview(frames.data)
    for start, end in itertools.pairwise(edges.tolist()):
      first, last = frames.offsets[start], frames.offsets[end]
      for piece in (keys[start:end].tobytes(), sizes[start:end].tobytes(), data[first:last]):
        self._file.write(piece)
    self._segments.append(np.stack([buckets[starts], offsets[:-1], counts, n_bytes], axis=1))
    self._offset = int(offsets[-1])


class GatherFile(beam.DoFn):
  """Turns (path of an output file, its segments) into a `WorkFile` that holds them, shuffled."""

  def __init__(self, work_dir: str) -> None:
    self._work_dir = work_dir

  def process(self, element: tuple[str, Iterable[ScatteredSegments | None]]) -> Iterator[WorkFile]:
    path, scattered = element
    found = sorted((mine for mine in scattered if mine is not None), key=lambda mine: mine.rank)
    buckets = sorted({bucket for mine in found for bucket in mine.segments[:, 0].tolist()})
    work_path = new_output_file(self._work_dir, path)
    sections = np.zeros(0, np.int64)
    n_bytes = 0
    with create_compressed(work_path) as out:
      for bucket in buckets:
        frames, in_sections = _read_bucket(found, bucket)
        out.write(frames.data)
        counters.WRITTEN.inc(len(frames))
        n_bytes += int(frames.offsets[-1])
        sections = _sum(sections, in_sections)
    records = int(sections.sum())
    n_bytes -= records * (HEADER + FOOTER)
    shared = any(mine.section_bits for mine in found)
    told = tuple(sections.tolist()) if shared else ()
    yield WorkFile(work_path, path, records, n_bytes, told, file_size(work_path))


def gather_files(
  scattered: beam.PCollection[tuple[str, ScatteredSegments]], job: beam.PCollection, work_dir: str
) -> beam.PCollection[WorkFile]:
  """Returns the output files, also those that no record goes to."""
  return (
    (scattered, job | 'OutputPaths' >> beam.FlatMap(lambda job: output_paths(job.layouts)))
    | 'AllFiles' >> beam.Flatten()
    | 'ByFile' >> beam.GroupByKey()
    | 'GatherFile' >> beam.ParDo(GatherFile(work_dir))
  )


def output_paths(layouts: Sequence[OutputLayout]) -> Iterator[tuple[str, None]]:
  """Yields every file that must come out, also when it has no records."""
  for path in dict.fromkeys(path for layout in layouts for path in layout.paths):
    yield path, None


def _sum(left: Ints, right: Ints) -> Ints:
  """Returns the sum of two lists of counts, the shorter one of which goes on with zeros."""
  n = max(len(left), len(right))
  return np.pad(left, (0, n - len(left))) + np.pad(right, (0, n - len(right)))


def _read_bucket(scattered: Sequence[ScatteredSegments], bucket: int) -> tuple[Frames, Ints]:
  """Returns the frames of a bucket in the order of their keys, and the records of each section."""
  mine = [(found.path, found.segments[found.segments[:, 0] == bucket]) for found in scattered]
  n_records, n_bytes = sum(segments[:, 2:].sum(axis=0) for _, segments in mine).tolist()
  keys, sizes = np.empty(n_records, np.uint64), np.empty(n_records, np.int64)
  data = np.empty(n_bytes, np.uint8)
  record = byte = 0
  for path, segments in mine:
    if len(segments):
      with open_as_is(path) as file:
        for _, offset, n, size in segments.tolist():
          file.seek(offset)
          for array in (keys[record:][:n], sizes[record:][:n], data[byte:][:size]):
            fill(file, array, path)
          record, byte = record + n, byte + size
  bits = scattered[0].section_bits
  section = (keys >> np.uint64(64 - bits)).astype(np.int64) if bits else np.zeros_like(sizes)
  frames = Frames(pa.py_buffer(data), np.cumsum(np.append(0, sizes)))
  return frames.take(order_of_keys(keys)), np.bincount(section)
