"""Public arguments that are arrays, by the library that holds them; what is expected is by hand."""

import datetime
import decimal
import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import tensorflow as tf
from tfx_balance import BalancedBatches, StratifiedSplits, stratified_indices
from tfx_balance.arguments import format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.plan.arrays import read_column

UTC = datetime.timezone.utc
NUMBERS = [2, 1, 2, 2, 1, 2, 2, 1]
TEXTS = ['b', 'a', 'b', 'b', 'a', 'b', 'b', 'a']
ODD = [9, 3, 1, 0, 7, 5, 2, 8]  # an index of pandas that is not the position


class TorchTensor:
  """What a tensor of PyTorch with a gradient lets NumPy do: nothing before it is detached."""

  def __init__(self, values):
    self._values = np.array(values)

  def __array__(self, *_):
    raise RuntimeError("Can't call numpy() on Tensor that requires grad.")

  def __len__(self):
    return len(self._values)

  def detach(self):
    return self

  def cpu(self):
    return self

  def numpy(self):
    return self._values


class PolarsSeries:
  """What a series of polars has."""

  def __init__(self, values):
    self._values = values

  def __len__(self):
    return len(self._values)

  def is_null(self):
    return PolarsSeries([value is None for value in self._values])

  def null_count(self):
    return sum(value is None for value in self._values)

  def to_list(self):
    return list(self._values)

  def to_numpy(self):
    return np.array(self._values)


WHOLE = {
  'list': list,
  'tuple': tuple,
  'array': np.array,
  'int8': lambda v: np.array(v, np.int8) if v is NUMBERS else np.array(v),
  'uint64': lambda v: np.array(v, np.uint64) if v is NUMBERS else np.array(v),
  'column': lambda v: np.array(v)[:, None],
  'objects': lambda v: np.array(v, object),
  'masked': lambda v: np.ma.array(v, mask=[False] * len(v)),
  'tensor': tf.constant,
  'torch': TorchTensor,
  'series': lambda v: pd.Series(v, index=ODD),
  'nullable': lambda v: pd.Series(v, index=ODD).convert_dtypes(),
  'categorical': lambda v: pd.Series(v, index=ODD).astype('category'),
  'index': pd.Index,
  'pyarrow': pa.array,
  'chunked': lambda v: pa.chunked_array([v[:3], v[3:]]),
  'dictionary': lambda v: pa.array(v).dictionary_encode(),
  'pyarrow in pandas': lambda v: pd.Series(pa.array(v).to_pandas()),
  'polars': PolarsSeries,
}
MISSING = {
  'list': lambda v: [v[0], None, *v[2:]],
  'masked': lambda v: np.ma.array(v, mask=np.arange(len(v)) == 1),
  'nullable': lambda v: pd.Series([v[0], None, *v[2:]], index=ODD).convert_dtypes(),
  'categorical': lambda v: pd.Series([v[0], None, *v[2:]], index=ODD).astype('category'),
  'objects': lambda v: pd.Series([v[0], pd.NA, *v[2:]], dtype=object),
  'pyarrow': lambda v: pa.array([v[0], None, *v[2:]]),
  'polars': lambda v: PolarsSeries([v[0], None, *v[2:]]),
}
each = pytest.mark.parametrize
of_all = each('values', [NUMBERS, TEXTS], ids=['numbers', 'texts'])


@each('kind', WHOLE)
@of_all
def test_labels_of_any_library_are_the_same_classes(kind, values):
  labels = WHOLE[kind](values)
  found = stratified_indices(labels, {'test': 1})
  assert found['test'].tolist() == list(range(8))
  for train, test in StratifiedSplits(2).split(np.zeros((8, 1)), labels):
    assert [sum(values[i] == value for i in test) for value in (values[0], values[1])] in (
      [3, 1],
      [2, 2],
      [3, 2],
      [2, 1],
    )
    assert sorted([*train, *test]) == list(range(8))
  batches = BalancedBatches(labels, batch_size=4)
  assert sorted(values[i] for i in next(iter(batches))) == sorted([values[0], values[1]] * 2)
  inputs = BalancedInputs.from_arrays(np.arange(8), labels)
  assert {value.value for value in inputs.classes} == (
    {1, 2} if values is NUMBERS else {b'a', b'b'}
  )
  rows, given = next(iter(inputs.eval(8)))
  assert rows.numpy().tolist() == list(range(8))
  decoded = [v.decode() if isinstance(v, bytes) else v for v in np.ravel(given.numpy()).tolist()]
  assert decoded == values


