"""A small balanced input artifact, as BalancedInputGen would write it."""

import tensorflow as tf
from tfx_balance.documents.balanced_input import PLAN_NAME, FileSegment, InputPlan, PlanFile
from tfx_balance.plan.class_value import ClassValue

SPEC = {
  'id': tf.io.FixedLenFeature([], tf.int64),
  'label': tf.io.FixedLenFeature([], tf.int64),
}


def example(record, label, padding=0):
  """Returns a serialized tf.Example of an id and a label, an int or bytes."""
  features = {'id': tf.train.Feature(int64_list=tf.train.Int64List(value=[record]))}
  if isinstance(label, bytes):
    features['label'] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[label]))
  elif label is not None:
    features['label'] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
  if padding:
    features['padding'] = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b'x' * padding]))
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def write_file(path, records):
  """Writes records to a TFRecord file, compressed if its name says so."""
  kind = 'GZIP' if str(path).endswith('.gz') else ''
  with tf.io.TFRecordWriter(str(path), kind) as writer:
    for record in records:
      writer.write(record)


def write_artifact(
  root, counts, per_file=10**9, shared_below=0, natural=None, labels=None, make=example
):
  """Writes an artifact and returns its plan; ids count up class by class, from 0.

  Args:
    root: pathlib.Path.
    counts: records of each class; the label of class i is i.
    per_file: records of one class in a file, at most.
    shared_below: classes of fewer records share one file.
    natural: of the plan; the counts under 'train' by default.
    labels: written in place of the class, to make faults.
    make: function of id and label that returns the serialized tf.Example.
  """
  shards, shared, first = [], [], 0
  for i, n in enumerate(counts):
    records = [make(first + k, (labels or {}).get(i, i)) for k in range(n)]
    first += n
    if n < shared_below:
      shared.append((i, records))
    else:
      shards += [[(i, records[k : k + per_file])] for k in range(0, n, per_file)]
  if shared:
    shards.append(shared)
  (root / 'Split-train').mkdir(parents=True)
  files = []
  for k, parts in enumerate(shards):
    path = f'Split-train/data_tfrecord-{k:05d}-of-{len(shards):05d}.gz'
    records = [record for _, own in parts for record in own]
    write_file(root / path, records)
    segments = tuple(FileSegment(i, len(own)) for i, own in parts)
    files.append(PlanFile(path, segments, n_bytes=sum(map(len, records))))
  plan = InputPlan(
    'label',
    tuple(ClassValue('int', i) for i in range(len(counts))),
    natural or {'train': tuple(counts)},
    tuple(files),
    seed=5,
  )
  (root / PLAN_NAME).write_text(plan.dumps())
  return plan
