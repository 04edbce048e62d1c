"""The splitter's plan for labels in memory: a partition, with the same quotas as the component."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.balanced_batches import BalancedBatches
from tfx_balance.modes.array_splits import stratified_indices
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.labels import count_labels
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

from tests.helpers_counts import by_stratum
from tests.helpers_memory import peak_bytes

LABELS = st.one_of(
  st.lists(st.integers(-4, 4), min_size=1, max_size=200),
  st.lists(st.sampled_from(['a', 'b', 'zwölf 🐈', '']), min_size=1, max_size=200),
  st.lists(st.sampled_from([b'a', b'\xff\xfe', b'b']), min_size=1, max_size=200),
  st.lists(st.sampled_from([-1.0, 0.0, 3.0]), min_size=1, max_size=200),
  st.lists(st.booleans(), min_size=1, max_size=200),
)
WEIGHTS = st.dictionaries(
  st.sampled_from(['train', 'eval', 'test', 'extra']), st.integers(1, 9), min_size=1
)
SEEDS = st.integers(0, 2**40)


def as_dict(parts):
  return {name: index.tolist() for name, index in parts.items()}


@given(LABELS, WEIGHTS, SEEDS)
def test_every_index_is_in_one_split(labels, weights, seed):
  parts = stratified_indices(labels, weights, seed)
  assert list(parts) == list(weights)
  assert sorted(np.concatenate(list(parts.values()))) == list(range(len(labels)))
  for index in parts.values():
    assert index.dtype == np.int64
    assert (np.diff(index) > 0).all()


@given(LABELS, WEIGHTS, SEEDS)
def test_every_class_and_split_is_within_one_item_of_its_share(labels, weights, seed):
  parts = stratified_indices(labels, weights, seed)
  for name, index in parts.items():
    share = Fraction(weights[name], sum(weights.values()))
    in_split = Counter(labels[i] for i in index)
    for found, whole in [(len(index), len(labels))] + [
      (in_split[label], n) for label, n in Counter(labels).items()
    ]:
      assert found in (math.floor(whole * share), math.ceil(whole * share))


@given(st.lists(st.integers(0, 5), min_size=3, max_size=200), SEEDS, st.data())
def test_counts_are_those_that_the_component_plans(labels, seed, data):
  counts = {'test': data.draw(st.integers(1, len(labels) - 1))}
  plan = plan_splits(
    *by_stratum({(ClassValue('int', label),): n for label, n in Counter(labels).items()}),
    SplitShares.parse({'train': 3, 'eval': 1}, counts),
    tie_break(seed, 'splits', len(labels)),
  )
  parts = stratified_indices(labels, {'train': 3, 'eval': 1}, seed, counts)
  assert tuple(parts) == plan.splits
  for name, column in zip(plan.splits, plan.quotas.T.tolist(), strict=True):
    found = Counter(labels[i] for i in parts[name])
    assert [found[stratum[0].value] for stratum in plan.strata] == column
  assert len(parts['test']) == counts['test']


def test_over_the_seeds_every_item_is_tested_as_often():
  n_seeds = 1000
  labels = ['a'] * 12 + ['b'] * 8
  tested = np.zeros(len(labels), np.int64)
  for seed in range(n_seeds):
    tested[stratified_indices(labels, {'train': 3, 'test': 1}, seed)['test']] += 1
  # 250 each by chance, with a standard deviation of 13.7.
  assert (abs(tested - 250) < 4.5 * 13.7).all()


def test_a_split_that_people_have_stays_as_it_is():
  # A change of these must raise ALGORITHM_VERSION.
  parts = stratified_indices(['a'] * 12 + ['b'] * 8, {'train': 2, 'test': 1, 'eval': 1}, seed=5)
  assert as_dict(parts) == {
    'train': [0, 1, 3, 5, 8, 9, 14, 15, 16, 17],
    'test': [6, 10, 11, 13, 19],
    'eval': [2, 4, 7, 12, 18],
  }


INTS = [3, 1, 2, 1, 3, 3, 1, 2, 2, 1, 3, 1] * 3


@pytest.mark.parametrize(
  'labels',
  [
    pytest.param(tuple(INTS), id='tuple'),
    pytest.param(np.array(INTS, np.int8), id='int8'),
    pytest.param(np.array(INTS, np.uint64), id='uint64'),
    pytest.param(np.array(INTS, object), id='objects'),
  ],
)
def test_integers_of_any_width_are_the_same_classes(labels):
  assert as_dict(stratified_indices(labels)) == as_dict(stratified_indices(INTS))


TEXTS = ['b', 'ä', 'b', 'ä', 'ä', 'b', 'ä'] * 6


@pytest.mark.parametrize(
  'labels',
  [
    pytest.param(np.array(TEXTS), id='unicode'),
    pytest.param([text.encode() for text in TEXTS], id='bytes'),
    pytest.param(np.array(TEXTS, object), id='objects'),
    pytest.param(np.array([text.encode() for text in TEXTS], object), id='objects of bytes'),
  ],
)
def test_text_is_bytes_in_utf_8(labels):
  assert as_dict(stratified_indices(labels)) == as_dict(stratified_indices(TEXTS))


@pytest.mark.parametrize('kind', [np.float32, np.float64])
def test_integral_floats_are_classes(kind):
  parts = stratified_indices(np.array([0.0, -0.0, 1.0, 1.0], kind), {'a': 1, 'b': 1})
  assert [len(index) for index in parts.values()] == [2, 2]
  for index in parts.values():
    assert sorted(i // 2 for i in index) == [0, 1]


def test_a_seed_of_numpy_is_the_seed():
  # NumPy 2 shows it as np.int64(3): it must not be drawn from the text.
  expected = as_dict(stratified_indices(INTS, seed=3))
  assert as_dict(stratified_indices(INTS, seed=np.int64(3))) == expected


@pytest.mark.parametrize(
  ('labels', 'message'),
  [
    pytest.param([], r'shape \(0,\) must be .* one item or more', id='empty'),
    pytest.param(np.eye(3), r'shape \(3, 3\) must be of shape \[n\].*labels.argmax', id='one-hot'),
    pytest.param(7, 'labels=7 is of type int, and must have one value an item', id='scalar'),
    pytest.param([0.5, 1.0], r'label 0.5 must be an integer, .*; convert or bin it', id='fraction'),
    pytest.param([1.0, math.nan], r'labels\[1\] is missing; leave out items without one', id='NaN'),
    pytest.param([1.0, math.inf], r'label inf must be', id='inf'),
    pytest.param([1j], r'label 1j must be', id='complex'),
    pytest.param([None, None], r'labels\[0\] is missing; leave out items without', id='None'),
    pytest.param(['a', None], r'labels\[1\] is missing; leave out items', id='None in text'),
    pytest.param(['a', math.nan], r'labels\[1\] is missing; leave out items', id='NaN in text'),
  ],
)
def test_labels_that_are_no_classes(labels, message):
  with pytest.raises(DataError, match=message):
    stratified_indices(labels)


@pytest.mark.parametrize('seed', ['x', 1.5, None, True], ids=repr)
def test_a_seed_that_is_no_whole_number_is_an_error(seed):
  with pytest.raises(ConfigError, match=rf'seed={seed!r} must be a whole number'):
    stratified_indices([0, 1], seed=seed)


def test_items_go_where_they_are_told_and_the_rest_is_stratified():
  labels, sets = ['a'] * 8 + ['b'] * 12, ['', 'T'] * 10
  arguments = {'split_by': sets, 'split_values': {'T': 'test'}}
  parts = stratified_indices(labels, {'train': 1, 'eval': 1}, **arguments)
  assert parts['test'].tolist() == list(range(1, 20, 2))
  assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(20))
  assert [Counter(labels[i] for i in parts[name]) for name in ('train', 'eval')] == [
    {'a': 2, 'b': 3}
  ] * 2
  with pytest.raises(DataError, match=r'10 records have no split by .* by value they are : 10'):
    stratified_indices(labels, **arguments)
  with pytest.raises(DataError, match=r'are of lengths \[19, 20\]; give one value an item'):
    stratified_indices(labels, split_by=sets[1:])


def test_folds_are_a_partition_of_what_is_not_held_out():
  labels = ['a'] * 80 + ['b'] * 20
  parts = stratified_indices(labels, folds=np.int64(3))
  assert list(parts) == ['fold-0', 'fold-1', 'fold-2', 'test']
  assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(100))
  assert [Counter(labels[i] for i in parts[f'fold-{i}']) for i in range(3)] == [
    {'a': 24, 'b': 6}
  ] * 3


@pytest.mark.parametrize('as_text', [False, True])
def test_items_are_chosen_by_their_key_whatever_their_order(as_text):
  labels, ids = np.arange(200) % 3, np.arange(200) * 7
  ids = ids.astype(str) if as_text else ids
  order = np.random.default_rng(0).permutation(200)
  first = stratified_indices(labels, seed=4, key=ids)
  second = stratified_indices(labels[order], seed=4, key=ids[order])
  assert {name: set(ids[part]) for name, part in first.items()} == {
    name: set(ids[order][part]) for name, part in second.items()
  }
  with pytest.raises(
    DataError, match=r'key is of shape \(199,\), and must be one value an item, of shape \[200\]'
  ):
    stratified_indices(labels, key=ids[1:])


def test_many_empty_splits_are_one_warning():
  rule = r"split 's\d', split 's\d', split 's\d', and 5 more are empty: no whole group"
  with pytest.warns(UserWarning, match=rule) as warned:
    stratified_indices([0] * 20, {f's{i}': 1 for i in range(10)}, groups=[0] * 10 + [1] * 10)
  assert len(warned) == 1


def test_an_embargo_that_is_no_number_is_refused():
  with pytest.raises(ConfigError, match=r'embargo=.* must be a finite number.*or times as'):
    stratified_indices([0, 0, 1, 1], order=[1, 2, 3, 4], embargo=np.timedelta64(1, 'D'))


IDS, TIMES, GROUPS = [1, 2, 3, 4], [4, 3, 2, 1], ['a', 'a', 'b', 'b']


@pytest.mark.parametrize(
  ('arguments', 'fault'),
  [
    ({'within': 'strata'}, r"^within='strata' .*; give the times with order_by="),
    ({'embargo': 3}, r'^embargo=3 .*; give the times with order_by='),
    ({'embargo_records': 3}, r'^embargo_records=3 .*; give the times with order_by='),
    ({'order': TIMES, 'mode': 'stable', 'key': IDS}, r'^mode= and order= .* order= by its time'),
    ({'order': TIMES, 'split_by': ['train'] * 4}, r'^order= and split_by= do not combine'),
    ({'order': TIMES, 'extend': {'train': [1]}}, r'^extend= and order= do not combine'),
    ({'groups': GROUPS, 'mode': 'stable'}, r'^groups= and mode= .* leave groups= out'),
    ({'groups': GROUPS, 'extend': {'train': [1]}}, r'^extend= and groups= do not combine'),
    (
      {'groups': GROUPS, 'order': TIMES, 'within': 'strata'},
      r'^groups= and within= .* leave within= out, or groups=$',
    ),
    (
      {'groups': GROUPS, 'order': TIMES, 'embargo_records': 1},
      r'^embargo_records= and groups= do not combine',
    ),
    ({'bins': {'price': 3}}, r"^bins=\{'price': 3\} must name one feature among those of labels="),
    ({'split_by': [['train']] * 3 + [[]]}, r'^split_by is not an array'),
    ({'split_by': [['train', 'test']] * 4}, r'^split_by of shape \(4, 2\).*split_by.argmax'),
    ({'split_by': ['train', 1, 'test', 'test']}, r'^split_by\[1\] is 1, and the first value is'),
    ({'split_by': [0.5] * 4}, r'^split_by: value 0.5 must be an integer'),
    ({'split_by': ['a', None, 'b', 'b']}, r'^split_by\[1\] is missing'),
    ({'key': np.array(['2020', '2021', 'NaT', '2022'], 'M8[Y]')}, r'^key\[2\] is missing; fill it'),
    ({'key': ['a', 1, 'b', 'c']}, r'^key\[1\] is 1, and the first value is'),
    ({'groups': [[1], [1, 2], [3], [4]]}, r'^groups is a list of 4 columns of 1 items, or of rows'),
    ({'groups': ['a', 1, 'b', 'c']}, r'^groups\[1\] is 1, and the first value is'),
    (
      {'extend': {'train': [1], 'eval': ['a', 2], 'test': [3]}, 'key': IDS},
      r"^extend\['eval'\]\[1\] is 2, and the first value is 'a'",
    ),
  ],
)
def test_a_message_names_the_arguments_that_arrays_have(arguments, fault):
  with pytest.raises((ConfigError, DataError), match=fault) as caught:
    stratified_indices([0, 0, 1, 1], **arguments)
  assert 'order' not in arguments or 'order_by=' not in str(caught.value)
  assert 'groups' not in arguments or 'group_by=' not in str(caught.value)


@pytest.mark.parametrize(
  ('arguments', 'fault'),
  [
    ({'labels': None}, r'^stratify_by=None is of type NoneType'),
    ({'stratify_by': [0, 1, 2, 3]}, r'^labels= and stratify_by= are both given, .* leave one out'),
    ({'groups': GROUPS, 'group_by': GROUPS}, r'^groups= and group_by= are both given'),
    ({'order': TIMES, 'order_by': TIMES}, r'^order= and order_by= are both given'),
    ({'group_by': {'a': IDS, 'b': [1, None, 2, 3]}}, r"^group_by\['b'\]\[1\] is missing"),
    ({'group_by': [IDS, [1]]}, r'^group_by\[1\] is of shape \(1,\), and must be one value an item'),
    ({'order_by': ['a'] * 4}, r'^order_by has .*, and must be numbers or times'),
    ({'group_by': GROUPS, 'key': IDS}, r'^key= and group_by= do not combine'),
  ],
)
def test_an_argument_is_given_once_and_named_as_it_was_given(arguments, fault):
  with pytest.raises((ConfigError, DataError), match=fault):
    stratified_indices(**{'labels': [0, 0, 1, 1], **arguments})


TWO_TO_ONE = {'train': 2, 'test': 1}
SITES = np.array(['x', 'y', 'y', 'x', 'z'] * 40)
SEXES = np.array([0, 0, 1, 1, 1, 0, 1] * 29)[:200]
CLASSES = np.array(['a'] * 150 + ['b'] * 50)
COLUMNS = {'class': CLASSES, 'site': SITES, 'sex': SEXES}


@pytest.mark.parametrize(
  'columns', [list(COLUMNS.values()), COLUMNS, pd.DataFrame(COLUMNS)], ids=['list', 'dict', 'table']
)
def test_columns_are_strata_of_all_their_combinations(columns):
  found = stratified_indices(stratify_by=columns, splits=TWO_TO_ONE)
  joined = [f'{c}{s}{x}' for c, s, x in zip(CLASSES, SITES, SEXES, strict=True)]
  for levels in (CLASSES, [j[:2] for j in joined], joined):  # each prefix, within one record
    counted = Counter(levels)
    for split, share in (('train', 2 / 3), ('test', 1 / 3)):
      there = Counter(np.array(levels)[found[split]])
      assert all(abs(there[value] - n * share) < 1 for value, n in counted.items())
  again = stratified_indices(stratify_by=COLUMNS, splits=TWO_TO_ONE)
  assert as_dict(found) == as_dict(again)


def test_columns_make_the_groups_that_their_combinations_make():
  rooms, beds = np.arange(200) // 20, np.arange(200) // 5 % 4  # each room has beds 0 to 3
  found = stratified_indices(CLASSES, TWO_TO_ONE, group_by={'room': rooms, 'bed': beds})
  split_of = np.repeat(list(found), [len(rows) for rows in found.values()])
  split_of = split_of[np.argsort(np.concatenate(list(found.values())))]
  places = {}
  for room, bed, split in zip(rooms.tolist(), beds.tolist(), split_of, strict=True):
    places.setdefault((room, bed), set()).add(split)
  assert {len(splits) for splits in places.values()} == {1}
  assert any(places[room, 0] != places[room, 1] for room in range(10))  # a room is no group
  assert any(places[0, bed] != places[1, bed] for bed in range(4))  # and neither is a bed


def test_bins_are_of_one_column_of_several():
  prices = np.arange(200.0)
  table = {'class': CLASSES, 'price': prices}
  found = stratified_indices(stratify_by=table, splits=TWO_TO_ONE, bins={'price': 4})
  assert set(Counter(prices[found['test']] // 50).values()) == {16, 17}
  by_number = stratified_indices(stratify_by=[CLASSES, prices], splits=TWO_TO_ONE, bins={1: 4})
  assert as_dict(found) == as_dict(by_number)


@pytest.mark.parametrize(
  ('name', 'alias', 'values'),
  [('stratify_by', 'labels', SITES), ('group_by', 'groups', SEXES), ('order_by', 'order', SEXES)],
)
def test_an_argument_may_have_its_other_name(name, alias, values):
  others = {} if name == 'stratify_by' else {'labels': CLASSES}
  new, old = (stratified_indices(**others, **{which: values}) for which in (name, alias))
  assert as_dict(new) == as_dict(old)


MANY = np.random.default_rng(0).integers(0, 10, 1_000_000)


@pytest.mark.parametrize(
  'labels',
  [
    MANY.astype(np.int8),
    MANY,
    MANY.astype(float),
    MANY.astype('U9'),
    MANY.astype('S9'),
    np.array([f'class {i}' for i in range(10)], object)[MANY],
    np.random.default_rng(1).integers(0, 2000, len(MANY)),
  ],
  ids=['int8', 'int64', 'float', 'text', 'bytes', 'objects', 'classes'],
)
def test_labels_take_few_bytes_of_whatever_type_they_are(labels):
  assert peak_bytes(lambda: count_labels(labels)) <= 16 * len(labels)
  assert peak_bytes(lambda: BalancedBatches(labels, 32)) <= 16 * len(labels)
  assert peak_bytes(lambda: stratified_indices(labels)) <= 24 * len(labels)


def test_parts_of_labels_give_what_all_at_once_give():
  text = np.array([f'class {i}' for i in range(300)])[np.tile(np.arange(300), 300)]
  counts, rows = count_labels(text)
  distinct, codes = np.unique(text, return_inverse=True)
  assert [each.value.decode() for each in counts.classes] == distinct.tolist()
  np.testing.assert_array_equal(rows, np.argsort(codes, kind='stable'))
  with pytest.raises(DataError, match=r"labels\[40000\] is 7, and the first value is 'a'"):
    count_labels(np.array([*['a'] * 40_000, 7], object))