@each('kind', WHOLE)
@of_all
def test_keys_groups_and_predefined_splits_of_any_library(kind, values):
  given = WHOLE[kind](values)
  grouped = stratified_indices([0] * 8, {'x': 1, 'y': 1}, groups=given)
  assert sorted(sorted(values[i] for i in part) for part in grouped.values()) == [
    [values[1]] * 3,
    [values[0]] * 5,
  ]
  by_key = stratified_indices([0] * 8, {'x': 1, 'y': 1}, key=given, mode='stable')
  assert len({tuple(sorted({values[i] for i in part})) for part in by_key.values()}) <= 2
  assert all(
    part.tolist() == by_list.tolist()
    for part, by_list in zip(
      by_key.values(),
      stratified_indices([0] * 8, {'x': 1, 'y': 1}, key=values, mode='stable').values(),
      strict=True,
    )
  )
  names = {values[0]: 'x', values[1]: 'y'}
  split = stratified_indices([0] * 8, {'x': 1, 'y': 1}, split_by=given, split_values=names)
  assert split['y'].tolist() == [1, 4, 7]


@each(
  ('argument', 'values'),
  [
    *((name, NUMBERS) for name in ('labels', 'key', 'groups', 'split_by', 'order', 'features')),
    *((name, TEXTS) for name in ('labels', 'key', 'groups', 'split_by', 'features')),
  ],
)
@each('kind', MISSING)
def test_a_missing_value_of_any_library_is_refused_by_its_row(argument, kind, values):
  given = MISSING[kind](values)
  place = {'features': r"column 'x'\[1\] is missing"}.get(argument, rf'{argument}\[1\] is missing')
  with pytest.raises(DataError, match=place):
    USES[argument](given)


class Table:
  """A table with one column x, as pyarrow has it."""

  column_names = ('x',)

  def __init__(self, column):
    self._column = column

  def __getitem__(self, name):
    return self._column


USES = {
  'features': lambda given: BalancedInputs.from_arrays(Table(given), NUMBERS),
  'labels': stratified_indices,
  'key': lambda given: stratified_indices(NUMBERS, key=given),
  'groups': lambda given: stratified_indices(NUMBERS, groups=given),
  'split_by': lambda given: stratified_indices(NUMBERS, split_by=given),
  'order': lambda given: stratified_indices(NUMBERS, order=given),
}


DAYS = ['2024-01-03', '2024-01-01', '2024-01-09', '2024-01-05']  # the third is the last
STAMPS = pd.to_datetime(pd.Series(DAYS, index=[7, 5, 3, 1]))
TIMES = {
  'integers': [3, 1, 9, 5],
  'above 2**63': np.array([3, 1, 2**63 + 9, 2**63 + 5], np.uint64),
  'floats': [0.3, 0.1, 0.9, 0.5],
  'column': np.array([[3], [1], [9], [5]]),
  'nullable': pd.array([3, 1, 9, 5], 'Int64'),
  'datetime64[D]': np.array(DAYS, 'M8[D]'),
  'series': STAMPS,
  'time zone': STAMPS.dt.tz_localize('Asia/Tokyo'),
  'index with a time zone': pd.DatetimeIndex(STAMPS).tz_localize('Asia/Tokyo'),
  'period': STAMPS.dt.to_period('D'),
  'timedelta': STAMPS - STAMPS.min(),
  'dates': [datetime.date.fromisoformat(day) for day in DAYS],
  'times with a zone': [
    datetime.datetime.fromisoformat(f'{day}T00:00:00+0{i}:00') for i, day in enumerate(DAYS)
  ],
  'objects': np.array([datetime.datetime.fromisoformat(day) for day in DAYS], object),
  'pyarrow': pa.array([datetime.datetime.fromisoformat(day) for day in DAYS]),
  'pyarrow with a zone': pa.array(
    [datetime.datetime.fromisoformat(day) for day in DAYS], pa.timestamp('us', 'UTC')
  ),
  'tensor': tf.constant([3, 1, 9, 5]),
}


