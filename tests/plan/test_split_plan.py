"""From weights and counts to quotas: what is accepted, and the bounds that the quotas keep."""

import math
from collections import Counter, defaultdict
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes import mode
from tfx_balance.modes.folds import fold_splits
from tfx_balance.modes.predefined import PredefinedSplits
from tfx_balance.modes.registry import ARGUMENTS, parse_modes
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import (
  DEFAULT_SPLITS,
  SplitShares,
  check_split_name,
)

from tests.helpers_counts import by_stratum


def parse_shares(**arguments):
  """Returns the shares and the predefined splits that arguments ask for."""
  given = {name: declared.default for name, declared in ARGUMENTS.items()}
  given |= {'stratify_by': ('label',), 'missing_label': 'error', 'extend': False, **arguments}
  modes = parse_modes(given)
  return mode.parse_shares(given, modes), modes.predefined


def one(value):
  """Returns a stratum of one feature."""
  return (ClassValue('int', value),)


@st.composite
def shares_for(draw, total):
  """Draws shares that `total` records can fill."""
  n_counted = draw(st.integers(0, 3))
  counts = {}
  for i in range(n_counted):
    left = total - sum(counts.values())
    if left:
      counts[f'counted-{i}'] = draw(st.integers(1, left))
  fewest = 0 if counts and sum(counts.values()) == total else 1
  drawn = draw(st.lists(st.integers(1, 100) | st.floats(0.001, 9), min_size=fewest, max_size=6))
  return SplitShares.parse({f'weighed_{i}': w for i, w in enumerate(drawn)}, counts)


@st.composite
def problems(draw):
  """Draws records per stratum, and shares that they can fill."""
  features = draw(st.integers(1, 3))
  classes = st.integers(0, 4).map(lambda i: ClassValue('int', i)) | st.just(MISSING)
  strata = st.tuples(*[classes] * features)
  records = draw(st.dictionaries(strata, st.integers(0, 50), min_size=1, max_size=25))
  records[draw(strata)] = draw(st.integers(1, 500))
  return records, draw(shares_for(sum(records.values())))


def is_rounded(value, exact):
  return value in (math.floor(exact), math.ceil(exact))


# --- SplitShares.parse


