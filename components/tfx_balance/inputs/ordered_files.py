"""One ordered pass over TFRecord files: TensorFlow reads, and the end of each file is checked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from tfx_balance.inputs.file_names import check_promised
from tfx_balance.inputs.parsing import parser
from tfx_balance.inputs.python_calls import call_python
from tfx_balance.inputs.records import check_read_whole, compression, framed_bytes
from tfx_balance.inputs.source import FeatureSpec


def ordered_files(
  paths: Sequence[str],
  batch_size: int,
  label: str,
  feature_spec: FeatureSpec | None,
  promised: int | None = None,
) -> tf.data.Dataset:
  """Returns one pass over files in order: batches of (features, label), the last one smaller.

  Args:
    paths: Files, some of them compressed or none.
    batch_size: Records in a batch.
    label: Name of the label feature.
    feature_spec: What to parse with, the label included.
    promised: Records that all the files hold together, where that is known.
  """
  parse = parser(label, feature_spec)
  records = checked_batches(paths, batch_size, promised)
  return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


def checked_batches(
  paths: Sequence[str], batch_size: int, promised: int | None = None
) -> tf.data.Dataset:
  """Returns batches of serialized records, string [B], that end in an error if a file is not whole.

  TensorFlow's reader checks the CRCs, but its errors name no file, and it takes a header that is
  cut short for the file's end. So its errors only end the file, and at that end Python compares
  what was read with the file's size, and finds the fault where it differs.
  """
  kinds = [compression(path) for path in paths]
  nothing = tf.constant([], tf.string)

  def of_file(path: tf.Tensor, kind: tf.Tensor) -> tf.data.Dataset:
    batches = tf.data.TFRecordDataset(path, kind).batch(batch_size).ignore_errors()
    ending = tf.data.Dataset.from_tensors(nothing)
    return tf.data.Dataset.zip(
      (tf.data.Dataset.from_tensors(path).repeat(), batches.concatenate(ending))
    )

  def check(path: bytes, n_bytes: np.int64, n_records: np.int64) -> np.bool_:
    if path:
      check_read_whole(path.decode(), int(n_bytes))
    else:
      check_promised(paths, int(n_records), promised)
    return np.bool_(True)

  def count(
    state: tuple[tf.Tensor, tf.Tensor], element: tuple[tf.Tensor, tf.Tensor]
  ) -> tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]:
    (n_bytes, n_records), (path, batch) = state, element
    ends = tf.equal(tf.size(batch), 0)
    whole = tf.cond(
      ends,
      lambda: call_python(check, [path, n_bytes, n_records], [tf.bool])[0],
      lambda: tf.constant(True),
    )
    with tf.control_dependencies([whole]):
      n_bytes = tf.where(ends, tf.constant(0, tf.int64), n_bytes + framed_bytes(batch))
    return (n_bytes, n_records + tf.size(batch, tf.int64)), batch

  files = tf.data.Dataset.from_tensor_slices((list(paths), kinds)).flat_map(of_file)
  marked = files.concatenate(tf.data.Dataset.from_tensors((tf.constant(b''), nothing)))
  zero = tf.constant(0, tf.int64)
  return marked.scan((zero, zero), count).rebatch(batch_size)
