"""Pools: which records of a class are in them, in which order, and what that costs."""

from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.augment import SmoothedBootstrap, Smote
from tfx_balance.augment.contract import pool_request
from tfx_balance.balanced_augmenter.pools import (
  NO_POOLS,
  ClassPools,
  collect_pool,
  join_pools,
)
from tfx_balance.errors import ConfigError
from tfx_balance.sizes import Sizes

from tests.balanced_augmenter.helpers_balance import plan_copies, tabular
from tests.helpers_examples import example, in_shards

BOTH = {'sampling_strategy': {'a': 999, 'b': 999}}  # of which copies are made


class OwnPoolFn:
  def __init__(self, pool_size=3, **more):
    self.pool_size = pool_size
    self.__dict__.update(more)

  def bind(self, pool):
    return lambda features, seed: features


def pools(folder, shards, augment_fn, **arguments):
  """Returns the pool of each class, and the plan of all."""
  planned = plan_copies(folder, {'train': shards}, augment_fn, **{**BOTH, **arguments})
  output_plan, found = planned[0].output_plan, planned[0].pools
  rows = {s[0].value: row for row, s in enumerate(output_plan.selection.strata['train'])}
  return {value: found.of(row) for value, row in rows.items()}, output_plan.pools


def asking(pool_size, features=None, max_pool_bytes=10**9):
  return OwnPoolFn(pool_size, pool_features=features, max_pool_bytes=max_pool_bytes)


def mixed(n):
  return [
    example(label='ab'[i % 2], id=i, x=[i + 0.5, 1.0, 2.0], more=['m'] * (i % 3) or None)
    for i in range(n)
  ]


def test_a_pool_is_of_one_class_and_of_fixed_numbers(tmp_path):
  found, plan = pools(tmp_path, in_shards(mixed(20), 2), asking(100))
  assert set(found) == {b'a', b'b'}
  for value, pool in found.items():
    assert set(pool) == {'id', 'x'}
    assert pool['x'].shape == (10, 3)
    assert pool['x'].dtype == np.float32
    assert sorted(pool['id']) == list(range(value == b'b', 20, 2))
  assert plan.sizes == plan.wanted == (10, 10)


def test_a_pool_has_what_the_function_names_bytes_too(tmp_path):
  found, _ = pools(tmp_path, in_shards(mixed(20), 3), asking(100, ('label', 'x')))
  for value, pool in found.items():
    assert set(pool) == {'label', 'x'}
    assert set(pool['label']) == {value}


def test_a_block_may_have_no_record_of_a_pool(tmp_path):
  sizes = Sizes(block_bytes=200, chunk_bytes=200)
  found, _ = pools(tmp_path, [mixed(40)], asking(1), sizes=sizes)
  assert [pool['x'].shape for pool in found.values()] == [(1, 3)] * 2


def test_a_pool_is_drawn_at_random(tmp_path):
  records = tabular({'a': 300, 'b': 3})
  found, _ = pools(tmp_path / 'one', in_shards(records, 4), asking(100))
  assert {value: len(pool['id']) for value, pool in found.items()} == {b'a': 100, b'b': 3}
  assert 110 < found[b'a']['id'].mean() < 190  # of 149.5, within eight standard deviations
  seeded, _ = pools(tmp_path / 'two', [records], asking(100), seed=1)
  assert set(seeded[b'a']['id']) != set(found[b'a']['id'])


SINGLES = tabular({'a': 40, 'b': 20})
SHARDINGS = {
  'backwards': (SINGLES, [SINGLES[::-1]]),
  '5 files': (SINGLES, in_shards(SINGLES[7:] + SINGLES[:7], 5)),
  'a file of no class': (SINGLES, [[], *in_shards(SINGLES, 2)]),
  'each three times': (sorted(SINGLES * 3), in_shards(SINGLES * 3, 7)),
}


@pytest.mark.parametrize(('records', 'shards'), SHARDINGS.values(), ids=SHARDINGS)
def test_a_pool_is_the_same_in_the_same_order_for_any_sharding(tmp_path, records, shards):
  one, _ = pools(tmp_path / 'one', [records], asking(31))
  two, _ = pools(tmp_path / 'two', shards, asking(31))
  for value in (b'a', b'b'):
    assert len(one[value]['id']) == min(31, records.count(SINGLES[-1]) * (40, 20)[value == b'b'])
    for name in ('id', 'x'):
      np.testing.assert_array_equal(one[value][name], two[value][name])


