"""The default rules on drift: planted drifts fail; exact splits and chance do not."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import hypergeom
from tfx_balance.modes.folds import Folds
from tfx_balance.plan.checks import default_l_infinity, failed
from tfx_balance.plan.class_counts import CountsBySplit
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import fisher_p_value
from tfx_balance.plan.distribution_rules import (
  DistributionRules,
  PerSplit,
  SchemaRules,
  check_distribution,
)
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

from tests.helpers_counts import by_stratum

RATIOS = ('max_share_ratio', 'max_baseline_share_ratio')


def counts_of(**splits):
  """Returns counts of integer classes; `baseline_train` is the baseline's split of that name."""
  return CountsBySplit.of(
    {
      name.replace('baseline_', 'baseline:'): {ClassValue('int', x): n for x, n in tally.items()}
      for name, tally in splits.items()
    }
  )


def check(counts, distances=None, **rules):
  """Returns what the default rules make of counts, absent classes left out unless asked for."""
  rules.setdefault('missing_classes', 'allow')
  defaults = DistributionRules(**rules)
  changed = {**defaults.limits, **(distances or {})}
  return check_distribution(counts, DistributionRules(changed, **rules), SchemaRules())


def drifted(counts, **distances):
  """Returns the checks of drift that fail."""
  return [c for c in failed(check(counts, distances)) if c.rule in RATIOS]


# Each with the class that drifted and the ratio of its shares.
DRIFTS = {
  'fraud falls from 1 % to 0.2 % in eval, of 10,000 records': (
    {'train': {0: 7920, 1: 80}, 'eval': {0: 1996, 1: 4}},
    (1, 5),
  ),
  'fraud falls from 1 % to 0.2 % in eval, of 100,000 records': (
    {'train': {0: 79_200, 1: 800}, 'eval': {0: 19_960, 1: 40}},
    (1, 5),
  ),
  'fraud falls from 1 % to 0.2 % since the baseline, of 10,000 records': (
    {'baseline_train': {0: 9900, 1: 100}, 'train': {0: 9980, 1: 20}},
    (1, 5),
  ),
  'fraud falls from 1 % to 0.2 % since the baseline, of 100,000 records': (
    {'baseline_train': {0: 99_000, 1: 1000}, 'train': {0: 99_800, 1: 200}},
    (1, 5),
  ),
  'a class vanished': ({'train': {0: 990, 1: 10, 2: 60}, 'eval': {0: 990, 1: 10}}, (2, math.inf)),
  'a class is new': (
    {'baseline_train': {0: 990}, 'train': {0: 960, 1: 30}},
    (1, math.inf),
  ),
  'a class is twenty times as frequent': (
    {'train': {0: 99_900, 1: 100}, 'eval': {0: 9800, 1: 200}},
    (1, pytest.approx(20, rel=0.01)),
  ),
}


@pytest.mark.parametrize(('splits', 'drift'), DRIFTS.values(), ids=DRIFTS)
def test_drift_of_a_rare_class_fails_by_default(splits, drift):
  found = drifted(counts_of(**splits))
  assert [(c.value.value, c.measured, c.limit) for c in found] == [(*drift, 2)]


def test_the_message_says_what_was_counted_and_what_to_do():
  (found,) = drifted(counts_of(train={0: 7920, 1: 80}, eval={0: 1996, 1: 4}))
  assert found.message == (
    "class 1 has 4 records in split 'eval', its share of both would be 16.8: 0.2 % of split 'eval' "
    "and 1 % of split 'train'; the ratio is 5, the limit 2; the p-value of Fisher's exact test, "
    'times 2 cells, is 0.00025, the level 0.01; if that is meant, pass a higher limit in '
    'max_share_ratio=, or None'
  )


# What fails by one condition alone, or by two, has not drifted.
KEPT = {
  'a ratio of 2': {'train': {0: 9800, 1: 200}, 'eval': {0: 9900, 1: 100}},
  'what chance explains': {'train': {0: 8910, 1: 90}, 'eval': {0: 998, 1: 2}},
  'one record more than its share': {'train': {0: 10**6, 1: 1}, 'eval': {1: 1}},
  'an empty class': {'train': {0: 10, 1: 0}, 'eval': {0: 10, 1: 0}},
}


