"""Hashing files and comparing runs of them: any run length, any part, any kind of value."""

from collections import Counter

import pytest
from tfx_balance.class_distribution_validator import leakage
from tfx_balance.class_distribution_validator.hashed_keys import KeyKind
from tfx_balance.class_distribution_validator.leakage import (
  HashFile,
  LeakageContext,
  ShowRecords,
  describe_record,
  merge_keys,
  write_leakage,
)
from tfx_balance.errors import DataError
from tfx_balance.plan.checks import default_pairs
from tfx_balance.plan.common_keys import BUCKETS
from tfx_balance.scan.record_reader import BATCH_RECORDS
from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.work_files import read_json

from tests.helpers_changes import flip_byte, swap_labels, truncate
from tests.helpers_examples import (
  example,
  reversed_features,
  sequence_example,
  value_of,
  write_tfrecords,
)


def find(
  folder,
  splits,
  feature=None,
  payload='FORMAT_TF_EXAMPLE',
  change=lambda path: None,
  by_values=False,
  sizes=SIZES,
  batch_records=BATCH_RECORDS,
):
  """Returns what the transform writes, run step by step without a runner."""
  (folder / 'work').mkdir(parents=True)
  kind, pairs = (
    KeyKind(feature, payload, by_values, batch_records),
    default_pairs(sorted(splits), []),
  )
  paths = str(folder / 'work'), str(folder / 'out.json')
  context = LeakageContext(kind, tuple(pairs), *paths, sizes)
  files = []
  for name, shards in splits.items():
    for i, records in enumerate(shards):
      path = write_tfrecords(folder / f'Split-{name}' / f'{i}.gz', records)
      files.append(InputFile(path, len(files), name))
  hashed = [found for file in files for found in HashFile(context).process(file)]
  parts = leakage.plan_parts(None, hashed, sizes.part_keys)
  n = len(splits)
  found = merge_keys([leakage.compare_part(p, hashed, n) for p in parts], n)
  change(files[0].path)
  show = ShowRecords(kind)
  texts = dict(t for wanted in ShowRecords.wanted(found, files) for t in show.process(wanted))
  write_leakage(found, hashed, texts, context)
  return read_json(context.path), hashed


def splits_of(kind):
  convert = {'int': int, 'float': float, 'bytes': lambda i: b'\xff%d' % i}[kind]
  return {
    'a': [[example(key=convert(i), n=i) for i in range(low, low + 40)] for low in (0, 20)],
    'b': [[example(key=convert(i), n=i) for i in range(50, 120)]],
    'c': [[]],
  }


def recounted(splits, key):
  keys_of = {n: Counter(map(key, [r for s in shards for r in s])) for n, shards in splits.items()}
  return {
    (a, b): [sum(keys_of[x][k] for k in set(keys_of[a]) & set(keys_of[b])) for x in (a, b)]
    for a in keys_of
    for b in keys_of
    if a < b
  }


@pytest.mark.parametrize('kind', ['int', 'float', 'bytes'])
@pytest.mark.parametrize('feature', [None, 'key'], ids=['records', 'feature'])
@pytest.mark.parametrize('small', [False, True], ids=['one run', 'many runs and parts'])
def test_what_is_found_equals_a_recount(tmp_path, kind, feature, small):
  limits = {'sizes': Sizes(run_keys=1, part_keys=3), 'batch_records': 7} if small else {}
  splits = splits_of(kind)
  data, hashed = find(tmp_path, splits, feature, **limits)
  key = (lambda r: r) if feature is None else (lambda r: value_of(r, 'key'))
  found = {
    (row['other'], row['split']): [row['records_of_other'], row['records']] for row in data['pairs']
  }
  assert found == recounted(splits, key)
  assert data['splits']['c'] == {'records': 0, 'without_key': 0}
  if small:
    assert len(leakage.plan_parts(None, hashed, 3)) > 8
  edges = leakage.plan_parts(None, hashed)
  assert [edges[0][0], edges[-1][1]] == [0, BUCKETS]


def test_equal_bytes_of_other_types_and_other_lists_are_other_keys(tmp_path):
  splits = {
    'a': [[example(key=[b'x', b'yz'])], [example(key=b'xyz')], [example(key=[b'p', b'q'])]],
    'b': [[example(key=[b'xy', b'z']), example(key=None), example(key=[b'p', b'q'], n=1)]],
  }
  data, _ = find(tmp_path, splits, 'key')
  (row,) = data['pairs']
  assert (row['keys'], row['records'], row['records_of_other']) == (1, 1, 1)
  assert row['examples'][0]['text'] == 'key=[p, q]'
  assert data['splits']['b'] == {'records': 2, 'without_key': 1}


