"""What a split costs, from its size alone: bytes, core-seconds, memory; fitted to measured runs.

Bytes are counted, not fitted: which passes read and write what is known. Core-seconds are a sum of
what a run, a file, a record, a byte and a (file, class) cost, each at least 0, by least squares on
relative errors. Fitting on small runs and predicting a larger one tells what that is worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from tfx_balance.plan.selection import HistogramLayout
from tfx_balance.transforms.count import INDEX_ROW
from tfx_balance.transforms.gather_splits import DEALT_ROW
from tfx_balance.transforms.output_layout import (
  BUCKET_BYTES,
  MAX_BUCKETS,
  SHARD_BYTES,
  OutputLayout,
  fan_out,
)
from tfx_balance.transforms.spill import BLOCK_BYTES
from tfx_balance.transforms.split_job import BUCKETS

_INDEX_READS = 3  # histogram, candidates, dealing out
_TABLE_ROW = 8  # bytes that tell of a bucket of a block: its records and its bytes
_RANGE_ROW = 16  # bytes that tell where a chunk of a block begins: its records and its bytes
_COUNTER = 8  # bytes of a counter of the histogram
_CANDIDATE = 24  # bytes of a rank near the end of a part: bucket, rank, file
_BASE_BYTES = 1_000_000_000  # of a process that has TFX and TensorFlow imported
_COPIES = 3  # of the bytes that are sorted at a time


@dataclass(frozen=True)
class Workload:
  """A split to make.

  Attributes:
    records: of the input.
    raw_bytes: of the input, decompressed.
    file_bytes: of the input, as it is.
    files: of the input.
    classes: of equal size, or as near to it as matters.
    splits: to make.
  """

  records: int
  raw_bytes: int
  file_bytes: int
  files: int
  classes: int
  splits: int = 3

  @property
  def read(self) -> int:
    """Bytes to read from files: the data, the index, how it was dealt out, the spilled records."""
    return self.file_bytes + _INDEX_READS * self.index_bytes + self.dealt_bytes + self.raw_bytes

  @property
  def written(self) -> int:
    """Bytes to write to files: what work files take, and the data."""
    return self.work_bytes + self.file_bytes

  @property
  def blocks(self) -> int:
    """Blocks of the spilled files."""
    return self.files * -(-self.raw_bytes // self.files // BLOCK_BYTES)

  @property
  def index_bytes(self) -> int:
    """Bytes of the index: of each record, and of each bucket of a block."""
    return INDEX_ROW.itemsize * self.records + _TABLE_ROW * BUCKETS * self.blocks

  @property
  def dealt_bytes(self) -> int:
    """Bytes that tell where each record goes."""
    return DEALT_ROW.itemsize * self.records

  @property
  def work_bytes(self) -> int:
    """Bytes that work files take, beside the input and the output: the records among them."""
    return self.index_bytes + self.dealt_bytes + self.raw_bytes

  @property
  def histogram_bytes(self) -> int:
    """Bytes of one histogram of ranks: every file makes one, and they are added up."""
    return _COUNTER * self._buckets * self.classes

  @property
  def candidate_bytes(self) -> int:
    """Bytes of the ranks that come together in one place to find the ends of the splits."""
    in_bucket = max(1, self.records // self.classes) / self._buckets
    return int(_CANDIDATE * in_bucket * self.classes * (self.splits - 1))

  @property
  def range_bytes(self) -> int:
    """Bytes that tell where the chunks of the output files are in the spilled files."""
    layout = OutputLayout.of(self.raw_bytes, '', '')
    files, _ = fan_out(np.array(len(layout.paths)), 0, self.files)
    return int(_RANGE_ROW * self.blocks * files * (layout.n_buckets + 1))

  @property
  def shuffled(self) -> int:
    """Bytes that Beam moves between stages, at most: no record is among them."""
    return self.files * self.histogram_bytes + self.candidate_bytes + self.range_bytes

  @property
  def planner_bytes(self) -> int:
    """Memory of the one worker in which counts, ranks and the list of files come together."""
    return _BASE_BYTES + _COPIES * (self.histogram_bytes + self.candidate_bytes) + 1000 * self.files

  def worker_bytes(self, threads: int) -> int:
    """Returns the memory of a worker process that has so many files in work at a time."""
    chunk = min(max(BUCKET_BYTES, self.raw_bytes // MAX_BUCKETS), SHARD_BYTES)
    return _BASE_BYTES + threads * _COPIES * max(chunk, BLOCK_BYTES)

  @property
  def _buckets(self) -> int:
    return HistogramLayout.of([max(1, self.records // self.classes)]).n_buckets

  def _terms(self) -> list[float]:
    per_pair = self.files * self.classes
    return [1.0, self.files, self.records, self.raw_bytes, per_pair]


@dataclass(frozen=True)
class CostModel:
  """Core-seconds of a run, and for each file, record, decompressed byte and (file, class)."""

  run: float
  file: float
  record: float
  byte: float
  file_class: float

  def core_seconds(self, workload: Workload) -> float:
    """Returns the core-seconds that a split takes on a machine like the measured one."""
    weights = [self.run, self.file, self.record, self.byte, self.file_class]
    return float(np.dot(weights, workload._terms()))

  @classmethod
  def fit(cls, measured: Sequence[tuple[Workload, float]]) -> CostModel:
    """Returns the model that explains measured core-seconds best, by relative errors.

    Raises:
      ValueError: if there are fewer measurements than numbers to find.
    """
    terms = np.array([workload._terms() for workload, _ in measured])
    seconds = np.array([core_seconds for _, core_seconds in measured])
    if len(seconds) < terms.shape[1]:
      raise ValueError(f'{len(seconds)} runs cannot tell {terms.shape[1]} costs; measure more')
    scale = terms.max(axis=0)
    found, _ = nnls(terms / scale / seconds[:, None], np.ones(len(seconds)))
    return cls(*(found / scale).tolist())


def error(model: CostModel, workload: Workload, core_seconds: float) -> float:
  """Returns by how much a prediction is off: 0.1 is a tenth too high."""
  return model.core_seconds(workload) / core_seconds - 1
