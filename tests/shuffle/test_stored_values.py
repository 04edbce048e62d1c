"""Values in work files, as side inputs of steps."""

import gc
import hashlib
import os
import pickle
import re
import weakref

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from tfx_balance.beam.steps import create
from tfx_balance.errors import StorageError
from tfx_balance.shuffle.stored_values import StoredValue, WithStored, store
from tfx_balance.tfrecord.storage import write_whole


class Text(str):
  """A text to which there may be weak references."""


class Evil:
  """A value that, as it is loaded, makes a file."""

  def __init__(self, path):
    self._path = path

  def __reduce__(self):
    return open, (self._path, 'w')


def write_value(path, value):
  """Writes a value as a step does; returns the digest."""
  data = pickle.dumps(value)
  write_whole(path, data)
  return hashlib.sha256(data).digest()


def test_stored_side_inputs_come_in_their_order_and_lists_as_lists(tmp_path):
  with TestPipeline() as pipeline:
    one, other = (
      store(create(pipeline, name, [*name]), f'Store{name}', str(tmp_path)) for name in ('a', 'bc')
    )
    found = create(pipeline, 'Create', ['x', 'y']) | 'Use' >> beam.ParDo(
      WithStored(lambda element, of_one, of_other: [(element, of_one, sorted(of_other))]),
      beam.pvalue.AsSingleton(one),
      beam.pvalue.AsList(other),
    )
    assert_that(found, equal_to([('x', 'a', ['b', 'c']), ('y', 'a', ['b', 'c'])]))


def test_a_stored_value_is_its_path_and_the_value_is_as_it_was(tmp_path):
  column = np.arange(5)
  with TestPipeline() as pipeline:
    stored = store(create(pipeline, 'Create', [column]), 'Store', str(tmp_path))
    loaded = stored | 'Load' >> beam.Map(lambda one: (type(one), one.load().tolist()))
    assert_that(loaded, equal_to([(StoredValue, column.tolist())]))
  assert len(list(tmp_path.iterdir())) == 1


def test_what_was_loaded_is_one_object_within_a_bundle_and_not_held_after_it(tmp_path):
  path = f'{tmp_path}/value'
  digest = write_value(path, Text('value'))
  step = WithStored(lambda element, value: [value])
  (first,), (second,) = (step.process(n, StoredValue(path, digest)) for n in range(2))
  assert first is second
  reference = weakref.ref(first)
  del first, second
  step.finish_bundle()
  gc.collect()
  assert reference() is None


def test_a_file_that_is_gone_is_named(tmp_path):
  with pytest.raises(FileNotFoundError, match='no-such'):
    StoredValue(f'{tmp_path}/no-such', b'').load()


def test_what_another_wrote_is_not_loaded(tmp_path):
  stored = StoredValue(f'{tmp_path}/value', write_value(f'{tmp_path}/value', 'ours'))
  write_value(stored.path, Evil(f'{tmp_path}/made'))
  fault = (
    rf'^{re.escape(stored.path)} is not what this run wrote there: its \d+ bytes have another '
    r'SHA-256; see who can write in that folder, and whether its disk is sound, and run again$'
  )
  with pytest.raises(StorageError, match=fault):
    stored.load()
  assert os.listdir(tmp_path) == ['value']
