"""Measures of distributions, held against their identities and against SciPy."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.distribution import imbalance_ratio, jensen_shannon, l_infinity, shares

COUNTS = st.integers(0, 10**9)
PAIRS = st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=12).filter(
  lambda pairs: all(map(sum, zip(*pairs, strict=True)))
)
DISTANCES = pytest.mark.parametrize('distance', [l_infinity, jensen_shannon])


def two(pairs):
  left, right = zip(*pairs, strict=True)
  return list(left), list(right)


@given(st.lists(COUNTS, min_size=1).filter(any))
def test_shares_sum_to_one_exactly(counts):
  assert sum(shares(counts)) == 1
  assert [share * sum(counts) for share in shares(counts)] == counts


@pytest.mark.parametrize('counts', [[], [0], [0, 0]], ids=repr)
def test_shares_of_nothing_are_zero(counts):
  assert shares(counts) == [Fraction(0)] * len(counts)


@pytest.mark.parametrize(
  ('counts', 'expected'),
  [
    pytest.param([7], 1.0, id='one class'),
    pytest.param([5, 5, 5], 1.0, id='balanced'),
    pytest.param([90, 9], 10.0, id='ten to one'),
    pytest.param([9, 90], 10.0, id='in any order'),
    pytest.param([3, 0], math.inf, id='an absent class'),
    pytest.param([0, 0], math.nan, id='no records'),
    pytest.param([], math.nan, id='no classes'),
    pytest.param([10**30, 1], 1e30, id='past 64 bits'),
  ],
)
def test_imbalance_ratio(counts, expected):
  assert imbalance_ratio(counts) == pytest.approx(expected, rel=1e-15, nan_ok=True)


@DISTANCES
@given(pairs=PAIRS)
def test_a_distance_is_symmetric_and_between_zero_and_one(distance, pairs):
  left, right = two(pairs)
  found = distance(left, right)
  assert found == distance(right, left)
  assert -1e-15 <= found <= 1 + 1e-15  # see the exact bound below


def test_jensen_shannon_is_never_negative():
  assert jensen_shannon([2_000_000, 2_000_000, 57_000_000], [2_000_000, 2_000_000, 57_000_001]) >= 0


@DISTANCES
@given(pairs=PAIRS, scale=st.integers(1, 1000))
def test_equal_shares_are_at_distance_zero_and_others_are_not(distance, pairs, scale):
  left, right = two(pairs)
  assert distance(left, [scale * count for count in left]) == 0
  if max(abs(a - b) for a, b in zip(shares(left), shares(right), strict=True)) > 1e-6:
    assert distance(left, right) > 0


@DISTANCES
@pytest.mark.parametrize('n_classes', [1, 3, 49, 1000])
def test_without_a_class_in_common(distance, n_classes):
  found = distance([1] * n_classes + [0], [0] * n_classes + [4])
  assert found == pytest.approx(1.0, abs=1e-15)


@DISTANCES
@given(pairs=PAIRS, data=st.data())
def test_the_order_of_the_classes_does_not_matter(distance, pairs, data):
  shuffled = data.draw(st.permutations(pairs))
  assert distance(*two(shuffled)) == pytest.approx(distance(*two(pairs)), abs=1e-12)


@given(PAIRS)
def test_jensen_shannon_as_scipy_has_it(pairs):
  distance = pytest.importorskip('scipy.spatial.distance')
  left, right = two(pairs)
  expected = distance.jensenshannon(left, right, base=2) ** 2
  # SciPy gives NaN where its own sum rounds below zero.
  assert jensen_shannon(left, right) == pytest.approx(
    0 if math.isnan(expected) else expected, abs=1e-9
  )


@given(PAIRS)
def test_jensen_shannon_is_between_the_bounds_that_total_variation_sets(pairs):
  # 1 - h((1 - v) / 2) <= JS <= v, with h the binary entropy and v the total variation (Lin 1991).
  left, right = two(pairs)
  v = float(sum(abs(a - b) for a, b in zip(shares(left), shares(right), strict=True)) / 2)
  low = (1 - v) / 2
  entropy = -sum(x * math.log2(x) for x in (low, 1 - low) if x > 0)
  assert 1 - entropy - 1e-12 <= jensen_shannon(left, right) <= v + 1e-12


@pytest.mark.parametrize(
  ('left', 'right', 'expected'),
  [
    pytest.param([1, 1], [1, 3], 0.25, id='two classes'),
    pytest.param([1, 0, 0], [1, 1, 2], 0.75, id='three classes'),
    pytest.param([10**30, 0], [10**30 - 1, 1], 1e-30, id='exact before it is a float'),
  ],
)
def test_l_infinity(left, right, expected):
  assert l_infinity(left, right) == expected


@DISTANCES
def test_counts_of_other_classes_are_an_error(distance):
  with pytest.raises(ValueError, match=r'zip\(\) argument 2 is (shorter|longer) than argument 1'):
    distance([1, 2], [1, 2, 3])
