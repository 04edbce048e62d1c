"""Pass one: each file is read once; what it holds is counted, and a small index of it is kept.

The index (16 bytes a record, beside the data and not in memory) has each record's hash, stratum and
size, so that later passes neither check nor decode anything again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt
import xxhash
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from tfx_balance.plan.class_value import Stratum
from tfx_balance.plan.selection import mix
from tfx_balance.transforms.class_column import Payload
from tfx_balance.transforms.file_strata import FileStrata
from tfx_balance.transforms.frames import Frames
from tfx_balance.transforms.labels import DROPPED, MissingLabel, StratumDecoder
from tfx_balance.transforms.records import open_decompressed, read_frames, read_sized
from tfx_balance.transforms.steps import spread
from tfx_balance.transforms.work_files import new_work_file

SECOND_CHUNK_BYTES = 8 << 20
"""Bytes of frames that a later pass reads at a time: more than the first, which makes objects."""
INDEX_ROW = np.dtype([('hash', '<u8'), ('code', '<u4'), ('size', '<u4')])
"""Of a record: hash of its bytes, stratum in the file's own numbering, bytes of its frame."""


@dataclass(frozen=True)
class InputFile:
  """A TFRecord file to read.

  Attributes:
    path: of the file.
    rank: its place among all the input files, from 0.
    group: what it is counted with, such as the name of its split; '' where all go together.
  """

  path: str
  rank: int
  group: str = ''


@dataclass(frozen=True)
class ScannedFile:
  """A file that was read once.

  Attributes:
    file: the file.
    index_path: of its index.
    chunks: records in each chunk, in which the index, and the file again, are to be read.
    strata: what the codes in the index mean.
    records: of each stratum.
    stratum_bytes: of the frames of each stratum.
    dropped: records left out for want of a class.
    n_bytes: of all its frames.
    fingerprint: sum of the mixed hashes of its records, modulo 2**64: the same in any order.
    feature_names: of its first records.
    first_missing: feature to the position of the first record without it.
  """

  file: InputFile
  index_path: str
  chunks: tuple[int, ...]
  strata: FileStrata
  records: tuple[int, ...]
  stratum_bytes: tuple[int, ...]
  dropped: int
  n_bytes: int
  fingerprint: int
  feature_names: tuple[str, ...]
  first_missing: dict[str, int]

  def index_rows(self) -> Iterator[npt.NDArray[np.void]]:
    """Yields the index, chunk by chunk: INDEX_ROW [records of the chunk]."""
    with FileSystems.open(self.index_path, compression_type=CompressionTypes.UNCOMPRESSED) as index:
      for n in self.chunks:
        yield np.frombuffer(index.read(n * INDEX_ROW.itemsize), INDEX_ROW)

  def frames(self) -> Iterator[tuple[npt.NDArray[np.void], Frames]]:
    """Yields the index and the frames, chunk by chunk, without checking the frames again."""
    with open_decompressed(self.file.path) as stream:
      for rows in self.index_rows():
        yield rows, read_sized(stream, rows['size'], self.file.path)


@dataclass
class Totals:
  """What all the files hold together.

  Attributes are as in `ScannedFile`, and:
    missing_in: feature to a file and the position in it of a record without that feature.
  """

  records: dict[Stratum, int] = field(default_factory=dict)
  stratum_bytes: dict[Stratum, int] = field(default_factory=dict)
  dropped: int = 0
  n_bytes: int = 0
  n_files: int = 0
  fingerprint: int = 0
  feature_names: set[str] = field(default_factory=set)
  missing_in: dict[str, tuple[str, int]] = field(default_factory=dict)

  @property
  def n_records(self) -> int:
    """The records that have a stratum."""
    return sum(self.records.values())

  def describe(self) -> dict[str, Any]:
    """Returns what was read, as the sidecar shows it."""
    return {
      'records': self.n_records + self.dropped,
      'dropped': self.dropped,
      'files': self.n_files,
      'fingerprint': f'{self.fingerprint:016x}',
    }

  def add(self, scanned: ScannedFile) -> Totals:
    """Returns these totals with a file added."""
    self._add(scanned.strata, scanned.records, scanned.stratum_bytes)
    missing = {name: (scanned.file.path, at) for name, at in scanned.first_missing.items()}
    return self.merge(
      Totals(
        dropped=scanned.dropped,
        n_bytes=scanned.n_bytes,
        n_files=1,
        fingerprint=scanned.fingerprint,
        feature_names=set(scanned.feature_names),
        missing_in=missing,
      )
    )

  def merge(self, other: Totals) -> Totals:
    """Returns these totals with others added."""
    self._add(other.records, other.records.values(), other.stratum_bytes.values())
    self.dropped += other.dropped
    self.n_bytes += other.n_bytes
    self.n_files += other.n_files
    self.fingerprint = (self.fingerprint + other.fingerprint) % 2**64
    self.feature_names |= other.feature_names
    for name, place in other.missing_in.items():
      self.missing_in[name] = min(place, self.missing_in.get(name, place))
    return self

  def _add(self, strata: Iterable[Stratum], records: Iterable[int], n_bytes: Iterable[int]) -> None:
    for stratum, n, size in zip(strata, records, n_bytes, strict=True):
      self.records[stratum] = self.records.get(stratum, 0) + n
      self.stratum_bytes[stratum] = self.stratum_bytes.get(stratum, 0) + size