@each('kind', TIMES)
def test_times_of_any_library_are_in_their_order(kind):
  times = TIMES[kind]
  found = stratified_indices([0] * 4, {'train': 3, 'test': 1}, order=times)
  assert found['test'].tolist() == [2]
  splits = StratifiedSplits(3, order_by='t').split({'t': times, 'x': [0] * 4}, [0] * 4)
  assert [test.tolist() for _, test in splits] == [[0], [3], [2]]
  if kind == 'above 2**63':
    return
  embargo = 5 if kind in ('integers', 'column', 'nullable', 'tensor') else '5D'
  if kind == 'floats':
    embargo = 0.5
  parts = stratified_indices([0] * 4, {'train': 3, 'test': 1}, order=times, embargo=embargo)
  assert parts['train'].tolist() == [0, 1]  # the fourth is 4 days before the third


@each(
  ('order', 'embargo', 'message'),
  [
    ([1, 2, 3], pd.Timedelta('1D'), r'embargo=.*give a number in their units'),
    ([1, 2, 3], '1D', r'embargo=.*give a number in their units'),
    (STAMPS[:3], 3, r"embargo=3 is not a length of time, and order is by times; give .*'7D'"),
    (STAMPS[:3], '3', r"embargo='3' is not a length of time, and order is by times; give"),
    (STAMPS[:3], 'abc', "embargo='abc' is not a length of time, and order is by times; give"),
    (STAMPS[:3], datetime.timedelta(-1), r'embargo=.* is negative, and must be 0 or longer; give'),
    (STAMPS[:3], np.timedelta64(-1, 'D'), r'embargo=.* is negative, and must be 0 or longer; give'),
    (STAMPS[:3], np.timedelta64(1, 'M'), 'are of months or years, which differ in length'),
    (np.arange('2024-01', '2024-04', dtype='M8[M]'), '31D', 'are of months or years, which differ'),
  ],
)
def test_an_embargo_is_in_the_kind_of_the_times(order, embargo, message):
  with pytest.raises(ConfigError, match=message):
    stratified_indices([0] * 3, {'train': 1, 'test': 1}, order=order, embargo=embargo)


@each(
  'length', [pd.Timedelta('3D'), datetime.timedelta(days=3), np.timedelta64(72, 'h'), '3D', '72h']
)
def test_an_embargo_of_any_kind_leaves_out_so_many_days(length):
  days = pd.Series(pd.date_range('2024-01-01', periods=20))
  found = stratified_indices([0] * 20, {'train': 1, 'test': 1}, order=days, embargo=length)
  assert found['train'].tolist() == list(range(8))


@each('kind', ['list', 'objects'])
def test_zeros_at_the_end_of_bytes_and_texts_are_part_of_them(kind):
  for values in ([b'a', b'a\0', b'a', b'a\0'], ['a', 'a\0', 'a', 'a\0']):
    given = WHOLE[kind](values)
    counts = BalancedInputs.from_arrays(np.arange(4), given).classes
    assert [value.value for value in counts] == [b'a', b'a\0']
    parts = stratified_indices([0] * 4, {'x': 1, 'y': 1}, groups=given)
    assert sorted(part.tolist() for part in parts.values()) == [[0, 2], [1, 3]]
  new = ['a', 'b', 'a\0']
  old = {'x': ['a'], 'y': ['b']}
  grown = stratified_indices([0] * 3, {'x': 1, 'y': 9}, key=WHOLE[kind](new), extend=old)
  assert grown['y'].tolist() == [1, 2]


