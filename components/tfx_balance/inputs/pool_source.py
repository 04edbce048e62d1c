"""Any TFRecord files and a label as a source of batches, held in memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from tfx_balance.arguments import check_label, check_seed, check_whole
from tfx_balance.errors import DataError
from tfx_balance.inputs.file_names import check_promised, promised_records
from tfx_balance.inputs.labels import count_labels, flat_label
from tfx_balance.inputs.ordered_files import ordered_files
from tfx_balance.inputs.parsing import parser, parsing_reader
from tfx_balance.inputs.records import batches_of
from tfx_balance.inputs.source import DEFAULT_MEMORY_BUDGET, FeatureSpec, Reader
from tfx_balance.plan.sampling import ClassCounts


@dataclass
class PoolSource:
  """The records of files in any order, counted by one reading.

  Attributes:
    paths: files; those whose name ends in .gz are decompressed.
    label: name of the feature that the classes are values of.
    feature_spec: of the records, the label included.
    seed: the default seed of what is drawn.
    memory_budget: bytes of records to hold.
  """

  paths: Sequence[str]
  label: str
  feature_spec: FeatureSpec
  seed: int = 0
  memory_budget: int = DEFAULT_MEMORY_BUDGET
  counts: ClassCounts = field(init=False)
  natural: Mapping[str, tuple[int, ...]] = field(init=False)
  _rows: npt.NDArray[np.int64] = field(init=False, repr=False)
  _pool: Any = field(init=False, repr=False)

  def __post_init__(self) -> None:
    self.seed = check_seed(self.seed)
    self.memory_budget = check_whole('memory_budget', self.memory_budget, 0)
    check_label(self.label)
    parser(self.label, self.feature_spec)  # which refuses what is no feature spec
    self._pool, labels = self._read()
    self.counts, self._rows = count_labels(labels)
    self.natural = {'train': self.counts.records}

  def windows(self) -> tuple[tuple[int, ...], ...]:
    """Returns one window a class: all is in memory."""
    return tuple((n,) for n in self.counts.records)

  def reader(self, feature_spec: FeatureSpec | None) -> Reader:
    """Returns what gathers and parses a batch; see Source."""
    pool, spec = self._pool, feature_spec or self.feature_spec
    read = parsing_reader(
      lambda rows, fetched: tf.gather(pool, rows), self.label, self.counts.classes, spec
    )
    return Reader(self._rows.__getitem__, read)

  def ordered(self, batch_size: int, feature_spec: FeatureSpec | None) -> tf.data.Dataset:
    """Returns one pass over the files in order; see Source."""
    spec = feature_spec or self.feature_spec
    return ordered_files(self.paths, batch_size, self.label, spec, sum(self.counts.records))

  def _read(self) -> tuple[tf.Tensor, npt.NDArray[Any]]:
    """Returns all the records, string [n], and their labels."""
    if self.label not in self.feature_spec:
      raise DataError(
        f'label {self.label!r} is not in the feature spec, which has {sorted(self.feature_spec)}; '
        f'feature_spec= must hold the label too'
      )
    parse = parser(self.label, {self.label: self.feature_spec[self.label]})
    parts, labels, used = [], [], 0
    for path in self.paths:
      for batch in batches_of(path):
        found = flat_label(parse(batch)[1]).numpy()
        if len(found) != len(batch):
          raise DataError(
            f'{len(batch)} records of {path} have {len(found)} labels {self.label!r}; every '
            f'record needs one: leave the others out'
          )
        used += int(tf.reduce_sum(tf.strings.length(batch)))
        if used > self.memory_budget:
          raise DataError(
            f'the files hold more than memory_budget={self.memory_budget} bytes; raise it, or let '
            f'BalancedInputGen lay them out by class'
          )
        parts.append(batch)
        labels.append(found)
    check_promised(self.paths, sum(map(len, labels)), promised_records(self.paths))
    if not parts:
      raise DataError(f'the files {list(self.paths)[:5]} hold 0 records; give files that have some')
    return tf.concat(parts, 0), np.concatenate(labels)