@pytest.mark.parametrize('splits', KEPT.values(), ids=KEPT)
def test_a_class_has_drifted_only_if_all_conditions_hold(splits):
  assert drifted(counts_of(**splits)) == []


def test_the_test_counts_the_cells_of_all_comparisons():
  pair = {'train': {0: 990, 1: 10}, 'eval': {0: 965, 1: 35}}
  (alone,) = drifted(counts_of(**pair))
  assert 'times 2 cells, is ' in alone.message
  many = counts_of(**pair, test=dict.fromkeys(range(2, 1000), 1))
  assert [c.split for c in drifted(many) if c.other == 'train' and c.split == 'eval'] == []


def test_limits_that_a_person_sets_stand_beside_each_other():
  counts = counts_of(train={0: 7920, 1: 80}, eval={0: 1996, 1: 4})
  loose = {'max_l_infinity': PerSplit(1.0)}
  assert len(drifted(counts, **loose)) == 1  # a limit of another distance is not one of the ratio
  for limit in (PerSplit(5.0), PerSplit(None), PerSplit(by_split={'train': 1.0})):
    assert drifted(counts, max_share_ratio=limit) == []
  assert len(drifted(counts, max_share_ratio=PerSplit(4.99))) == 1
  # Half of the records becomes a third: the ratio is below 2, the difference is not small.
  frequent = counts_of(train={0: 5000, 1: 5000}, eval={0: 1000, 1: 2000})
  assert [c.rule for c in failed(check(frequent))] == ['max_l_infinity']


CELLS = st.integers(0, 60) | st.integers(0, 10**5)


@given(CELLS, CELLS, CELLS, CELLS)
@example(0, 0, 0, 0)
@example(0, 10**6, 300, 10**6)
def test_the_p_value_is_that_of_scipy(a, b, c, d):
  known = hypergeom(a + b + c + d, a + c, a + b)
  expected = min(1.0, 2 * min(known.cdf(a), known.sf(a - 1))) if a + b + c + d else 1.0
  assert fisher_p_value(a, b, c, d) == pytest.approx(expected, rel=1e-6, abs=1e-290)
  assert fisher_p_value(c, d, a, b) == pytest.approx(expected, rel=1e-6, abs=1e-290)


@pytest.mark.parametrize('n', [10**9, 10**11], ids=str)
def test_the_p_value_of_many_records_is_right_within_a_percent(n):
  # All of seven records of a class in one of two samples of n records.
  exact = 2 * math.prod(Fraction(n - i, 2 * n - i) for i in range(7))
  assert fisher_p_value(7, n - 7, 0, n) == pytest.approx(float(exact), rel=0.01)


CHANCE = {
  'two equal classes': [0.5, 0.5],
  'fraud of 1 %': [0.99, 0.01],
  'ten classes': [0.1] * 10,
  'a long tail': [1 / i for i in range(1, 101)],
}


@pytest.mark.parametrize('weights', CHANCE.values(), ids=CHANCE)
def test_chance_alone_fails_in_at_most_one_run_of_a_hundred(weights):
  rng = np.random.default_rng(20261124)
  shares = np.array(weights) / sum(weights)
  alarms, runs = 0, 0
  for sizes in ((20, 20), (100, 30), (1000, 100, 100), (5000, 500)):
    for _ in range(100):
      drawn = [dict(enumerate(rng.multinomial(n, shares).tolist())) for n in sizes]
      found = check(counts_of(**dict(zip('abc', drawn, strict=False))))
      alarms, runs = alarms + bool(failed(found)), runs + 1
  assert alarms <= runs // 100


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 10))
@example(1, 10**6, 1)
@example(2, 2, 1)
def test_the_default_distance_leaves_room_for_rounding(left, right, cells):
  rounding = 2 / left + 2 / right
  assert default_l_infinity(left, right, cells) >= min(rounding, 1.0)


