"""bins=: numbers as classes, in quantile bins or between given edges."""

import math
import tempfile
from collections import Counter
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter, stratified_indices
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.bins import NumberBins

from tests.helpers_checks import assert_conserved, read_sidecar
from tests.helpers_examples import as_sets, example, in_shards, read_splits, value_of
from tests.helpers_pipeline import execute, input_artifact
from tests.helpers_split import run_split

SPLITS = {'train': 7, 'eval': 2, 'test': 1}
NUMBERS = st.one_of(
  st.lists(st.integers(-5, 5) | st.integers(-(2**63), 2**63 - 1), min_size=8, max_size=60),
  st.lists(
    st.sampled_from([-1.5, 0.0, -0.0, 0.1, math.inf, -math.inf])
    | st.floats(width=32, allow_nan=False),
    min_size=8,
    max_size=60,
  ),
)


def run_in_bins(shards, bins, **arguments):
  with tempfile.TemporaryDirectory() as folder:
    return run_split(
      Path(folder),
      shards,
      SPLITS,
      stratify_by='price',
      bins=bins,
      **arguments,
    )


def priced(values):
  return [example(price=value, id=i) for i, value in enumerate(values)]


def assert_in_bins(splits, edges):
  """Checks that of each bin each split has its share, within one record."""
  of = {
    name: Counter(sum(value_of(r, 'price') >= e for e in edges) for r in held)
    for name, held in splits.items()
  }
  for at, n in sum(of.values(), Counter()).items():
    for name, weight in SPLITS.items():
      share = Fraction(weight * n, 10)
      assert of[name][at] in (math.floor(share), math.ceil(share))