@pytest.mark.parametrize(
  ('arguments', 'weights', 'counts'),
  [
    pytest.param({}, {'train': 8, 'eval': 1, 'test': 1}, {}, id='default'),
    pytest.param({'splits': None}, {'train': 8, 'eval': 1, 'test': 1}, {}, id='none'),
    pytest.param({'splits': {'a': 80, 'b': 20}}, {'a': 4, 'b': 1}, {}, id='common divisor'),
    pytest.param({'splits': {'a': 7}}, {'a': 1}, {}, id='one split'),
    pytest.param(
      {'splits': {'a': 0.7, 'b': 0.2, 'c': 0.1}}, {'a': 7, 'b': 2, 'c': 1}, {}, id='floats'
    ),
    pytest.param({'splits': {'a': 0.1 + 0.2, 'b': 0.7}}, None, {}, id='float noise is kept'),
    pytest.param({'splits': {'a': 1, 'b': 0.125}}, {'a': 8, 'b': 1}, {}, id='int and float'),
    pytest.param({'splits': {'a': 1e-3, 'b': 1e3}}, {'a': 1, 'b': 10**6}, {}, id='exponents'),
    pytest.param(
      {'splits': {'a': Fraction(1, 3), 'b': Fraction(1, 7)}}, {'a': 7, 'b': 3}, {}, id='fractions'
    ),
    pytest.param({'splits': {'a': Decimal('0.3'), 'b': 1}}, {'a': 3, 'b': 10}, {}, id='decimals'),
    pytest.param(
      {'splits': {'a': np.float64(0.1), 'b': 0.9}}, {'a': 1, 'b': 9}, {}, id='numpy floats'
    ),
    pytest.param(
      {'splits': {'a': np.int64(8), 'b': np.int64(2)}},
      {'a': 4, 'b': 1},
      {},
      id='numpy integers',
    ),
    pytest.param(
      {'splits': {'a': 3, 'b': 1}, 'counts': {'c': 10}},
      {'a': 3, 'b': 1},
      {'c': 10},
      id='weights and counts',
    ),
    pytest.param(
      {'counts': {'test': np.int64(10)}},
      {'train': 8, 'eval': 1},
      {'test': 10},
      id='the default gives way to a count',
    ),
    pytest.param(
      {'counts': {'train': 3, 'eval': 2, 'test': 1}},
      {},
      {'train': 3, 'eval': 2, 'test': 1},
      id='the default gives way to counts of all',
    ),
    pytest.param({'splits': {}, 'counts': {'a': 3}}, {}, {'a': 3}, id='no weights'),
    pytest.param(
      {'counts': {'test': 5}, 'rest': 'train'}, {'train': 1}, {'test': 5}, id='rest, by default'
    ),
    pytest.param(
      {'splits': {'main': 3}, 'counts': {'test': 5}, 'rest': 'main'},
      {'main': 1},
      {'test': 5},
      id='rest, and its weight',
    ),
    pytest.param({'splits': {'1-a_B': 1}}, {'1-a_B': 1}, {}, id='a name of all that is legal'),
  ],
)
def test_shares_in_all_forms(arguments, weights, counts):
  shares = SplitShares.parse(**arguments)
  assert shares.counts == counts
  assert all(type(number) is int for number in (*shares.weights.values(), *shares.counts.values()))
  if weights is None:  # 0.30000000000000004 is what the float shows, and what the person gets
    assert shares.weights == {'a': 30000000000000004 // 4, 'b': 7 * 10**16 // 4}
  else:
    assert shares.weights == weights
    assert list(shares.names) == [*weights, *counts]


@given(
  st.dictionaries(st.sampled_from('abcdef'), st.integers(1, 10**9), min_size=1),
  st.fractions(0.01, 99),
)
def test_weights_keep_their_proportion_as_the_smallest_integers(weights, scale):
  shares = SplitShares.parse({name: weight * scale for name, weight in weights.items()})
  first = next(iter(weights))
  for name, weight in weights.items():
    assert shares.weights[name] * weights[first] == weight * shares.weights[first]
  assert math.gcd(*shares.weights.values()) == 1


@given(st.decimals(Decimal('0.0001'), 1000, places=4))
def test_a_float_is_the_decimal_that_it_shows(decimal):
  written = SplitShares.parse({'a': float(decimal), 'b': 1})
  assert written == SplitShares.parse({'a': Fraction(decimal), 'b': 1})


WEIGHT_RULE = r'of split .a. must be a finite number above 0; give one such as 8'


@pytest.mark.parametrize(
  'weight',
  [0.0, -0.1, Fraction(-1, 3), -math.inf, Decimal('nan'), Decimal('inf'), [8], 8j],
  ids=repr,
)
def test_weights_that_are_errors(weight):
  with pytest.raises(ConfigError, match=WEIGHT_RULE):
    SplitShares.parse({'train': 8, 'a': weight})


@pytest.mark.parametrize('count', [math.nan, Fraction(7), '10', None], ids=repr)
def test_counts_that_are_errors(count):
  with pytest.raises(ConfigError, match=r'counts\[.a.\]=.* must be a whole number from 1'):
    SplitShares.parse({'train': 8}, {'a': count})


@pytest.mark.parametrize(
  'name',
  ['', ' ', 'a b', 'a/b', '-a', '_a', 'a.b', 'a,b', 'a\n', 'é', '../a', 'a*', 3, None, b'a'],
  ids=repr,
)
def test_names_that_are_errors(name):
  rule = r'split name .* must be letters, digits, "_" and "-", the first a letter or a digit'
  with pytest.raises(ConfigError, match=rule):
    check_split_name(name)
  with pytest.raises(ConfigError, match=rule):
    SplitShares.parse({name: 1})
  with pytest.raises(ConfigError, match=rule):
    SplitShares.parse({'train': 1}, {name: 1})


def test_the_folder_of_a_split_is_a_name_that_file_systems_take(tmp_path):
  check_split_name('a' * 249)
  (tmp_path / f'Split-{"a" * 249}').mkdir()
  rule = r"split name 'a+.* has 250 characters, and must have 249 at most, .*; shorten it"
  with pytest.raises(ConfigError, match=rule):
    check_split_name('a' * 250)


# --- plan_splits


@given(problems(), st.integers())
def test_every_cell_class_and_split_is_within_one_record_of_ideal(problem, seed):
  records, shares = problem
  plan = plan_splits(*by_stratum(records), shares, seed)
  total, taken = sum(records.values()), sum(shares.counts.values())
  assert dict(zip(plan.strata, plan.records, strict=True)) == records
  of_split = {name: Fraction(count, total) for name, count in shares.counts.items()}
  for name, weight in shares.weights.items():
    of_split[name] = Fraction(total - taken, total) * weight / sum(shares.weights.values())
  assert plan.splits == (*shares.weights, *shares.counts)
  of_class = defaultdict(Counter)
  assert plan.shares == tuple(of_split[name] for name in plan.splits)
  rows = zip(plan.strata, plan.records.tolist(), plan.quotas.tolist(), strict=True)
  for stratum, n, quotas in rows:
    assert sum(quotas) == n
    for name, quota, share in zip(plan.splits, quotas, plan.shares, strict=True):
      assert is_rounded(quota, n * share)
      for i in range(1, len(stratum)):
        of_class[stratum[:i]].update({name: quota, 'all': quota})
  for counter in of_class.values():
    assert all(is_rounded(counter[name], counter['all'] * of_split[name]) for name in plan.splits)
  for name, found in zip(plan.splits, plan.totals(), strict=True):
    assert is_rounded(found, total * of_split[name])
    assert found == shares.counts.get(name, found)


@given(problems(), st.integers(), st.data())
def test_the_order_in_which_strata_are_counted_does_not_matter(problem, seed, data):
  records, shares = problem
  shuffled = dict(data.draw(st.permutations(list(records.items()))))
  plans = [plan_splits(*by_stratum(each), shares, seed) for each in (shuffled, records)]
  assert plans[0].strata == plans[1].strata
  assert plans[0].quotas.tolist() == plans[1].quotas.tolist()


@given(problems())
def test_out_of_reach_are_the_strata_without_a_record_in_some_split_that_has_any(problem):
  plan = plan_splits(*by_stratum(problem[0]), problem[1])
  filled = [j for j, total in enumerate(plan.totals()) if total]
  absent = {i for i, row in enumerate(plan.quotas) for j in filled if row[j] == 0}
  assert plan.out_of_reach() == sorted(absent)


@pytest.mark.parametrize(
  ('records', 'arguments', 'totals'),
  [
    pytest.param(
      {one(0): 5, one(1): 5},
      {'counts': {'a': 10}, 'rest': 'b'},
      {'a': 10, 'b': 0},
      id='counts leave nothing',
    ),
    pytest.param(
      {one(i): 10**12 for i in range(3)},
      {'splits': {'a': 2, 'b': 1}},
      {'a': 2 * 10**12, 'b': 10**12},
      id='past 32 bits',
    ),
  ],
)
def test_totals_that_have_no_remainder(records, arguments, totals):
  plan = plan_splits(*by_stratum(records), SplitShares.parse(**arguments))
  assert dict(zip(plan.splits, plan.totals(), strict=True)) == totals


def test_joint_strata_keep_the_bound_of_the_first_feature():
  # 100 strata of one record each, 10 a class: rounded a stratum at a time, a class could get none.
  records = {(ClassValue('int', i // 10), ClassValue('int', i % 10)): 1 for i in range(100)}
  for seed in range(20):
    plan = plan_splits(*by_stratum(records), SplitShares.parse(), seed)
    tests = Counter(s[0] for s, row in zip(plan.strata, plan.quotas, strict=True) if row[2])
    assert set(tests.values()) == {1}
    assert len(tests) == 10


def test_margins_are_the_cells_of_later_features_that_are_furthest_from_ideal():
  # Of each class both sites have one record, and a test split of a half takes either.
  records = {
    (ClassValue('int', i), ClassValue('int', site)): 1 for i in range(9) for site in (7, 8)
  }
  plan = plan_splits(*by_stratum(records), SplitShares.parse({'train': 1, 'test': 1}), seed=3)
  found = Counter()
  for (_, site), (train, test) in zip(plan.strata, plan.quotas.tolist(), strict=True):
    found.update({(site, 'train'): train, (site, 'test'): test})
  (margin,) = plan.margins()
  assert margin.ideal == Fraction(9, 2)
  assert margin.records == found[margin.stratum[0], margin.split]
  assert abs(margin.records - margin.ideal) == max(abs(n - Fraction(9, 2)) for n in found.values())


def test_one_feature_has_no_margins():
  assert plan_splits(*by_stratum({one(0): 5, one(1): 7}), SplitShares.parse()).margins() == []


# --- splits that a feature tells


def in_sets(records):
  """Returns strata (class, set) with their records; None is a missing set."""
  sets = {name: ClassValue('bytes', name.encode()) for _, name in records if name}
  return by_stratum(
    {(ClassValue('int', i), sets.get(name, MISSING)): n for (i, name), n in records.items()}
  )


def test_told_records_go_where_they_are_told_and_the_rest_is_stratified():
  records = in_sets({(0, 'T'): 7, (1, 'T'): 2, (0, None): 100, (1, None): 10, (1, 'x'): 10})
  shares, predefined = parse_shares(
    splits={'train': 4, 'eval': 1}, split_by='set', split_values={'T': 'test'}
  )
  plan = plan_splits(*records, shares, seed=0, predefined=predefined)
  assert plan.splits == ('train', 'eval', 'test')
  assert plan.totals() == [96, 24, 9]
  assert plan.quotas.tolist() == [[0, 0, 7], [80, 20, 0], [0, 0, 2], [8, 2, 0], [8, 2, 0]]
  assert plan.predefined.tolist() == [True, False, True, False, False]
  assert plan.out_of_reach() == []


def test_a_value_is_the_name_of_its_split_where_no_mapping_is_given():
  shares, predefined = parse_shares(split_by='set')
  plan = plan_splits(*in_sets({(0, 'train'): 5, (1, 'test'): 3}), shares, predefined=predefined)
  assert dict(zip(plan.splits, plan.totals(), strict=True)) == {'train': 5, 'eval': 0, 'test': 3}


@given(problems(), st.integers())
def test_what_is_not_told_is_split_as_if_it_were_alone(problem, seed):
  records, shares = problem
  alone = {(*stratum, MISSING): n for stratum, n in records.items()}
  fixed = {(*stratum, ClassValue('bytes', b'T')): n + 1 for stratum, n in records.items()}
  predefined = PredefinedSplits('set', {'T': 'told'}, required=False)
  strata, sizes = by_stratum({**alone, **fixed})
  plan = plan_splits(strata, sizes, shares, seed, predefined)
  n_shares = len(shares.names)
  assert (plan.quotas[plan.predefined, n_shares] == plan.records[plan.predefined]).all()
  only = plan_splits(*by_stratum(alone), shares, seed)
  assert plan.quotas[~plan.predefined, :n_shares].tolist() == only.quotas.tolist()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    pytest.param(
      {'split_values': {'T': 'test'}},
      r"120 records have no split by 'set'; by value they are x: 10, \(missing\): 110; map them",
      id='records without a split',
    ),
    pytest.param(
      {'split_values': {'T': 'test', 'V': 'eval'}, 'splits': {'train': 1}},
      r"split_values= has a key that 'set' has not: 'V' is not a class; the classes are: T, x, "
      r'\(missing\); leave the key out',
      id='a value that no record has',
    ),
    pytest.param(
      {'split_values': {}}, r'split_values=\{\} maps no value; give one', id='an empty mapping'
    ),
    pytest.param(
      {'split_values': {'T': 'te st'}}, r"split name 'te st' must be letters", id='no split name'
    ),
    pytest.param(
      {'counts': {'test': 3}}, r"split_by='set' does not combine with counts=", id='counts'
    ),
    pytest.param(
      {'split_by': None, 'split_values': {'T': 'test'}},
      r'split_values= maps values of split_by=, which is not given',
      id='a mapping of nothing',
    ),
    pytest.param({'split_by': 3}, r'split_by=3 must be the name of the feature', id='no name'),
  ],
)
def test_splits_that_cannot_be_told(arguments, message):
  records = in_sets({(0, 'T'): 7, (0, None): 100, (1, None): 10, (1, 'x'): 10})

  def plan():
    shares, predefined = parse_shares(**{'split_by': 'set', **arguments})
    return plan_splits(*records, shares, predefined=predefined)

  with pytest.raises((ConfigError, DataError), match=message):
    plan()


# --- folds


@pytest.mark.parametrize(
  ('arguments', 'splits'),
  [
    pytest.param({}, {'fold-0': 30, 'fold-1': 30, 'fold-2': 30, 'test': 10}, id='default'),
    pytest.param(
      {'splits': {'test': 1, 'train': 1}},
      {'fold-0': 16, 'fold-1': 17, 'fold-2': 17, 'test': 50},
      id='weights',
    ),
    pytest.param(
      {'splits': DEFAULT_SPLITS, 'counts': {'test': 40}, 'rest': 'train'},
      {'fold-0': 20, 'fold-1': 20, 'fold-2': 20, 'test': 40},
      id='what counts leave',
    ),
  ],
)
def test_folds_share_the_weight_of_train(arguments, splits):
  shares, _ = parse_shares(**arguments, folds=3)
  plan = plan_splits(*by_stratum({one(0): 90, one(1): 10}), shares, seed=1)
  totals = dict(zip(plan.splits, plan.totals(), strict=True))
  assert sum(totals.values()) == 100
  assert totals.keys() == splits.keys()
  assert all(abs(totals[name] - n) <= 1 for name, n in splits.items())


def test_what_the_data_tells_stays_beside_folds_of_the_rest():
  shares, predefined = parse_shares(
    splits={'train': 1}, split_by='set', split_values={'T': 'test'}, folds=2
  )
  records = in_sets({(0, 'T'): 7, (0, None): 100, (1, None): 10})
  plan = plan_splits(*records, shares, predefined=predefined)
  assert plan.splits == ('fold-0', 'fold-1', 'test')
  assert plan.totals() == [55, 55, 7]


@pytest.mark.parametrize('folds', [2, 5])
def test_each_round_trains_on_all_folds_but_one(folds):
  rounds = [fold_splits(fold, folds) for fold in range(folds)]
  names = parse_shares(folds=folds)[0].names[:-1]
  assert [each.eval[0] for each in rounds] == list(names)
  assert all({*each.train, *each.eval} == {*names} for each in rounds)
  assert all(len(each.train) == folds - 1 for each in rounds)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    pytest.param({'folds': 1}, r'folds=1 leaves no fold to train on; give 2 or more', id='one'),
    pytest.param({'folds': True}, r'folds=True must be a whole number', id='no number'),
    pytest.param({'folds': 1001}, r'folds=1001 must be a whole number from 0 to 1000', id='many'),
    pytest.param(
      {'folds': 3, 'splits': {'a': 1}},
      r"folds=3 divides the split 'train', .*\['a'\]; give it one in splits=$",
      id='none',
    ),
    pytest.param(
      {'folds': 3, 'splits': {'train': 1, 'fold-2': 1}},
      r"split 'fold-2' is one of 3 folds too; give it another name",
      id='a name twice',
    ),
    pytest.param(
      {'folds': 3, 'split_by': 'set'}, r"which split_by='set' must leave to be", id='all are told'
    ),
    pytest.param(
      {'folds': 3, 'split_by': 'set', 'split_values': {1: 'train'}, 'splits': {'train': 1}},
      r"which split_by='set' must leave to be stratified: map no value to it",
      id='train is told',
    ),
  ],
)
def test_folds_that_cannot_be(arguments, message):
  with pytest.raises(ConfigError, match=message):
    parse_shares(**arguments)