BIG = 2**63


def test_integers_of_a_list_are_not_rounded():
  orders = ([BIG + 3, BIG + 1, BIG + 9, 5], np.array([BIG + 3, BIG + 1, BIG + 9, 5], object))
  for order, seed in itertools.product(orders, range(20)):
    found = stratified_indices([0] * 4, {'train': 3, 'test': 1}, seed, order=order)
    assert found['test'].tolist() == [2]
  groups = [BIG + 3, BIG + 1, BIG + 9, 5]
  parts = stratified_indices([0] * 4, {name: 1 for name in 'abcd'}, groups=groups)
  assert sorted(map(len, parts.values())) == [1, 1, 1, 1]
  ids = [*range(BIG, BIG + 1000), 7]
  by_list, by_array = (
    stratified_indices([0] * 1001, {'a': 1, 'b': 1}, key=key, mode='stable')
    for key in (ids, np.array(ids, np.uint64))
  )
  assert by_list['a'].tolist() == by_array['a'].tolist()
  assert 400 < len(by_list['a']) < 600
  grown = stratified_indices(
    [0] * 4,
    {'x': 1, 'y': 1},
    key=[BIG + 1, 5, BIG + 2, 6],
    extend={'x': [BIG + 1, 5], 'y': [BIG + 2]},
  )
  assert grown['y'].tolist() == [2, 3]


def test_nanoseconds_of_objects_are_kept():
  stamps = [pd.Timestamp(i) for i in (3, 1, 9, 5)]
  for order in (
    stamps,
    pd.Series(stamps, dtype=object),
    np.array([s.to_datetime64() for s in stamps], object),
  ):
    for seed in range(20):
      found = stratified_indices([0] * 4, {'train': 3, 'test': 1}, seed, order=order)
      assert found['test'].tolist() == [2]
  parts = stratified_indices(
    [0] * 4, {'train': 3, 'test': 1}, order=stamps, embargo=pd.Timedelta('5ns')
  )
  assert parts['train'].tolist() == [0, 1]


def test_a_list_of_masked_arrays_is_masked():
  rows = [np.ma.array([1, 0], mask=[0, 1]), np.ma.array([0, 1], mask=[0, 0])]
  with pytest.raises(DataError, match=r'feature\[0, 1\] is missing'):
    read_column(rows, 'feature').check_whole()


@each(
  ('call', 'message'),
  [
    (
      {'order': [datetime.datetime(2024, 1, 1), datetime.datetime(2024, 1, 2, tzinfo=UTC)]},
      r'order has 2024-01-01 00:00:00 without and 2024-01-02 .* with a time zone; give all of them',
    ),
    ({'order': ['a', 'b']}, r"order has 'a', and must be numbers or times; give numbers as floats"),
    (
      {'groups': [1, 2, 3]},
      r'groups is of shape \(3,\), and must be .*, of shape \[2\] as labels are',
    ),
    ({'labels': [[0], [0, 1], [1]]}, r'labels is a list of 3 columns .* multilabel=True where the'),
  ],
)
def test_messages_name_the_value_and_the_fix(call, message):
  with pytest.raises(DataError, match=message):
    stratified_indices(**{'labels': [0, 1], 'splits': {'a': 1, 'b': 1}, **call})


def test_scalars_of_numpy_are_shown_as_those_of_python():
  values = (np.float32(0.1), np.int64(3), np.str_('a'), np.bytes_(b'a'), np.True_, np.array(5))
  assert list(map(format_value, values)) == ['0.1', '3', "'a'", "b'a'", 'True', '5']
  assert format_value(np.array([1])) == 'array([1])'