@pytest.mark.parametrize('by_values', [False, True], ids=['bytes', 'values'])
def test_features_in_another_order_are_equal_by_value(tmp_path, by_values):
  records = [example(id=i, label=i % 3) for i in range(200)]
  other = [reversed_features(record) for record in records]
  assert not set(other) & set(records)
  splits = {'a': [records[:150]], 'b': [records[140:160], other[100:150]]}
  data, _ = find(tmp_path, splits, by_values=by_values)
  (row,) = data['pairs']
  found = row['keys'], row['records_of_other'], row['records']
  assert found == ((50, 50, 60) if by_values else (10, 10, 10))


def test_the_context_of_sequence_examples_has_keys_too(tmp_path):
  splits = {'a': [[sequence_example(key='k', n=1)]], 'b': [[sequence_example(key='k', n=2)]]}
  data, _ = find(tmp_path, splits, 'key', 'FORMAT_TF_SEQUENCE_EXAMPLE')
  assert data['pairs'][0]['examples'][0]['text'] == 'key=k'


@pytest.mark.parametrize(
  ('splits', 'fault'),
  [
    ({'a': [[example(key=1)]], 'b': [[example(key=b'1')]]}, r"types \['bytes', 'int'\], which are"),
    (
      {'a': [[example(other=1)]], 'b': [[]]},
      "'key' is in none of the records; .* or one of: other",
    ),
  ],
  ids=['types', 'absent'],
)
def test_a_feature_that_is_no_key_is_refused(tmp_path, splits, fault):
  with pytest.raises(DataError, match=fault):
    find(tmp_path, splits, 'key')


@pytest.mark.parametrize(
  ('change', 'feature'),
  [
    pytest.param(flip_byte, None, id='flipped byte'),
    pytest.param(swap_labels, None, id='swapped labels'),
    pytest.param(swap_labels, 'label', id='swapped labels of a feature'),
    pytest.param(truncate, None, id='truncated'),
    pytest.param(lambda path: write_tfrecords(path, []), 'label', id='emptied'),
  ],
)
def test_examples_are_not_taken_from_a_file_that_changed(tmp_path, change, feature):
  records = [example(n=1, label=1), example(n=1, label=2), example(n=1, label=3)]
  splits = {'a': [records], 'b': [records[::-1]]}
  fault = r'Split-a/0.gz (changed while it was read|is not a whole gzip file)'
  with pytest.raises(DataError, match=fault):
    find(tmp_path, splits, feature, change=change)


def test_no_records_have_nothing_in_common(tmp_path):
  data, _ = find(tmp_path, {'a': [[]], 'b': [[]]}, 'key')
  (row,) = data['pairs']
  assert (row['keys'], row['records'], row['share'], row['examples']) == (0, 0, 0, [])


@pytest.mark.parametrize(
  ('features', 'text'),
  [
    ({'b': b'<script>\n', 'a': 1}, r'a=1, b=<script>\n'),
    ({'a': [1, 2, 3, 4, 5]}, 'a=[1, 2, 3, 4, ... 5 values]'),
    ({'a': 0.1, 'b': []}, 'a=0.1, b=[]'),
    ({'a': b'\xff' * 50}, 'a=<50 bytes>'),
    ({'a': b'\xff'}, r'a=\xff'),
    ({'a': b'x' * 99}, f'a={"x" * 30}…{"x" * 9}'),
  ],
)
def test_a_record_is_shown_on_one_line(features, text):
  assert describe_record(example(**features), None, 'FORMAT_TF_EXAMPLE') == text
  long = example(**{f'feature_{i:03d}': i for i in range(100)})
  assert len(describe_record(long, None, 'FORMAT_TF_EXAMPLE')) == 200


@pytest.mark.parametrize('absent', [float('nan'), [1.0, float('nan')]])
def test_nan_is_no_key_and_zeros_are_one(tmp_path, absent):
  zeros = (0.0, -0.0)  # which are equal
  shards = [[example(key=value, n=n) for value in (0.5, absent, zeros[n])] for n in range(2)]
  data, _ = find(tmp_path, {'a': [shards[0]], 'b': [shards[1]]}, 'key')
  assert data['splits'] == {name: {'records': 2, 'without_key': 1} for name in 'ab'}
  assert [pair['keys'] for pair in data['pairs']] == [2]