class SumTotals(beam.CombineFn):
  """Adds up scanned files to `Totals`."""

  def create_accumulator(self) -> Totals:
    return Totals()

  def add_input(self, totals: Totals, scanned: ScannedFile) -> Totals:
    return totals.add(scanned)

  def merge_accumulators(self, several: Iterable[Totals]) -> Totals:
    merged = Totals()
    for totals in several:
      merged.merge(totals)
    return merged

  def extract_output(self, totals: Totals) -> Totals:
    return totals


class SumGroups(beam.CombineFn):
  """Adds up scanned files to `Totals` of each group."""

  def create_accumulator(self) -> dict[str, Totals]:
    return {}

  def add_input(self, groups: dict[str, Totals], scanned: ScannedFile) -> dict[str, Totals]:
    groups.setdefault(scanned.file.group, Totals()).add(scanned)
    return groups

  def merge_accumulators(self, several: Iterable[dict[str, Totals]]) -> dict[str, Totals]:
    merged: dict[str, Totals] = {}
    for groups in several:
      for name, totals in groups.items():
        merged.setdefault(name, Totals()).merge(totals)
    return merged

  def extract_output(self, groups: dict[str, Totals]) -> dict[str, Totals]:
    return groups


def scan_files(
  files: beam.PCollection[InputFile],
  features: Sequence[str],
  payload: Payload,
  missing: MissingLabel,
  work_dir: str,
) -> beam.PCollection[ScannedFile]:
  """Returns the scanned files, each of which may be on another worker; see `ScanFile`."""
  scan = ScanFile(features, payload, missing, work_dir)
  return spread(files, 'SpreadFiles', attrgetter('rank')) | 'ScanFile' >> beam.ParDo(scan)


class ScanFile(beam.DoFn):
  """Turns an `InputFile` into a `ScannedFile`."""

  def __init__(
    self, features: Sequence[str], payload: Payload, missing: MissingLabel, work_dir: str
  ) -> None:
    self._features = tuple(features)
    self._payload: Payload = payload
    self._missing: MissingLabel = missing
    self._work_dir = work_dir

  def process(self, file: InputFile) -> Iterator[ScannedFile]:
    decoder = StratumDecoder(self._features, self._payload, self._missing, file.path)
    index_path = new_work_file(self._work_dir, f'index-{file.rank:05d}')
    counts = sizes = np.zeros(0, np.int64)
    dropped = n_bytes = fingerprint = 0
    chunks = [0]
    in_chunk = 0
    with FileSystems.create(index_path, compression_type=CompressionTypes.UNCOMPRESSED) as index:
      for frames in read_frames(file.path):
        rows = _index(frames, decoder)
        index.write(rows.view(np.uint8).data)
        codes, row_sizes = np.ascontiguousarray(rows['code']), rows['size']
        if codes.max(initial=0) == DROPPED:
          kept = codes != DROPPED
          codes, row_sizes = codes[kept], row_sizes[kept]
        counts = _grown(counts, np.bincount(codes, minlength=decoder.n_strata))
        sizes = _grown(sizes, np.bincount(codes, row_sizes, minlength=decoder.n_strata))
        dropped += len(rows) - len(codes)
        n_bytes += int(frames.offsets[-1])
        fingerprint += int(mix(rows['hash'], 0).sum())
        if in_chunk >= SECOND_CHUNK_BYTES:
          chunks.append(0)
          in_chunk = 0
        chunks[-1] += len(rows)
        in_chunk += int(frames.offsets[-1])
    yield ScannedFile(
      file,
      index_path,
      tuple(n for n in chunks if n),
      decoder.strata,
      tuple(counts.tolist()),
      tuple(sizes.tolist()),
      dropped,
      n_bytes,
      fingerprint % 2**64,
      tuple(decoder.feature_names),
      decoder.first_missing,
    )


def _grown(sums: npt.NDArray[np.int64], added: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
  """Returns sums by stratum with more added, of which there may be more strata."""
  return added.astype(np.int64) + np.pad(sums, (0, len(added) - len(sums)))


def _index(frames: Frames, decoder: StratumDecoder) -> npt.NDArray[np.void]:
  """Returns the index of some frames: INDEX_ROW [n]."""
  records = frames.payloads()
  rows = np.empty(len(records), INDEX_ROW)
  rows['hash'] = np.fromiter(map(xxhash.xxh3_64_intdigest, records), np.uint64, len(records))
  rows['code'] = decoder.decode(records, frames.table())
  rows['size'] = frames.sizes
  return rows
