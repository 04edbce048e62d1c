"""Copies: their seeds, their bytes, and what an augment function may not do."""

import re

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.augment import Applier
from tfx_balance.balanced_augmenter.copies import (
  PROVENANCE,
  CopyMaker,
  Originals,
  copy_seeds,
  to_lists,
  to_tensor,
)
from tfx_balance.balanced_augmenter.examples import FeatureShape, as_lists
from tfx_balance.errors import DataError

from tests.balanced_augmenter import functions
from tests.balanced_augmenter.helpers_balance import plan_copies, tabular
from tests.helpers_examples import example, in_shards, sequence_example, value_of

HASHES = st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=40, unique=True)


@given(HASHES, st.integers(-5, 2**63), st.data())
def test_a_seed_is_a_function_of_seed_record_and_copy_alone(hashes, seed, data):
  numbers = [data.draw(st.integers(1, 1000)) for _ in hashes]
  found = copy_seeds(np.array(hashes, np.uint64), np.array(numbers), seed)
  assert found.shape == (len(hashes), 2)
  assert found.dtype == np.int64
  order = data.draw(st.permutations(range(len(hashes))))
  for i in order:
    alone = copy_seeds(np.array([hashes[i]], np.uint64), np.array([numbers[i]]), seed)
    np.testing.assert_array_equal(alone[0], found[i])


def test_seeds_differ_between_records_copies_and_seeds():
  hashes = np.repeat(np.arange(200, dtype=np.uint64), 50)
  numbers = np.tile(np.arange(1, 51), 200)
  seeds = np.concatenate([copy_seeds(hashes, numbers, seed) for seed in (0, 1, -1)])
  for column in seeds.T:  # each half alone is enough
    assert len(np.unique(column)) == len(seeds)
  ones = np.unpackbits(seeds.view(np.uint8)).mean()
  assert abs(ones - 0.5) < 6 * 0.5 / np.sqrt(seeds.size * 64)


class Made:
  """The copies of one file's records."""

  def __init__(self, folder, records, augment=None, **arguments):
    same = None if augment is None else functions.same
    (planned,) = plan_copies(folder, {'train': [records]}, same, **arguments)
    self.scanned, self.output_plan, _, _, shapes, pools = planned
    self.maker = CopyMaker(self.scanned, self.output_plan, shapes, augment, pools)
    ((index, frames),) = self.scanned.spill.frames()
    order = np.argsort(index['position'])
    self.frames, self.index = frames.take(order), index[order]
    self.rows = self.output_plan.selection.rows_of(self.scanned)[self.index['code']]

  def copy(self, *wanted):
    """Returns a copy of each (position, number)."""
    at, numbers = (np.array(column) for column in zip(*wanted, strict=True))
    originals = Originals(self.frames.take(at), self.index['hash'][at], at, numbers, self.rows[at])
    return self.maker.make(originals).payloads()


RECORDS = tabular({'a': 6, 'b': 4})
WANTED = [(0, 1), (7, 1), (0, 2), (3, 1), (7, 9)]


def applier(function):
  return Applier(function, 'label')


def test_without_a_function_a_copy_is_its_original(tmp_path):
  assert Made(tmp_path, RECORDS).copy(*WANTED) == [RECORDS[at] for at, _ in WANTED]


def test_a_sequence_example_is_copied_as_it_is(tmp_path):
  records = [sequence_example(steps=i, label='a', id=i) for i in range(3)]
  made = Made(tmp_path, records, payload='FORMAT_TF_SEQUENCE_EXAMPLE', provenance=True)
  (found,) = made.copy((2, 1))
  assert found.startswith(records[2])
  message = tf.train.SequenceExample.FromString(found)
  step = tf.train.SequenceExample.FromString(records[2]).feature_lists
  assert message.feature_lists == step
  provenance = [message.context.feature[name].int64_list.value[0] for name in PROVENANCE]
  assert provenance == [0, 2, 1]