def test_a_round_that_there_is_not():
  with pytest.raises(ConfigError, match=r'fold=5 must be a whole number from 0 to 4'):
    fold_splits(5, folds=5)
  with pytest.raises(ConfigError, match=r'fold=0 must be .* from 1 to 4; the first .* earliest'):
    fold_splits(0, folds=5, forward=True)


@pytest.mark.parametrize('folds', [2, 5, 1000])
def test_a_forward_round_trains_on_the_folds_before(folds):
  names = parse_shares(folds=folds)[0].names[:-1]
  for fold in range(1, folds):
    found = fold_splits(fold, folds, forward=True)
    assert (*found.train, *found.eval) == names[: fold + 1]


# --- a thousand classes of one record


def singletons_in_test(seed, n_classes=1000):
  """Returns which classes of one record go to a test split of a tenth."""
  plan = plan_splits(*by_stratum({one(i): 1 for i in range(n_classes)}), SplitShares.parse(), seed)
  return {i for i, row in enumerate(plan.quotas) if row[2]}


def test_over_the_seeds_every_singleton_is_tested_as_often():
  n_seeds = 1000
  tested = Counter(i for seed in range(n_seeds) for i in singletons_in_test(seed, n_classes=20))
  assert sum(tested.values()) == 2 * n_seeds
  # 100 each by chance, with a standard deviation of 9.5.
  assert all(abs(tested[i] - 100) < 4.5 * 9.5 for i in range(20))


# --- errors


@pytest.mark.parametrize(
  ('records', 'arguments', 'message'),
  [
    pytest.param({one(0): 0}, {}, r'the input holds no records', id='empty strata'),
    pytest.param(
      {one(0): 3, one(1): 4},
      {'counts': {'a': 5}, 'splits': {}},
      r"counts=\{'a': 5\} take 5 of 7 records; name the split that gets the other 2 with rest=",
      id='nobody gets the rest',
    ),
  ],
)
def test_data_that_cannot_be_split(records, arguments, message):
  with pytest.raises(DataError, match=message):
    plan_splits(*by_stratum(records), SplitShares.parse(**arguments))
