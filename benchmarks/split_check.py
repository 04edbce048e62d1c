"""Whether a split is whole: a time of a run that lost records is worth nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

_COUNTED_AT_A_TIME = 4096


def check_split(component_root: Path, records: int, splits: Sequence[str]) -> dict[str, int]:
  """Returns the records of each split of a component's one output, as TensorFlow reads them.

  Args:
    component_root: the component's folder in the pipeline's root.
    records: that went in.
    splits: that must be there, and no others.

  Raises:
    RuntimeError: if these are not the splits, or not all the records.
  """
  found = component_root.glob('examples/*/Split-*')
  folders = {path.name.removeprefix('Split-'): path for path in found}
  counts = {name: count_records(folder) for name, folder in sorted(folders.items())}
  if sorted(counts) != sorted(splits) or sum(counts.values()) != records:
    raise RuntimeError(
      f'{records} records went in, for splits {sorted(splits)}; {counts} came out: '
      f'mend the component before timing it'
    )
  return counts


def count_records(folder: Path) -> int:
  """Returns how many records are in the gzip TFRecord files of a folder."""
  paths = [str(path) for path in folder.iterdir()]
  records = tf.data.TFRecordDataset(paths, 'GZIP', num_parallel_reads=tf.data.AUTOTUNE)
  sizes = records.batch(_COUNTED_AT_A_TIME).map(lambda batch: tf.size(batch, tf.int64))
  return int(sizes.reduce(tf.constant(0, tf.int64), tf.add))
