"""The one reading of each input file: what it holds is counted, and its records are spilled.

Later steps neither read the file again nor check or decode a record again: `spill` has both the
records and an index of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import attrgetter
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.beam import counters
from tfx_balance.beam.steps import spread
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.group_table import GroupBy
from tfx_balance.plan.narrow_integers import NarrowColumns, SparseCounts
from tfx_balance.plan.number_bins import edge_keys
from tfx_balance.plan.ranks import Ints, UInts, fine_buckets, mix, ranks
from tfx_balance.scan.binned_reader import BinnedReader, bin_counts, recoding_of
from tfx_balance.scan.index_columns import GroupKeys, Identity, IndexNumbers, identity_of
from tfx_balance.scan.label_readers import label_readers
from tfx_balance.scan.spill import (
  Rows,
  Spill,
  SpillWriter,
  hashes_of_bytes,
  index_row,
  pack,
)
from tfx_balance.scan.strata import (
  BAD,
  DROPPED,
  FeatureReader,
  MissingLabel,
  Payload,
  StratumDecoder,
)
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.scan.totals import ScanCounts
from tfx_balance.sizes import SIZES, Sizes, Workspace
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.frames import Frames, ScratchBuffer
from tfx_balance.tfrecord.reading import READ_DEFAULTS, BadRecords, ReadOptions
from tfx_balance.tfrecord.work_files import scratch_folder


@dataclass(frozen=True)
class InputFile:
  """A TFRecord file to read.

  Attributes:
    path: Path of the file.
    file_number: Number among all the input files, from 0.
    input_split: Split in which it is counted; '' where all files are counted together.
  """

  path: str
  file_number: int
  input_split: str = ''


@dataclass(frozen=True)
class ScannedFile(NarrowColumns):
  """A file that was read.

  Attributes:
    file: File that was read.
    spill: Its records, but for those that were dropped or are bad.
    strata: Strata by their codes in the index.
    records: Number of records of each stratum: int64 [strata].
    stratum_bytes: Bytes of the frames of each stratum: int64 [strata].
    counts: Counts of its records.
  """

  file: InputFile
  spill: Spill
  strata: StratumColumns
  records: Ints
  stratum_bytes: Ints
  counts: ScanCounts

  narrow_columns = ('records', 'stratum_bytes')

  def in_bins(self, feature: str, place: int, edges: tuple[float, ...]) -> ScannedFile:
    """Returns a file whose numbers, which are one class, are in bins, which are classes.

    Its index gives other codes from then on; records stay where they are.

    Args:
      feature: Feature that holds the numbers.
      place: Its place among those that strata are made of.
      edges: Edges of the bins.
    """
    kind = 'int' if self.strata.kinds[place] == 'int' else 'float'
    limits = edge_keys(edges, kind)
    counts = np.zeros((2, len(self.strata), len(limits) + 1), np.int64)
    for index in self.spill.index('code', 'size', 'number'):
      counts += bin_counts(index, limits, len(self.strata))
    strata, recoding = recoding_of(counts[0], self.strata, place, edges, kind)
    records, n_bytes = counts[:, counts[0] > 0]
    kinds = {name: kinds for name, kinds in self.counts.kinds.items() if name != feature}
    spill = replace(self.spill, recoding=recoding)
    scanned = replace(self.counts, edges=edges, kinds=kinds)
    return ScannedFile(self.file, spill, strata, records, n_bytes, scanned)

  def without(self, hashes: UInts, work: Workspace) -> ScannedFile:
    """Returns a file without the records that have one of some hashes; what is left is written.

    Args:
      hashes: Hashes that identify records: uint64 [n].
      work: Where work files are.
    """
    gone, before = FileSums(), self.counts
    with scratch_folder(work.work_dir) as folder:
      with SpillWriter(folder, 'new', self.spill.file_number, self.spill.key) as writer:
        for index, frames in self.spill.frames():
          in_base = np.isin(index['hash'], hashes)
          gone.add(index[in_base], 0, len(self.records))
          kept = np.flatnonzero(~in_base)
          writer.write(index[kept], frames, kept)
      spill = writer.spill
      if folder != work.work_dir:
        spill = pack(spill, work.work_dir, None, sizes=work.sizes)
    counts = replace(
      before,
      n_bytes=before.n_bytes - int(gone.stratum_bytes.sum()),
      fingerprint=(before.fingerprint - gone.counts.fingerprint) % 2**64,
      in_base=int(gone.records.sum()),
    )
    records, n_bytes = self.records - gone.records, self.stratum_bytes - gone.stratum_bytes
    return ScannedFile(self.file, spill, self.strata, records, n_bytes, counts)


def scan_files(files: beam.PCollection[InputFile], scan: ScanFile) -> beam.PCollection[ScannedFile]:
  """Returns the scanned files, each of which may be on another worker."""
  return spread(files, 'SpreadFiles', attrgetter('file_number')) | 'ScanFile' >> beam.ParDo(scan)


@dataclass(eq=False)
class ScanFile(beam.DoFn):
  """Turns an `InputFile` into a `ScannedFile`.

  Attributes:
    features: Features that strata are made of.
    payload: Type of the records.
    missing: Treatment of records without a class.
    work_dir: Folder of work files; None where records are counted and not kept.
    options: Options of reading.
    seed: Seed of the order in which records are spilled.
    by_class: Whether a block is ordered by stratum, rare ones first.
    optional: Features without which a record is not dropped, whatever `missing` is.
    key: Features whose values are hashed to identify a record; none for its bytes.
    purpose: Name of the draw by which records will be selected; '' for none.
    n_files: Number of files to read.
    by_values: Whether the values of a record identify it, in whatever order its features are.
    time: Feature whose values are the times of records; '' for none.
    binned: Feature of `features` whose numbers are one class until they are put into bins; ''.
    labels: Features whose labels make a set, which is one class; none where each is a class.
    groups: Features that make groups, whose hashes are spilled; None where there are none.
    sizes: Sizes of what is read and held.
  """

  features: Sequence[str]
  payload: Payload
  missing: MissingLabel
  work_dir: str | None = None
  options: ReadOptions = READ_DEFAULTS
  seed: int = 0
  by_class: bool = False
  optional: Collection[str] = ()
  key: Sequence[str] = ()
  purpose: str = ''
  n_files: int = 1
  by_values: bool = False
  time: str = ''
  binned: str = ''
  labels: Sequence[str] = ()
  groups: GroupBy | None = None
  sizes: Sizes = SIZES

  def __post_init__(self) -> None:
    self._block = ScratchBuffer()
    self._order_key = tie_break(self.seed, 'order')
    self._numbers = {k: v for k, v in {'time': self.time, 'number': self.binned}.items() if v}
    self._hashes_bytes = not (self.key or self.by_values)
    content = () if self._hashes_bytes else ('content',)
    grouped = () if self.groups is None else ('group',)
    self._row = index_row(*content, *grouped, *self._numbers)

  def process(self, file: InputFile) -> Iterator[ScannedFile]:
    options = self.options
    bad = BadRecords(file.path, options.bad_records == 'skip', options.max_bad_records)
    classes = [
      (BinnedReader if name == self.binned else FeatureReader)(name, file.path)
      for name in self.features
    ]
    if self.labels:
      classes = label_readers(self.features, self.labels, file.path, self.missing)
    grouped = self.groups.features if self.groups else ()
    others = sorted({*self.key, *grouped, *self._numbers.values()})
    decoder = StratumDecoder(
      self.features, self.payload, self.missing, file.path, bad, self.optional, classes, others
    )
    keys = identity_of(self.key, self.by_values, self.payload, file.path)
    groups = GroupKeys(self.groups, file.path) if self.groups else None
    # Of identities that are hashed, some may be those of many records.
    sampled = [] if self._hashes_bytes or self.groups else ['hash']
    more = IndexNumbers(self._numbers, file.path, bad, sampled)
    counted = FileSums()
    indexed = self._indexed(file, decoder, keys, more, groups, bad, counted)
    spill = self._keep(file, indexed, counted)
    flags = set(self.labels if len(self.labels) > 1 else ()).difference(others)
    kinds = {name: kind for name, kind in decoder.reader.kinds.items() if kind}
    counters.READ.inc(counted.n_records - len(bad.positions) + (bad.truncated_bytes > 0))
    counters.DROPPED.inc(counted.counts.dropped)
    counters.SKIPPED.inc(len(bad.positions))
    yield ScannedFile(
      file=file,
      spill=spill,
      strata=decoder.strata,
      records=counted.records,
      stratum_bytes=counted.stratum_bytes,
      counts=replace(
        counted.counts,
        feature_names=set(decoder.reader.feature_names),
        missing_in={name: (file.path, at) for name, at in decoder.first_missing.items()},
        bad=len(bad.positions),
        first_bad=(file.file_number, bad.first) if bad.positions else None,
        without_group=groups.without if groups else 0,
        numbers=dict(more.samples),
        kinds={name: {kind: file.path} for name, kind in kinds.items() if name not in flags},
      ),
    )

  def _indexed(
    self,
    file: InputFile,
    decoder: StratumDecoder,
    keys: Identity,
    more: IndexNumbers,
    groups: GroupKeys | None,
    bad: BadRecords,
    counted: FileSums,
  ) -> Iterator[tuple[Rows, Frames]]:
    """Yields frames, valid until the next ones, and their index, whose records it counts."""
    blocks = read_frames(
      file.path,
      chunk_bytes=self.sizes.chunk_bytes,
      max_record_bytes=self.options.max_record_bytes,
      bad=bad,
      block_bytes=self.sizes.block_bytes,
      buffer=self._block,
    )
    for frames in blocks:
      first = counted.n_records
      wrong = [at - first for at in bad.positions if at >= first]
      rows = np.zeros(len(frames), self._row)
      rows['code'], columns = decoder.decode(frames, wrong)
      rows['size'] = frames.sizes
      rows['position'] = np.arange(first, first + len(rows))
      rows['hash'] = keys(rows, frames, columns)
      if not self._hashes_bytes:
        rows['content'] = hashes_of_bytes(frames.views())
      more.fill(rows, columns, file.file_number)
      if groups:
        rows['group'] = groups.hashes(rows, columns)
      counted.add(rows, int(frames.offsets[-1]), decoder.n_strata)
      yield rows, frames

  def _keep(
    self, file: InputFile, indexed: Iterator[tuple[Rows, Frames]], counted: FileSums
  ) -> Spill:
    """Returns the spill of all records, but for those that were dropped or are bad."""
    if self.work_dir is None:
      deque(indexed, maxlen=0)
      return Spill(file.file_number, self._order_key, '', '', ())
    with scratch_folder(self.work_dir) as folder:
      with SpillWriter(folder, 'scan', file.file_number, self._order_key) as writer:
        for rows, frames in indexed:
          which = None
          if rows['code'].max() >= BAD:
            which = np.flatnonzero(rows['code'] < BAD)
            rows = rows[which]
          leading = by_frequency(rows['code']) if self.by_class else None
          writer.write(rows, frames, which, leading)
      if folder == self.work_dir:
        return writer.spill
      stratum_bytes = counted.stratum_bytes if self.by_class else None
      counts = self._rank_counts(writer.spill, counted)
      return pack(writer.spill, self.work_dir, stratum_bytes, counts, self.sizes)

  def _rank_counts(self, spill: Spill, counted: FileSums) -> SparseCounts | None:
    """Returns the number of records in each fine bucket of ranks; None if none will be selected."""
    if not self.purpose or not spill.blocks:
      return None
    fine = fine_buckets(counted.records, self.n_files)
    return SparseCounts.merge(
      SparseCounts.count(
        (fine.n_buckets,),
        fine.buckets(index['code'].astype(np.int64), ranks(index['hash'], self.seed, self.purpose)),
      )
      for index in spill.index('hash', 'code')
    )


class FileSums:
  """Sums over the records of a file so far."""

  def __init__(self) -> None:
    self.records = self.stratum_bytes = np.zeros(0, np.int64)
    self.n_records, self.counts = 0, ScanCounts(n_files=1)

  def add(self, rows: Rows, n_bytes: int, n_strata: int) -> None:
    """Adds the next records of the file, given the number of strata met so far."""
    codes, sizes = np.ascontiguousarray(rows['code']), rows['size']
    if codes.max(initial=0) >= BAD:
      self.counts.dropped += int(np.count_nonzero(codes == DROPPED))  # NumPy 2 counts in int64
      usable = codes < BAD
      codes, sizes = codes[usable], sizes[usable]
    self.records = _grown(self.records, np.bincount(codes, minlength=n_strata))
    self.stratum_bytes = _grown(self.stratum_bytes, np.bincount(codes, sizes, minlength=n_strata))
    self.n_records += len(rows)
    self.counts.n_bytes += n_bytes
    fingerprint = self.counts.fingerprint + int(mix(rows['hash'], 0).sum())
    self.counts.fingerprint = fingerprint % 2**64


def by_frequency(codes: npt.NDArray[Any]) -> Ints:
  """Returns the place of each record's stratum where the rarest comes first: int64 [n].

  >>> by_frequency(np.array([5, 5, 0, 0, 0, 2])).tolist()
  [4, 4, 5, 5, 5, 3]
  """
  return np.argsort(np.argsort(np.bincount(codes), kind='stable'))[codes]


def _grown(sums: npt.NDArray[np.int64], added: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
  """Adds sums by stratum to others, which may have fewer strata."""
  return added.astype(np.int64) + np.pad(sums, (0, len(added) - len(sums)))