def test_rows_of_other_lengths_are_named():
  with pytest.raises(
    DataError, match=r'row 2 has 1 values, and row 0 2 values\); give rows of one'
  ):
    BalancedInputs.from_arrays([[1, 2], [3, 4], [5]], [0, 1, 0])
  with pytest.raises(DataError, match=r'row 1 has one value, and row 0 2 values'):
    BalancedInputs.from_arrays([[1, 2], 3], [0, 1])
  with pytest.raises(DataError, match=r'X of type int has no rows; give an array or a list'):
    list(StratifiedSplits(2).split(5, [0, 1]))


def test_intervals_are_classes_by_their_text():
  found = read_column(pd.cut(pd.Series([1, 5, 9]), [0, 4, 10]), 'labels')
  assert found.values.tolist() == ['(0, 4]', '(4, 10]', '(4, 10]']
  assert sum(map(len, stratified_indices(pd.cut([1, 5, 9, 2], [0, 4, 10])).values())) == 4


def test_sparse_matrices_are_rows():
  x = scipy.sparse.random(8, 5, density=0.5, format='csr', random_state=0)
  assert len(list(StratifiedSplits(2).split(x, NUMBERS))) == 2
  inputs = BalancedInputs.from_arrays(x, NUMBERS)
  assert np.array_equal(next(iter(inputs.eval(8)))[0].numpy(), x.toarray())
  flags = scipy.sparse.csr_matrix([[1, 0], [0, 1]] * 4)
  parts = stratified_indices(flags, {'x': 1, 'y': 1}, multilabel=True)
  assert sorted(map(len, parts.values())) == [4, 4]
  with pytest.raises(DataError, match='takes 800,000,000,000 bytes as an array'):
    BalancedInputs.from_arrays(scipy.sparse.csr_matrix((10**6, 10**5)), [0] * 10**6)


@each(
  ('labels', 'message'),
  [
    ([2**64, 1], r'label 18446744073709551616 is a number of more than 63 bits; give .* as text'),
    (np.array([2**63, 1], np.uint64), r'label 9223372036854775808 is a number of more than 63'),
    ([1e300, 1.0], r'label 1e\+300 is a number of more than 63 bits'),
    (np.array(['2024', '2025'], 'M8[D]'), r'datetime64\[D\], and times are not classes'),
    (['\ud83d', 'a'], r"^label '\\ud83d' has a lone surrogate"),
    ('species', r"labels='species' is one text.*such as table\['species'\]"),
    (np.array([[1, 2], [2, 2]]), 'give several columns of classes as labels='),
  ],
)
def test_labels_that_are_refused(labels, message):
  with pytest.raises(DataError, match=message):
    stratified_indices(labels)


@each('argument', ['group_by', 'split_by'])
def test_half_a_character_is_refused_with_its_argument(argument):
  halves = {argument: np.array(['\ud83d', 'b'], object)}
  with pytest.raises(DataError, match=rf"^{argument}: value '.ud83d' has a lone surrogate"):
    stratified_indices(['a', 'b'], **halves)


@pytest.mark.parametrize(
  'labels',
  [
    {1, 2},
    {0: 1, 1: 2},
    (i for i in range(2)),
    map(int, '12'),
    {'a': 1}.values(),
    zip([1], [2], strict=True),
    None,
    5,
  ],
  ids=['set', 'dict', 'generator', 'map', 'values', 'zip', 'nothing', 'number'],
)
def test_what_is_no_list_is_refused_by_its_type(labels):
  message = f'{{}}=.* is of type {type(labels).__name__}, and must have one value an item, in their'
  for call in (
    lambda: stratified_indices(labels, {'a': 1, 'b': 1}),
    lambda: BalancedBatches(labels, batch_size=2),
  ):
    with pytest.raises(DataError, match=message.format('(labels|stratify_by)')):
      call()
  if labels is not None:
    with pytest.raises(DataError, match=message.format('groups')):
      stratified_indices([1, 2], {'a': 1, 'b': 1}, groups=labels)
    with pytest.raises(DataError, match=message.format('sample_weight')):
      BalancedInputs.from_arrays([1, 2], [0, 1], sample_weight=labels)