def test_a_class_without_copies_has_no_pool(tmp_path):
  records = tabular({'a': 5, 'b': 3})
  found, plan = pools(tmp_path, [records], asking(9), sampling_strategy='not majority')
  assert plan.sizes == (0, 3)
  assert len(found[b'a']['id']) == 0


def test_records_of_equal_rank_are_in_the_order_of_their_values():
  records = ClassPools(
    np.array([1, 0, 0, 0, 0]),
    np.array([5, 7, 7, 7, 2], np.uint64),
    {
      'n': np.array([9, 3, 1, 1, 8]),
      'x': np.array([[0, 0], [0, 0], [0, np.nan], [0, -1], [0, 0]], np.float32),
      'word': np.array([b'', b'c', b'b', b'a', b'd'], object),
    },
  )
  order = [np.array([0, 1, 2, 3, 4]), np.array([3, 2, 4, 0, 1]), np.array([2, 3, 1, 0, 4])]
  found = [
    ClassPools(
      records.rows[i], records.ranks[i], {name: c[i] for name, c in records.columns.items()}
    ).in_order()
    for i in order
  ]
  for pool in found:
    assert pool.of(0)['word'].tolist()[0] == b'd'
    assert pool.of(1)['word'].tolist() == [b'']
    for name, column in pool.columns.items():
      np.testing.assert_array_equal(column, found[0].columns[name])


def test_no_records_make_no_pool():
  assert join_pools([]).of(0) == join_pools([NO_POOLS, NO_POOLS]).of(0) == {}


def test_a_file_without_records_of_a_pool_is_not_read_again(tmp_path):
  shards = [SINGLES, tabular({'a': 9}, start=99)]
  planned = plan_copies(tmp_path, {'train': shards}, asking(9))[1]
  file = replace(planned.scanned.file, path=str(tmp_path / 'nowhere'))
  away = replace(planned.scanned, file=file)
  assert collect_pool(away, planned.output_plan, None, planned.shapes) is NO_POOLS


def test_memory_is_kept_by_smaller_pools(tmp_path):
  # A record has a row and a rank, a whole number and three floats: 36 bytes.
  found, plan = pools(tmp_path, [tabular({'a': 90, 'b': 4})], asking(50, max_pool_bytes=36 * 20))
  assert plan.wanted == (50, 4)
  assert plan.sizes == (16, 4)  # what the small class leaves is the other's
  assert [len(pool['id']) for pool in found.values()] == [16, 4]
  n_bytes = sum(column.nbytes for pool in found.values() for column in pool.values())
  assert n_bytes + 16 * 20 == 36 * 20
  whole, _ = pools(tmp_path / 'whole', [tabular({'a': 90, 'b': 4})], asking(50))
  np.testing.assert_array_equal(whole[b'a']['id'][:16], found[b'a']['id'])


def test_bytes_count_with_the_size_of_the_class_s_records(tmp_path):
  records = [example(label='a', word='w' * 5000, id=i) for i in range(30)]
  records += [example(label='b', word='w', id=i) for i in range(30)]
  _, plan = pools(tmp_path, [records], asking(50, ('word',), 60_000))
  assert 10 <= plan.sizes[0] <= 12
  assert plan.sizes[1] == 30


WRONG = {
  'not there': (Smote(['y']), r"Smote.*: feature 'y' is not in \['id', 'label', 'x'\]; name one"),
  'of any length': (Smote(['x', 'more']), r"Smote.*: feature 'more' has 0 to 2 values in a record"),
  'of any length, ROSE': (SmoothedBootstrap(['more']), r"feature 'more' has 0 to 2 values"),
}


@pytest.mark.parametrize(('function', 'says'), WRONG.values(), ids=WRONG)
def test_features_that_no_pool_can_hold_are_refused(tmp_path, function, says):
  with pytest.raises(ConfigError, match=says):
    pools(tmp_path, in_shards(mixed(12), 2), function)


def test_a_function_of_ones_own_need_only_say_its_pool_size():
  asked = pool_request(OwnPoolFn())
  assert (asked.pool_size, asked.features, asked.max_pool_bytes) == (3, None, 100_000_000)
  request = pool_request(OwnPoolFn(4, pool_features=['x'], max_pool_bytes=7))
  assert (request.pool_size, request.features, request.max_pool_bytes) == (4, ('x',), 7)


@pytest.mark.parametrize('wrong', [{'pool_size': 0}, {'pool_size': 2.5}, {'max_pool_bytes': True}])
def test_sizes_that_are_none_are_refused(wrong):
  with pytest.raises(ConfigError, match=r'OwnPoolFn.*: \w+ .* must be a whole number from 1'):
    pool_request(OwnPoolFn(**wrong))