def quantiles(values, n):
  ordered = sorted(values)
  edges = sorted({ordered[i * len(ordered) // n] for i in range(n)})[1:]
  return [edge for edge in edges if edge < math.inf]


@settings(max_examples=20, deadline=None)
@given(
  values=NUMBERS, k=st.integers(2, 9), n=st.integers(1, 4), seed=st.integers(0, 99), data=st.data()
)
def test_quantile_bins_have_their_shares_whatever_the_order(values, k, n, seed, data):
  records = priced(values)
  one = run_in_bins([records], k, seed=seed)
  two = run_in_bins(in_shards(data.draw(st.permutations(records)), n), k, seed=seed)
  assert_conserved(one, records)
  assert as_sets(one) == as_sets(two)
  assert_in_bins(one, quantiles([value_of(r, 'price') for r in records], k))


@settings(max_examples=15, deadline=None)
@given(
  values=NUMBERS, edges=st.lists(st.integers(-6, 6), min_size=1, unique=True), half=st.booleans()
)
def test_bins_between_edges_have_their_shares(values, edges, half):
  edges = sorted(edge + 0.5 * half for edge in edges)
  records = priced(values)
  splits = run_in_bins(in_shards(records, 2), edges)
  assert_conserved(splits, records)
  assert_in_bins(splits, edges)


def test_many_skewed_numbers_have_exact_quantiles():
  values = [int(math.exp(i % 1000 / 40)) for i in range(6000)]
  splits = run_in_bins(in_shards(priced(values), 5), 20, seed=2)
  assert_in_bins(splits, quantiles(values, 20))
  assert sum(map(len, splits.values())) == 6000


def test_edges_take_integers_of_one_file_and_floats_of_another():
  records = priced([*range(20)]) + priced([x + 0.5 for x in range(20)])
  splits = run_in_bins(in_shards(records, 2), [5, 10])
  assert_conserved(splits, records)


def test_the_sidecar_has_the_edges_and_joint_strata_of_bins(tmp_path):
  records = [example(price=i * i / 8, site='ab'[i % 2], id=i) for i in range(200)] + [
    example(price=math.nan, site='a', id=-1),
    example(site='b', id=-2),
  ]
  artifact = input_artifact(tmp_path / 'in', {'all': in_shards(records[::-1], 3)})
  found = execute(
    StratifiedSplitter,
    [artifact],
    tmp_path / 'out',
    stratify_by=['site', 'price'],
    bins={'price': 4},
    splits=SPLITS,
    missing_label='own_stratum',
  )
  splits = read_splits(found.uri)
  assert_conserved(splits, records)
  sidecar = read_sidecar(found.uri)
  assert sidecar['parameters']['bins'] == {'price': 4}
  assert sidecar['parameters']['bin_edges'] == [312.5, 1250, 2812.5]
  assert {row['name']: row['records'] for row in sidecar['strata']} == {
    **{f'{site} / {name}': 25 for site in 'ab' for name in
       ('(-inf, 312.5)', '[312.5, 1250)', '[1250, 2812.5)', '[2812.5, inf)')},
    'a / (missing)': 1,
    'b / (missing)': 1,
  }  # fmt: skip


def test_bins_combine_with_other_modes():
  records = [
    example(price=i % 40, time=i, set='held' if i % 10 == 0 else 'x', id=i) for i in range(400)
  ]
  shards = in_shards(records, 3)
  ordered = run_in_bins(shards, 4, order_by='time', within='strata')
  assert_conserved(ordered, records)
  assert_in_bins(ordered, [10, 20, 30])
  for low in (0, 10, 20, 30):
    held = [
      sorted(value_of(r, 'time') for r in ordered[name] if low <= value_of(r, 'price') < low + 10)
      for name in SPLITS
    ]
    assert held[0][-1] < held[1][0]
    assert held[1][-1] < held[2][0]
  splits = run_in_bins(shards, 4, split_by='set', split_values={'held': 'test'})
  assert_conserved(splits, records)
  assert {r for i, r in enumerate(records) if i % 10 == 0} <= set(splits['test'])
  stable = run_in_bins(shards, 4, mode='stable', key=('id',))
  assert_conserved(stable, records)
  dropped = run_in_bins(
    [*shards, [example(price=math.nan), example(id=1)]][:3], 4, missing_label='drop'
  )
  assert_conserved(dropped, records)


def test_numbers_that_are_refused():
  with pytest.raises(DataError, match=r"'price' holds text in .*and bins= takes numbers"):
    run_in_bins([priced('abcdefgh')], 2)
  with pytest.raises(DataError, match=r"'price' has no value in 1 of 9 records, the first of them"):
    run_in_bins([priced([1.0] * 4 + [math.nan] + [2.0] * 4)], [1.5])


@pytest.mark.parametrize(
  ('bins', 'match'),
  [
    (1, r'bins=1 must be a whole number from 2 to 10000; give a number of bins such as 10, or'),
    ([], r'bins=\[\] must be 1 to 9999 edges in ascending order'),
    ([1, 1], r'bins=\[1, 1\] must be 1 to 9999 edges in ascending order, each once'),
    ([0, math.inf], r'bins\[1\]=inf must be a finite number'),
    ({'weight': 3}, r"bins=\{'weight': 3\} must name one feature among those of stratify_by="),
  ],
)
def test_bins_that_break_a_rule(bins, match):
  with pytest.raises(ConfigError, match=match):
    NumberBins.of(bins, ['price'])


def test_of_several_features_the_one_is_named():
  with pytest.raises(ConfigError, match=r'bins=3 is of one of the features.*name it, as in'):
    NumberBins.of(3, ['price', 'site'])


@given(values=NUMBERS, k=st.integers(2, 9), seed=st.integers(0, 99))
def test_indices_take_bins(values, k, seed):
  found = stratified_indices(values, SPLITS, seed, bins=k)
  assert sorted(np.concatenate(list(found.values()))) == list(range(len(values)))
  edges = quantiles(values, k)
  for name, index in found.items():
    of = Counter(sum(values[i] >= e for e in edges) for i in index)
    for at, n in Counter(sum(v >= e for e in edges) for v in values).items():
      share = Fraction(SPLITS[name] * n, 10)
      assert of[at] in (math.floor(share), math.ceil(share))


def test_labels_that_are_no_numbers_are_refused():
  with pytest.raises(
    DataError, match=r'labels of type object and shape \(2,\) must be \[n\] numbers'
  ):
    stratified_indices(['a', 'b'], bins=2)
  with pytest.raises(DataError, match=r'labels\[1\] is missing; fill it in'):
    stratified_indices([1.0, math.nan], bins=2)
  with pytest.raises(DataError, match='labels is a list of 2 columns of 1 items, or of rows'):
    stratified_indices([[1], [1, 2]], bins=2)
