"""The first reading of each file: what it holds is counted, and what later steps need is kept.

Of each record an index (16 bytes, beside the data and not in memory) has its hash, stratum and
size, so that later steps neither check nor decode anything again. `IndexWriter` keeps that alone.

`SpillWriter` keeps the records as well, shuffled, before it is known where each of them goes. A
file is cut into blocks. Within a block records lie in buckets, ranges of a random number, so that a
range of buckets is a random sample of the file, a piece of each block, whatever order the file has.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import xxhash

from tfx_balance.beam import counters
from tfx_balance.beam.steps import spread
from tfx_balance.plan.ranks import Ints, mix, order_of_groups, record_numbers
from tfx_balance.scan.strata import BAD, DROPPED, MissingLabel, Payload, StratumDecoder
from tfx_balance.scan.stratum_columns import StratumColumns
from tfx_balance.tfrecord.files import (
  changed,
  check_end,
  fill,
  open_decompressed,
  read_frames,
  read_sized,
)
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer, concatenate
from tfx_balance.tfrecord.reading import READ_DEFAULTS, ReadOptions
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, open_as_is

BLOCK_BYTES = 16 << 20
"""Decompressed bytes that are held until they are written, about."""
SECOND_CHUNK_BYTES = 8 << 20
"""Bytes of frames that a later pass reads at a time: more than the first, which makes objects."""
INDEX_ROW = np.dtype([('hash', '<u8'), ('code', '<u4'), ('size', '<u4')])
"""Hash of a record's bytes, its stratum in the file's own numbering, bytes of its frame."""
_TABLE = np.dtype('<u4')


@dataclass(frozen=True)
class InputFile:
  """A TFRecord file to read.

  Attributes:
    path: Path of the file.
    rank: Number among all the input files, from 0.
    group: Group in which it is counted, such as its split; '' where all files are one group.
  """

  path: str
  rank: int
  group: str = ''


@dataclass(frozen=True)
class ScannedFile:
  """A file that was read once.

  Attributes:
    file: File that was read.
    index_path: Path of its index.
    chunks: Number of records in each chunk in which the index, and the file again, are read.
    digests: xxh3 of the frames of each chunk, by which a changed file is recognized; none
      for a file that is not read again.
    strata: Strata by their codes in the index.
    records: Number of records of each stratum: int64 [strata].
    stratum_bytes: Bytes of the frames of each stratum: int64 [strata].
    dropped: Number of records without a class that were left out.
    n_bytes: Bytes of all its frames.
    fingerprint: Sum of the mixed hashes of its records, modulo 2**64: the same in any order.
    feature_names: Features of its first records.
    first_missing: Position of the first record without a feature, by feature.
    bad: Number of records that cannot be used and were skipped.
    first_bad: Fault of the first of them, '' where there is none.
    cut_bytes: Bytes left of a last record that is cut short, which is one of them.
  """

  file: InputFile
  index_path: str
  chunks: tuple[int, ...]
  digests: tuple[int, ...]
  strata: StratumColumns
  records: Ints
  stratum_bytes: Ints
  dropped: int
  n_bytes: int
  fingerprint: int
  feature_names: tuple[str, ...]
  first_missing: dict[str, int]
  bad: int
  first_bad: str
  cut_bytes: int

  def index_rows(self) -> Iterator[npt.NDArray[np.void]]:
    """Yields the index, chunk by chunk: INDEX_ROW [records of the chunk]."""
    with open_as_is(self.index_path) as index:
      for n in self.chunks:
        yield np.frombuffer(index.read(n * INDEX_ROW.itemsize), INDEX_ROW)

  def frames(self) -> Iterator[tuple[npt.NDArray[np.void], Frames]]:
    """Yields the index and the frames, chunk by chunk; each chunk is what was read first.

    Raises:
      DataError: if the file has changed since it was scanned.
    """
    path = self.file.path
    with open_decompressed(path) as stream:
      for rows, digest in zip(self.index_rows(), self.digests, strict=True):
        frames = read_sized(stream, rows['size'], path)
        if xxhash.xxh3_64_intdigest(frames.data) != digest:
          raise changed(path)
        yield rows, frames
      check_end(stream, path, self.cut_bytes)

  def usable_frames(self) -> Iterator[Frames]:
    """Yields the frames without those of bad records."""
    for rows, frames in self.frames():
      usable = rows['code'] != BAD
      yield frames if usable.all() else frames.take(np.flatnonzero(usable))


@dataclass(frozen=True)
class SpilledFile(ScannedFile):
  """A file that was read once, with its records spilled, so that it is not read again.

  Attributes:
    spill_path: Path of the frames, block by block.
    n_buckets: Number of buckets in each block.

  The chunks of the index are the blocks. Records that were dropped are in neither.
  """

  spill_path: str
  n_buckets: int

  def index_rows(self) -> Iterator[npt.NDArray[np.void]]:
    return (rows for rows, _ in self.blocks())

  def blocks(self) -> Iterator[tuple[npt.NDArray[np.void], Ints]]:
    """Yields each block: its index, and int64 [2, buckets], records and bytes of its buckets."""
    with open_as_is(self.index_path) as index:
      for n in self.chunks:
        rows, table = np.empty(n, INDEX_ROW), np.empty((2, self.n_buckets), _TABLE)
        fill(index, rows.view(np.uint8), self.index_path)
        fill(index, table.view(np.uint8), self.index_path)
        yield rows, table.astype(np.int64)

  def frames(self) -> Iterator[tuple[npt.NDArray[np.void], Frames]]:
    with open_as_is(self.spill_path) as spill:
      for rows in self.index_rows():
        yield rows, read_sized(spill, rows['size'], self.spill_path)


class IndexWriter:
  """Keeps the index alone: whoever needs the records reads the file again."""

  def __init__(self, file: InputFile, work_dir: str) -> None:
    self._path = new_work_file(work_dir, f'index-{file.rank:05d}')
    self._file = create_as_is(self._path)
    self._chunks = [0]
    self._digests = [xxhash.xxh3_64()]
    self._in_chunk = 0

  def add(self, rows: npt.NDArray[np.void], frames: Frames) -> None:
    self._file.write(rows.view(np.uint8).data)
    if self._in_chunk >= SECOND_CHUNK_BYTES:
      self._chunks.append(0)
      self._digests.append(xxhash.xxh3_64())
      self._in_chunk = 0
    n_bytes = int(frames.offsets[-1])
    self._chunks[-1] += len(rows)
    self._digests[-1].update(memoryview(frames.data)[:n_bytes])
    self._in_chunk += n_bytes

  def scanned(self, **found: Any) -> ScannedFile:
    chunks = tuple(n for n in self._chunks if n)
    digests = tuple(digest.intdigest() for digest in self._digests[: len(chunks)])
    return ScannedFile(index_path=self._path, chunks=chunks, digests=digests, **found)

  def close(self) -> None:
    self._file.close()


class SpillWriter:
  """Keeps the records of a file as `SpilledFile` says."""

  def __init__(self, file: InputFile, work_dir: str, n_buckets: int, seed_key: int) -> None:
    """Opens the files."""
    self._rank, self._n_buckets, self._seed_key = file.rank, n_buckets, seed_key
    self._paths = [
      new_work_file(work_dir, f'{kind}-{file.rank:05d}') for kind in ('index', 'spill')
    ]
    with contextlib.ExitStack() as stack:
      self._index, self._spill = (stack.enter_context(create_as_is(path)) for path in self._paths)
      self._files = stack.pop_all()
    self._held: list[tuple[npt.NDArray[np.void], Frames]] = []
    self._joined, self._taken = ScratchBuffer(), ScratchBuffer()
    self._held_bytes = 0
    self._position = 0
    self._blocks: list[int] = []

  def add(self, rows: npt.NDArray[np.void], frames: Frames) -> None:
    """Takes the next records of the file: INDEX_ROW [n], and their frames."""
    # Without the records as objects, which `frames` keeps: they would take as much memory again.
    self._held.append((rows, Frames(frames.data, frames.offsets)))
    self._held_bytes += int(frames.offsets[-1])
    if self._held_bytes >= BLOCK_BYTES:
      self._write()

  def scanned(self, **found: Any) -> SpilledFile:
    """Returns what was kept, and what else was found in the file."""
    self._write()
    index_path, spill_path = self._paths
    return SpilledFile(
      index_path=index_path,
      chunks=tuple(self._blocks),
      digests=(),
      spill_path=spill_path,
      n_buckets=self._n_buckets,
      **found,
    )

  def close(self) -> None:
    self._files.close()

  def _write(self) -> None:
    """Writes what is held as a block."""
    if not self._held:
      return
    rows = np.concatenate([rows for rows, _ in self._held])
    frames = concatenate([frames for _, frames in self._held], self._joined)
    self._held, self._held_bytes = [], 0
    numbers = record_numbers(self._rank, self._position, len(rows))
    self._position += len(rows)
    random = mix(numbers, self._seed_key) >> np.uint64(32)
    buckets = ((random * np.uint64(self._n_buckets)) >> np.uint64(32)).astype(np.int64)
    order = order_of_groups(buckets)
    if rows['code'].max() >= BAD:
      order = order[rows['code'][order] < BAD]
      if not len(order):
        return
    frames = frames.take(order, self._taken)
    records = np.bincount(buckets[order], minlength=self._n_buckets)
    n_bytes = np.diff(frames.offsets[np.append(0, np.cumsum(records))])
    self._index.write(rows[order].view(np.uint8).data)
    self._index.write(np.stack([records, n_bytes]).astype(_TABLE).tobytes())
    self._spill.write(memoryview(frames.data)[: int(frames.offsets[-1])])
    self._blocks.append(len(order))


def scan_files(
  files: beam.PCollection[InputFile],
  features: Sequence[str],
  payload: Payload,
  missing: MissingLabel,
  work_dir: str,
  options: ReadOptions,
  keep: Callable[[InputFile, str], IndexWriter | SpillWriter] = IndexWriter,
) -> beam.PCollection[ScannedFile]:
  """Returns the scanned files, each of which may be on another worker; see `ScanFile`."""
  scan = ScanFile(features, payload, missing, work_dir, options, keep)
  return spread(files, 'SpreadFiles', attrgetter('rank')) | 'ScanFile' >> beam.ParDo(scan)


class ScanFile(beam.DoFn):
  """Turns an `InputFile` into a `ScannedFile`."""

  def __init__(
    self,
    features: Sequence[str],
    payload: Payload,
    missing: MissingLabel,
    work_dir: str,
    options: ReadOptions = READ_DEFAULTS,
    keep: Callable[[InputFile, str], IndexWriter | SpillWriter] = IndexWriter,
  ) -> None:
    self._features = tuple(features)
    self._payload: Payload = payload
    self._missing: MissingLabel = missing
    self._work_dir = work_dir
    self._options = options
    self._keep = keep

  def process(self, file: InputFile) -> Iterator[ScannedFile]:
    bad = self._options.bad_of(file.path)
    decoder = StratumDecoder(self._features, self._payload, self._missing, file.path, bad)
    counts = sizes = np.zeros(0, np.int64)
    position = dropped = n_bytes = fingerprint = 0
    with contextlib.closing(self._keep(file, self._work_dir)) as kept:
      most = self._options.max_record_bytes
      for frames in read_frames(file.path, max_record_bytes=most, bad=bad):
        wrong = [at - position for at in bad.positions if at >= position]
        rows = _index(frames, decoder, wrong)
        position += len(rows)
        kept.add(rows, frames)
        codes, row_sizes = np.ascontiguousarray(rows['code']), rows['size']
        if codes.max(initial=0) >= BAD:
          dropped += int(np.count_nonzero(codes == DROPPED))  # NumPy 2 counts in int64
          known = codes < BAD
          codes, row_sizes = codes[known], row_sizes[known]
        counts = _grown(counts, np.bincount(codes, minlength=decoder.n_strata))
        sizes = _grown(sizes, np.bincount(codes, row_sizes, minlength=decoder.n_strata))
        n_bytes += int(frames.offsets[-1])
        fingerprint += int(mix(rows['hash'], 0).sum())
      counters.READ.inc(position - len(bad.positions) + (bad.cut_bytes > 0))
      counters.DROPPED.inc(dropped)
      counters.SKIPPED.inc(len(bad.positions))
      scanned = kept.scanned(
        file=file,
        strata=decoder.strata,
        records=counts,
        stratum_bytes=sizes,
        dropped=dropped,
        n_bytes=n_bytes,
        fingerprint=fingerprint % 2**64,
        feature_names=tuple(decoder.feature_names),
        first_missing=decoder.first_missing,
        bad=len(bad.positions),
        first_bad=bad.first,
        cut_bytes=bad.cut_bytes,
      )
    yield scanned


def _grown(sums: npt.NDArray[np.int64], added: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
  """Returns sums by stratum with more added, of which there may be more strata."""
  return added.astype(np.int64) + np.pad(sums, (0, len(added) - len(sums)))


def _index(frames: Frames, decoder: StratumDecoder, bad: Sequence[int]) -> npt.NDArray[np.void]:
  """Returns the index of some frames, those at some positions bad: INDEX_ROW [n]."""
  records = frames.payloads()
  rows = np.empty(len(records), INDEX_ROW)
  rows['hash'] = np.fromiter(map(xxhash.xxh3_64_intdigest, records), np.uint64, len(records))
  if bad:
    rows['code'] = decoder.decode_around(records, bad)
  else:
    rows['code'] = decoder.decode(records, frames.table())
  rows['size'] = frames.sizes
  return rows