SIZES = st.lists(st.integers(1, 3) | st.integers(1, 10**5), min_size=1, max_size=40)
SHARES = st.sampled_from(
  [
    SplitShares.parse({'train': 8, 'eval': 1, 'test': 1}),
    SplitShares.parse({'train': 0.97, 'eval': 0.03}),
    SplitShares.parse({'train': 0.9999, 'eval': 0.0001}),
    SplitShares.parse({'a': 1, 'b': 1}),
    Folds(2).divide(SplitShares.parse({'train': 4, 'test': 1})),
    Folds(5).divide(SplitShares.parse({'train': 9, 'test': 1})),
  ]
)


def counts_by_feature(sizes, shares, seed):
  """Yields the counts of a split's classes: of each feature, and of its joint strata."""
  plan = plan_splits(*by_stratum(sizes), shares, seed)
  rows = list(zip(plan.strata, plan.quotas.tolist(), strict=True))
  names = [name for name, n in zip(plan.splits, plan.totals(), strict=True) if n]
  n_features = len(plan.strata[0])
  for feature in range(n_features + (n_features > 1)):
    tallies = {name: Counter() for name in names}
    for stratum, row in rows:
      joint = ClassValue('bytes', repr(stratum).encode())
      value = stratum[feature] if feature < n_features else joint
      for name, n in zip(plan.splits, row, strict=True):
        if n:
          tallies[name][value] += n
    yield CountsBySplit.of(tallies)


@given(SIZES, SHARES, st.integers(0, 99))
@example([1] * 1000, SplitShares.parse({'train': 8, 'eval': 1, 'test': 1}), 0)
@example([1] * 1000, Folds(10).divide(SplitShares.parse({'train': 9, 'test': 1})), 0)
@example([10**6] + [1] * 1000, SplitShares.parse({'train': 0.999, 'eval': 0.001}), 0)
def test_no_exact_split_and_no_fold_breaks_the_defaults(sizes, shares, seed):
  classes = {(ClassValue('int', i),): n for i, n in enumerate(sizes)}
  for counts in counts_by_feature(classes, shares, seed):
    assert failed(check(counts, missing_classes='allow_too_small')) == []


JOINT = st.dictionaries(
  st.tuples(st.integers(0, 8), st.integers(0, 30)),
  st.integers(1, 3) | st.integers(1, 10**4),
  min_size=1,
  max_size=80,
)


@given(JOINT, SHARES, st.integers(0, 99))
@example({(i % 10, i): 1 for i in range(1000)}, SplitShares.parse({'train': 9, 'test': 1}), 0)
@example({(i, i % 10): 1 for i in range(1000)}, SplitShares.parse({'train': 9, 'test': 1}), 0)
def test_no_joint_split_has_drifted_in_any_of_its_features(sizes, shares, seed):
  strata = {tuple(ClassValue('int', x) for x in key): n for key, n in sizes.items()}
  first, second, joint = counts_by_feature(strata, shares, seed)
  assert failed(check(second)) == []
  for counts in (first, joint):
    assert failed(check(counts, missing_classes='allow_too_small')) == []


LABEL_SETS = st.dictionaries(
  st.frozensets(st.integers(0, 12), min_size=1, max_size=4),
  st.integers(1, 3) | st.integers(1, 5000),
  min_size=1,
  max_size=40,
)


@given(LABEL_SETS, SHARES, st.integers(0, 99))
def test_no_label_has_drifted_in_a_split_of_label_sets(sizes, shares, seed):
  def stratum(labels):
    return (ClassValue('set', tuple(ClassValue('int', x) for x in sorted(labels))),)

  plan = plan_splits(*by_stratum({stratum(s): n for s, n in sizes.items()}), shares, seed)
  tallies = {
    name: {s[0]: n for s, n in zip(plan.strata, column, strict=True)}
    for name, column in zip(plan.splits, plan.quotas.T.tolist(), strict=True)
    if sum(column)
  }
  assert failed(check(CountsBySplit.of_labels(tallies, {}))) == []


def test_one_of_a_hundred_thousand_classes_is_found():
  evenly = dict.fromkeys(range(100_000), 10)
  (found,) = drifted(counts_of(train=dict.fromkeys(evenly, 100), eval={**evenly, 7: 60}))
  assert found.value == ClassValue('int', 7)
