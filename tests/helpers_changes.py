"""Changes of a file between two readings of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import tensorflow as tf

from tests.helpers_examples import read_tfrecords, value_of, write_tfrecords


def flip_byte(path: str) -> None:
  """Changes one byte of a record, and the checksum to match: all lengths stay as they are."""
  records = read_tfrecords(path)
  changed = bytearray(records[1])
  changed[-1] ^= 1
  write_tfrecords(path, [records[0], bytes(changed), *records[2:]])


def swap_labels(path: str) -> None:
  """Swaps the labels of two records of equal length."""
  examples = [tf.train.Example.FromString(record) for record in read_tfrecords(path)]
  first, last = (examples[i].features.feature['label'] for i in (0, -1))
  kept = tf.train.Feature.FromString(first.SerializeToString())
  assert kept != last, f'{path} has one label only'
  first.CopyFrom(last)
  last.CopyFrom(kept)
  write_tfrecords(path, [e.SerializeToString(deterministic=True) for e in examples])
  assert [value_of(record) for record in read_tfrecords(path)]


def truncate(path: str) -> None:
  """Cuts the file short."""
  data = Path(path).read_bytes()
  Path(path).write_bytes(data[: len(data) - len(data) // 4])


def stop_moves(monkeypatch, moved):
  """Has the next moves of files fail after so many."""
  calls, move = [], shutil.move

  def fail(source, target):
    if len(calls) >= moved:
      raise OSError('the worker was killed')
    calls.append(move(source, target))

  monkeypatch.setattr(shutil, 'move', fail)
