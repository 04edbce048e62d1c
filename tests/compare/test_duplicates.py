"""Equal records of every kind of features, and the sentence on them."""

import datetime
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy import sparse
from tfx_balance.compare.duplicates import duplicates_sentence, equal_rows
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue

NAN = float('nan')
OTHER_NAN = np.array(0xFFF8000000000001, np.uint64).view(np.float64)
WANTED = [0, 1, 0, 3, 3]  # records 0 and 2 are equal, and 3 and 4

TEXTS = ['a', 'b', 'a', None, None]
NUMBERS = [0.0, 1.5, -0.0, NAN, NAN]
RECORDS = {
  'numbers': np.array(NUMBERS),
  'bits of NaN': np.array([0.0, 1.5, -0.0, NAN, OTHER_NAN]),
  'float16': np.array(NUMBERS, np.float16),
  'float32': np.array(NUMBERS, np.float32),
  'longdouble': np.array(NUMBERS, np.longdouble),
  'complex': np.array(NUMBERS) + 2j,
  'bool': np.array([[0, 0], [0, 1], [0, 0], [1, 1], [1, 1]], bool),
  'images': np.array([[[0, 0]], [[0, 1]], [[0, 0]], [[1, 1]], [[1, 1]]], np.uint8),
  'large integers': np.array([0, 2**53, 0, 2**53 + 1, 2**53 + 1]),
  'big-endian': np.array([0, 256, 0, 1, 1], '>i4'),
  'times': np.array(['2020', '2021', '2020', 'NaT', 'NaT'], 'M8[D]'),
  'texts of NumPy': np.array(['a', 'b', 'a', 'ab', 'ab']),
  'bytes of NumPy': np.array([b'a', b'b', b'a', b'ab', b'ab']),
  'objects': np.array([0, 1, 0.0, None, NAN], object),
  'objects of two columns': np.array(
    [['a', 1], ['a', 2], ['a', 1], ['b', None], ['b', NAN]], object
  ),
  'columns of several types': np.array([(1, 'a'), (2, 'a'), (1, 'a'), (1, 'b'), (1, 'b')], 'i8,U2'),
  'masked': np.ma.array([1, 2, 1, 1, 2], mask=[0, 0, 0, 1, 1]),
  'masked objects': np.ma.array(np.array(list('abaab'), object), mask=[0, 0, 0, 1, 1]),
  'list of texts': TEXTS,
  'list of numbers': NUMBERS,
  'list of lists': [[1], [1, 2], [1], [2, 1], [2, 1]],
  'list of texts and numbers': ['1', 1, '1', 2, 2],
  'list of dicts': [{'a': 1, 'b': [2]}, {'a': 1}, {'b': [2], 'a': 1}, {}, {}],
  'list of sets': [{1}, {2}, {1}, set(), set()],
  'list of arrays': [np.array(v) for v in ([1, 2], [3], [1, 2], [[3]], [[3]])],
  'dict': {'x': np.array(NUMBERS), 'z': TEXTS},
  'tuples in a dict': {'x': (np.zeros((5, 2)), np.array(NUMBERS)), 'z': np.ones(5)},
  'pandas': pd.DataFrame({'x': NUMBERS, 'z': TEXTS, 'c': pd.Categorical(TEXTS)}),
  'pandas without names': pd.DataFrame(np.array([NUMBERS, NUMBERS]).T),
  'pandas with one name': pd.DataFrame(np.array([NUMBERS, [1] * 5]).T, columns=['x', 'x']),
  'pandas with NA': pd.DataFrame({'x': pd.array([1, 2, 1, None, None], 'Int64')}),
  'pandas with times': pd.DataFrame({'t': pd.to_datetime([1, 2, 1, 3, 3], utc=True)}),
  'series': pd.Series(TEXTS),
  'as polars has it': SimpleNamespace(get_columns=lambda: [np.array(NUMBERS), TEXTS]),
  'pyarrow': pa.table({'x': NUMBERS, 'z': TEXTS}),
  'pyarrow lists': pa.table({'x': [[1], [1, 2], [1], None, None]}),
  'dates': [datetime.date(2020, 1, day) for day in (1, 2, 1, 3, 3)],
}


@pytest.mark.parametrize('x', RECORDS.values(), ids=RECORDS)
def test_equal_records_have_the_number_of_the_first(x):
  assert equal_rows(x).tolist() == WANTED


@pytest.mark.parametrize('kind', [sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array])
def test_sparse_matrices(kind):
  table = np.array([[0, 0, 3.0], [0, 3, 0], [-0.0, 0, 3], [NAN, 0, 0], [NAN, 0, 0], [0, 0, 0]])
  x = kind(table)
  assert equal_rows(x).tolist() == [0, 1, 0, 3, 3, 5]
  assert np.array_equal(x.toarray(), table, equal_nan=True)
  assert equal_rows({'a': x, 'b': np.array([1, 1, 2, 1, 1, 1])}).tolist() == [0, 1, 2, 3, 3, 5]


def test_stored_zeros_and_repeated_cells_of_sparse_matrices_are_values():
  data, columns = [1.0, 2.0, 3.0, 0.0, 3.0], [1, 1, 1, 0, 1]
  x = sparse.csr_matrix((data, columns, [0, 2, 3, 5]), shape=(3, 2))
  assert equal_rows(x).tolist() == [0, 0, 0]
  assert x.nnz == 5  # what was given stays as it is


def test_values_that_only_change_places_differ():
  table = np.array([[1, 2], [2, 1]])
  assert equal_rows(table).tolist() == [0, 1]
  assert equal_rows({'a': table[:, 0], 'b': table[:, 1]}).tolist() == [0, 1]
  assert equal_rows(sparse.csr_matrix(table)).tolist() == [0, 1]
  assert equal_rows([['a', 'b'], ['b', 'a']]).tolist() == [0, 1]


@pytest.mark.parametrize('kind', [np.float64, np.int8, 'U3'])
def test_many_records_are_those_of_unique(kind):
  rng = np.random.default_rng(0)
  x = rng.integers(0, 6, (300_000, 7)).astype(kind)
  _, first, which = np.unique(x, axis=0, return_index=True, return_inverse=True)
  assert np.array_equal(equal_rows(x), first[which.reshape(-1)])


def test_little_memory_is_taken_beside_the_records():
  x = np.zeros((60_000, 28, 28), np.float32)
  x[::2, 3, 4] = np.arange(30_000)
  tracemalloc.start()
  found = equal_rows(x)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert len(np.unique(found)) == 30_000
  assert peak < x.nbytes / 2


def test_no_records_and_no_features():
  assert equal_rows(np.zeros((0, 3))).tolist() == []
  assert equal_rows(np.zeros((2, 0))).tolist() == [0, 0]


def test_features_of_other_records_are_refused():
  with pytest.raises(DataError, match='a feature of x has 3 records, and another 2; give all'):
    equal_rows({'a': np.zeros(2), 'b': np.zeros(3)})


def test_the_sentence_names_the_rarest_class():
  classes = (ClassValue('bytes', b'fraud'), ClassValue('bytes', b'ok'))
  labels = np.repeat([0, 1], [200, 2800])
  rows = np.arange(3000)
  rows[30:60], rows[1090:1180] = np.arange(30), np.arange(1000, 1090)
  assert duplicates_sentence(rows, labels, classes) == (
    '240 of 3,000 records are equal to another (60 of class fraud, 25 %): '
    "groups='duplicates' keeps them in one fold"
  )
  assert duplicates_sentence(np.arange(3000), labels, classes) is None
