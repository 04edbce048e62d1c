"""Statistics by TFDV: exact counts where they hold them, and else what to change."""

import pytest
import tensorflow_data_validation as tfdv
from tensorflow_metadata.proto.v0 import statistics_pb2
from tfx_balance.errors import DataError
from tfx_balance.label_statistics import default_slice, tallies_of
from tfx_balance.plan.class_value import MISSING, ClassValue

from tests.class_distribution_validator.helpers_validate import CATEGORICAL, statistics_of

INSTEAD = 'pass examples=, and the records are counted'

FLOATS = 'feature { name: "label" type: FLOAT float_domain { is_categorical: true } }'
SKETCH = {'use_sketch_based_topk_uniques': True}


def tally(counts, schema='', **options):
  statistics = {'train': statistics_of(counts, schema, **options)}
  return tallies_of(statistics, 'label', 'statistics=', INSTEAD)['train']


@pytest.mark.parametrize(
  ('counts', 'kind', 'schema', 'options'),
  [
    pytest.param({0: 50, -7: 30, 2**62: 1}, 'int', CATEGORICAL, {}, id='categorical ints'),
    pytest.param({0.0: 5, -1.0: 3, 1e10: 1}, 'float', FLOATS, SKETCH, id='categorical floats'),
    pytest.param(
      {b'a': 5, '🦊'.encode(): 3, b'': 2, b'<b>"\n': 1, b'x' * 300: 1}, 'bytes', '', {}, id='words'
    ),
    pytest.param(
      {i: 1 + i % 3 for i in range(3000)},
      'int',
      CATEGORICAL,
      {'num_top_values': 3000, 'num_rank_histogram_buckets': 3000},
      id='3,000 classes',
    ),
  ],
)
def test_counts_are_exact(counts, kind, schema, options):
  found = tally({**counts, None: 4}, schema, **options)
  assert found == {**{ClassValue(kind, value): n for value, n in counts.items()}, MISSING: 4}


@pytest.mark.parametrize(
  ('counts', 'schema', 'options', 'fault'),
  [
    pytest.param(
      {0: 5, 1: 3},
      '',
      {},
      r'add "int_domain \{ is_categorical: true \}" to that feature in the schema, and give it to '
      r'StatisticsGen \(schema=\), or pass examples=',
      id='plain ints',
    ),
    pytest.param(
      {0.0: 5, 1.0: 3}, '', {}, r'float_domain .* and stats_options=.*sketch', id='plain floats'
    ),
    pytest.param(
      {i: 1 for i in range(1500)},
      CATEGORICAL,
      {},
      r'counts 1000 of the 1500 values .*num_top_values=1500, num_rank_histogram_buckets=1500',
      id='cut off',
    ),
    pytest.param(
      {b'a': 5, b'\xff': 3}, '', {}, 'as __BYTES_VALUE__: .* pass examples=', id='bytes'
    ),
    pytest.param({0.5: 5}, FLOATS, SKETCH, 'has the value 0.5 in split', id='half'),
  ],
)
def test_counts_that_are_not_exact_are_refused(counts, schema, options, fault):
  with pytest.raises(DataError, match=fault):
    tally(counts, schema, **options)


def test_a_label_without_any_value_is_missing_everywhere():
  assert tally({None: 3}) == {MISSING: 3}


def test_of_slices_that_of_all_records_is_taken_wherever_it_is():
  whole, part = statistics_of({b'a': 5, b'b': 3}), statistics_of({b'a': 5})
  part.datasets[0].name, whole.datasets[0].name = 'sex_male', 'All Examples'
  sliced = statistics_pb2.DatasetFeatureStatisticsList(
    datasets=[part.datasets[0], whole.datasets[0]]
  )
  found = tallies_of({'train': sliced}, 'label', 'statistics=', INSTEAD)['train']
  assert found == {ClassValue('bytes', b'a'): 5, ClassValue('bytes', b'b'): 3, MISSING: 0}
  by_tfdv = tfdv.DatasetListView(sliced).get_default_slice().proto()
  assert default_slice(sliced) == by_tfdv


def test_statistics_of_nothing_have_no_records():
  nothing = statistics_pb2.DatasetFeatureStatisticsList()
  assert tallies_of({'train': nothing}, 'label', 'x', INSTEAD) == {'train': {MISSING: 0}}