@pytest.mark.parametrize('missing', [decimal.Decimal('NaN'), decimal.Decimal('sNaN')], ids=str)
def test_a_decimal_that_is_no_number_is_missing(missing):
  values = [decimal.Decimal(1), missing, decimal.Decimal(3)]
  assert read_column(values, 'x').missing.tolist() == [False, True, False]
  for argument in ('groups', 'order', 'key'):
    with pytest.raises(DataError, match=rf'{argument}\[1\] is missing|must have one'):
      stratified_indices([1, 2, 1], {'a': 1, 'b': 1}, **{argument: values})
  with pytest.raises(DataError, match=r'labels\[1\] is missing'):
    stratified_indices(values, {'a': 1, 'b': 1})
  with pytest.raises(DataError, match=r"label Decimal\('1'\) must be an integer, .*; convert"):
    stratified_indices([values[0], values[2]], {'a': 1, 'b': 1})


@pytest.mark.parametrize('kind', [lambda v: v, lambda v: np.array(v, object), pd.Series])
def test_a_number_among_texts_is_refused_with_its_row(kind):
  values = kind(['a', 'b', 1, 'd'])
  message = r"{}\[2\] is 1, and the first value is 'a', of another type; give .* of one type"
  calls = {
    'labels': lambda: stratified_indices(values, {'a': 1, 'b': 1}),
    'groups': lambda: stratified_indices([0, 1, 0, 1], {'a': 1, 'b': 1}, groups=values),
    'key': lambda: stratified_indices([0, 1, 0, 1], {'a': 1, 'b': 1}, key=values),
    'feature': lambda: BalancedInputs.from_arrays({'x': values}, [0, 1, 0, 1]),
    "column 'x'": lambda: BalancedInputs.from_arrays(pd.DataFrame({'x': values}), [0, 1, 0, 1]),
  }
  for name, call in calls.items():
    with pytest.raises(DataError, match=message.format(name)):
      call()


def test_arrays_of_objects_that_are_numbers_or_texts_are_features():
  for values, dtype in (([1, 2], tf.int64), ([1.5, 2], tf.float64), (['a', b'b'], tf.string)):
    inputs = BalancedInputs.from_arrays({'x': np.array(values, object)}, [0, 1])
    assert inputs.train(2).element_spec[0]['x'].dtype == dtype
  with pytest.raises(DataError, match=r'feature\[1\] is missing; fill it in'):
    BalancedInputs.from_arrays({'x': np.array(['a', None], object)}, [0, 1])


def test_a_dataset_is_no_array_of_features():
  dataset = tf.data.Dataset.from_tensor_slices(np.arange(8))
  with pytest.raises(DataError, match=r'features are a dataset.*from_generator'):
    BalancedInputs.from_arrays(dataset, NUMBERS)


def test_a_generator_may_yield_tensors_of_text():
  pairs = tf.data.Dataset.from_tensor_slices((np.arange(8), TEXTS))
  inputs = BalancedInputs.from_generator(lambda: pairs)
  assert [value.value for value in inputs.classes] == [b'a', b'b']


def test_the_number_of_bins_may_be_an_array_of_numpy():
  numbers = [1, 5, 9, 20]
  found, plain = (stratified_indices(numbers, {'x': 1}, bins=n) for n in (np.array(2), 2))
  assert found['x'].tolist() == plain['x'].tolist()


def test_edges_of_bins_may_end_in_infinity():
  numbers = [1, 5, 9, 20]
  plain = stratified_indices(numbers, {'x': 1, 'y': 1}, bins=[6])
  open_ended = stratified_indices(numbers, {'x': 1, 'y': 1}, bins=[-np.inf, 6, np.inf])
  assert {name: part.tolist() for name, part in open_ended.items()} == {
    name: part.tolist() for name, part in plain.items()
  }


def test_true_is_a_key_as_1_is():
  found = stratified_indices(
    [0] * 4, {'x': 1, 'y': 1}, split_by=[True, False] * 2, split_values={True: 'x', False: 'y'}
  )
  assert found['x'].tolist() == [0, 2]