def test_a_copy_of_a_function_is_what_the_function_gives(tmp_path):
  made = Made(tmp_path, RECORDS, applier(functions.jitter), seed=5)
  seeds = copy_seeds(
    made.index['hash'][[at for at, _ in WANTED]],
    np.array([number for _, number in WANTED]),
    made.output_plan.context.draw_seed,
  )
  for record, (at, _), seed in zip(made.copy(*WANTED), WANTED, seeds, strict=True):
    before = {'x': tf.constant(value_of(RECORDS[at], 'x'))}
    expected = functions.jitter(before, tf.constant(seed))['x']
    np.testing.assert_array_equal(np.float32(value_of(record, 'x')), expected)
    assert [value_of(record, name) for name in ('label', 'id')] == [
      value_of(RECORDS[at], name) for name in ('label', 'id')
    ]


def test_a_copy_is_the_same_alone_as_among_others_and_in_another_file(tmp_path):
  one = Made(tmp_path / 'one', RECORDS, applier(functions.jitter))
  found = one.copy(*WANTED)
  assert [one.copy(wanted)[0] for wanted in WANTED] == found
  assert len(set(found)) == len(found)
  other = Made(tmp_path / 'two', RECORDS[::-1], applier(functions.jitter))
  assert other.copy(*[(len(RECORDS) - 1 - at, number) for at, number in WANTED]) == found
  seeded = Made(tmp_path / 'three', RECORDS, applier(functions.jitter), seed=1)
  assert not set(seeded.copy(*WANTED)) & set(found)


def test_a_function_that_does_not_end_is_named_with_class_file_and_records(tmp_path):
  made = Made(tmp_path, RECORDS, applier(functions.waits), augment_timeout=0.5)
  path = re.escape(made.scanned.file.path)
  pattern = (
    r'functions\.waits: did not end within augment_timeout=0.5 seconds; .*; it was given 3 copies '
    rf'of records 1 to 7 of {path}, of 2 classes: a, b$'
  )
  try:
    with pytest.raises(DataError, match=pattern):
      made.copy((1, 1), (6, 1), (7, 9))
  finally:
    functions.GO_ON.set()


def test_a_function_that_fails_on_no_record_alone_is_named_too(tmp_path):
  made = Made(tmp_path, RECORDS, applier(functions.only_alone))
  with pytest.raises(DataError, match=r'OnlyAlone.*too many records'):
    made.copy((0, 1), (7, 1))


@pytest.mark.parametrize(
  ('column', 'shape'),
  [
    pytest.param(([1, 2, 3], [0, 1, 2, 3]), FeatureShape('int', 1, 1), id='one value'),
    pytest.param(([1.0, 2.0], [0, 2]), FeatureShape('float', 2, 2), id='two values'),
    pytest.param(([b'x', b'y\xff'], [0, 0, 2, 2]), FeatureShape('bytes', 0, 2), id='varying'),
    pytest.param(([b'x', b'', b'z', b'u'], [0, 2, 4]), FeatureShape('bytes', 2, 2), id='bytes'),
    pytest.param(([], [0, 0]), FeatureShape('int', 0, 3), id='no values'),
  ],
)
def test_lists_are_tensors_and_back(column, shape):
  kind = {'int': np.int64, 'float': np.float32, 'bytes': object}[shape.kind]
  before = as_lists(np.array(column[0], kind), np.array(column[1]), shape.kind)
  tensor = to_tensor(before, shape)
  assert to_lists(tensor, shape.kind) == before
  assert tensor.shape.as_list()[0] == len(column[1]) - 1
  ranks = {True: 1 if shape.most == 1 else 2, False: 2}
  assert tensor.shape.rank == ranks[shape.is_fixed]


def test_shards_share_their_layout(tmp_path):
  # A feature that one file has always and another never is ragged in both, or functions would meet
  # it as another shape.
  records = [example(label='a', x=[1.0, 2.0]), example(label='a')]
  planned = plan_copies(tmp_path, {'train': in_shards(records, 2)}, functions.same)
  assert [found.shapes['x'] for found in planned] == [FeatureShape('float', 0, 2)] * 2
