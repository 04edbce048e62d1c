"""The plan of copies, against imbalanced-learn's documentation and an independent reckoning."""

import math
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError
from tfx_balance.plan.balance_plan import STRATEGIES, BalanceRequest, plan_balance
from tfx_balance.plan.class_value import MISSING, ClassValue

from tests.balanced_augmenter.helpers_balance import expected_targets
from tests.helpers_counts import by_class


def of_class(value):
  kind = {int: 'int', float: 'float', str: 'bytes', bytes: 'bytes'}[type(value)]
  return ClassValue(kind, value.encode() if isinstance(value, str) else value)


def plan(counts, *strategy, **arguments):
  request = BalanceRequest(*strategy, **arguments)
  return plan_balance(*by_class({of_class(value): n for value, n in counts.items()}), request)


def targets(counts, *strategy, **arguments):
  found = plan(counts, *strategy, **arguments)
  assert found.classes == sorted(found.classes)
  records = {of_class(value): n for value, n in counts.items()}
  assert found.records.tolist() == [records[c] for c in found.classes]
  return dict(zip((c.value for c in found.classes), found.targets.tolist(), strict=True))


ABC = {0: 100, 1: 20, 2: 7}

# What imbalanced-learn 0.12's user guide and `check_sampling_strategy` say of each word.
OVER = {
  'not majority': {0: 100, 1: 100, 2: 100},
  'auto': {0: 100, 1: 100, 2: 100},
  'all': {0: 100, 1: 100, 2: 100},
  'minority': {0: 100, 1: 20, 2: 100},
  'not minority': {0: 100, 1: 100, 2: 7},
  'median': {0: 100, 1: 20, 2: 20},
  'mean': {0: 100, 1: 42, 2: 42},
  'power:0': {0: 100, 1: 100, 2: 100},
  'power:1': {0: 100, 1: 20, 2: 7},
  'power:0.5': {0: 100, 1: 44, 2: 26},  # 10 * sqrt(20) = 44.7, 10 * sqrt(7) = 26.5
}
UNDER = {
  'not minority': {0: 7, 1: 7, 2: 7},
  'auto': {0: 7, 1: 7, 2: 7},
  'all': {0: 7, 1: 7, 2: 7},
  'majority': {0: 7, 1: 20, 2: 7},
  'not majority': {0: 100, 1: 7, 2: 7},
  'median': {0: 20, 1: 20, 2: 20},
  'mean': {0: 42, 1: 42, 2: 42},
  'between:1': {0: 43, 1: 43, 2: 43},  # 127 / 3, so that no fewer are left
  'between:0.5': {0: 63, 1: 32, 2: 32},
}


@pytest.mark.parametrize('word', OVER)
def test_a_word_brings_classes_up(word):
  assert targets(ABC, word) == OVER[word]


@pytest.mark.parametrize('word', UNDER)
def test_a_word_brings_classes_down_with_undersample(word):
  assert targets(ABC, word, undersample=True) == UNDER[word]


@pytest.mark.parametrize(
  ('ratio', 'expected'),
  [
    pytest.param(0.5, {0: 100, 1: 50, 2: 50}, id='half'),
    pytest.param(1, {0: 100, 1: 100, 2: 100}, id='one'),
    pytest.param(0.1, {0: 100, 1: 20, 2: 10}, id='some are above'),
    pytest.param(0.29, {0: 100, 1: 29, 2: 29}, id='0.29 * 100 is 28.999999999999996'),
    pytest.param(Fraction(1, 3), {0: 100, 1: 33, 2: 33}, id='fraction'),
    pytest.param(np.float64(0.5), {0: 100, 1: 50, 2: 50}, id='numpy'),
    pytest.param(np.float32(0.1), {0: 100, 1: 20, 2: 10}, id='numpy float32'),
    pytest.param(1e-9, ABC, id='tiny'),
  ],
)
def test_a_ratio_is_of_the_largest_class(ratio, expected):
  assert targets(ABC, ratio) == expected


@pytest.mark.parametrize(
  ('ratio', 'expected'),
  [
    pytest.param(1.0, {0: 7, 1: 7, 2: 7}, id='one'),
    pytest.param(0.5, {0: 14, 1: 14, 2: 7}, id='half'),
    pytest.param(0.07, {0: 100, 1: 20, 2: 7}, id='7 / 0.07 is 100 exactly'),
  ],
)
def test_a_ratio_with_undersample_is_of_the_smallest_class(ratio, expected):
  assert targets(ABC, ratio, undersample=True) == expected


def test_max_copies_caps_a_class_and_names_it():
  found = plan(ABC, max_copies=5)
  assert found.targets.tolist() == [100, 100, 35]
  assert found.held_back == (of_class(2),)  # class 1 has five copies of each, just as asked for
  assert plan(ABC, factors={1: 9}, max_copies=2).held_back == (of_class(1),)
  assert plan(ABC, max_copies=15).held_back == ()
  assert plan(ABC, max_copies=1).targets.tolist() == [100, 20, 7]


@pytest.mark.parametrize('key', [3, '3', 3.0, np.int64(3), of_class(3)], ids=repr)
def test_a_class_may_be_named_as_people_do(key):
  assert targets({3: 2, 4: 5}, {key: 9}) == {3: 9, 4: 5}


@pytest.mark.parametrize('key', ['cat', b'cat'], ids=repr)
def test_text_is_bytes(key):
  assert targets({'cat': 2, 'dog': 5}, factors={key: 2}) == {b'cat': 4, b'dog': 5}


def test_missing_is_a_class_as_others_are():
  found = plan_balance(*by_class({MISSING: 2, of_class('a'): 5}), BalanceRequest('all'))
  assert dict(zip(found.classes, found.targets.tolist(), strict=True)) == {
    MISSING: 5,
    of_class('a'): 5,
  }


def test_one_class_is_balanced_as_it_is():
  for word in STRATEGIES[2:]:
    assert targets({'a': 9}, word) == {b'a': 9}


FAULTS = {
  'unknown class of factors': ((), {'factors': {'x': 2}}, r"'x' is not a class; .* 0, 1, 2$"),
  'text for a number': (({'zero': 200},), {}, "'zero' is not a class; the classes are: 0, 1, 2"),
  'named twice': (({1: 30, '1': 40},), {}, 'sampling_strategy= names class 1 twice; name it once'),
  'a list': (([0, 1],), {}, r'sampling_strategy=\[0, 1\] must be one of .* or a dict'),
  'none': ((None,), {}, 'sampling_strategy=None must be one of'),
  'ratio zero': ((0,), {}, 'sampling_strategy=0 must be a ratio above 0 and at most 1'),
  'ratio negative': ((-0.5,), {}, 'sampling_strategy=-0.5 must be a ratio'),
  'ratio NaN': ((float('nan'),), {}, 'sampling_strategy=nan must be a ratio'),
  'ratio infinite': ((float('inf'),), {}, 'sampling_strategy=inf must be a ratio'),
  'power negative': (('power:-1',), {}, 'must have a q from 0'),
  'power of many digits': (('power:1e99999999',), {}, 'must have a q from 0'),
  'ratio of many digits': (('1e-99999999',), {}, 'sampling_strategy='),
  'power no number': (('power:x',), {}, 'must have a q from 0'),
  'power empty': (('power:',), {}, 'must have a q from 0'),
  'power of no end': (('power:1/0',), {}, 'must have a q from 0'),
  'power too fine': (('power:0.1234',), {}, 'with three decimals at the most'),
  'between one way': (
    ('between:0.5',),
    {},
    'raises some classes and lowers .* pass undersample=True',
  ),
  'between no ratio': (('between:2',), {'undersample': True}, 'must be a ratio above 0'),
  'between no number': (('between:x',), {'undersample': True}, 'must be a ratio above 0'),
  'target zero': (({0: 0},), {'undersample': True}, r'sampling_strategy\[0\]=0 must be a whole'),
  'target a half': (({0: 100.5},), {}, r'sampling_strategy\[0\]=100.5 must be a whole number'),
  'target true': (({0: True},), {}, r'sampling_strategy\[0\]=True must be a whole number from 1'),
  'factor and dict': (({0: 200},), {'factors': {0: 2}}, 'both say how many; pass one of them'),
  'copies true': ((), {'max_copies': True}, 'max_copies=True must be a whole number from 1'),
}


@pytest.mark.parametrize(('strategy', 'arguments', 'fault'), FAULTS.values(), ids=FAULTS)
def test_what_breaks_a_rule_is_refused(strategy, arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    plan(ABC, *strategy, **arguments)


COUNTS = st.dictionaries(st.integers(0, 60), st.integers(1, 10**6), min_size=1, max_size=12)
RATIOS = st.decimals(Decimal('0.0001'), 1, places=4).map(float)
POWERS = st.integers(0, 1000).map(lambda q: f'power:{Decimal(q) / 1000}')
WORDS = st.sampled_from([word for word in STRATEGIES if word not in ('majority', 'minority')])


@given(COUNTS, st.one_of(WORDS, RATIOS, POWERS), st.booleans(), st.none() | st.integers(1, 20))
def test_targets_are_exactly_what_was_asked_for(counts, strategy, undersample, max_copies):
  arguments = {'undersample': undersample, 'max_copies': max_copies}
  found = targets(counts, strategy, **arguments)
  expected = expected_targets(counts, strategy, **arguments)
  largest, smallest = (choose(counts.values()) for choose in (max, min))
  if strategy == 'not majority' and undersample and list(counts.values()).count(largest) > 1:
    expected = _one_is_left_alone(counts, found, expected, largest, smallest)
  if strategy == 'not minority' and not undersample and list(counts.values()).count(smallest) > 1:
    expected = _one_is_left_alone(counts, found, expected, smallest, largest, max_copies)
  assert found == expected


def _one_is_left_alone(counts, found, expected, size, goal, max_copies=None):
  """Returns the targets where of several classes of that size one is left alone, as imblearn does.

  There it is the first one of a Counter; which one is not documented.
  """
  goal = goal if max_copies is None else min(goal, size * max_copies)
  ties = [value for value, n in counts.items() if n == size]
  assert sorted(found[value] for value in ties) == sorted([size] + [goal] * (len(ties) - 1))
  return {**expected, **{value: found[value] for value in ties}}


@given(COUNTS, st.none() | st.integers(1, 20))
def test_the_one_class_that_a_word_names_is_brought_to_the_other_end(counts, max_copies):
  largest, smallest = max(counts.values()), min(counts.values())
  assume([*counts.values()].count(largest) == [*counts.values()].count(smallest) == 1)
  for word, undersample in (('majority', True), ('minority', False)):
    arguments = {'undersample': undersample, 'max_copies': max_copies}
    assert targets(counts, word, **arguments) == expected_targets(counts, word, **arguments)


@given(COUNTS, st.data())
def test_dicts_and_factors_are_exactly_what_was_asked_for(counts, data):
  named = data.draw(st.sets(st.sampled_from(sorted(counts))))
  factors = {value: data.draw(st.integers(1, 50)) for value in named}
  max_copies = data.draw(st.none() | st.integers(1, 20))
  arguments = {'factors': factors, 'max_copies': max_copies}
  assert targets(counts, **arguments) == expected_targets(counts, **arguments)
  finals = {value: data.draw(st.integers(1, 10**7)) for value in named}
  if any(final < counts[value] for value, final in finals.items()):
    with pytest.raises(ConfigError, match=r'has .* records and a target of'):
      targets(counts, finals)
  undersample = {'undersample': True, 'max_copies': max_copies}
  assert targets(counts, finals, **undersample) == expected_targets(counts, finals, **undersample)


@given(COUNTS, st.one_of(WORDS, RATIOS, POWERS), st.integers(1, 20))
def test_those_held_back_are_those_below_what_was_asked_for(counts, strategy, max_copies):
  free, capped = targets(counts, strategy), plan(counts, strategy, max_copies=max_copies)
  below = [c for c, got in zip(capped.classes, capped.targets, strict=True) if got < free[c.value]]
  assert list(capped.held_back) == below
  assert all(counts[c.value] * max_copies < free[c.value] for c in below)


@given(COUNTS, RATIOS)
def test_a_range_has_its_ratio_and_keeps_the_total(counts, ratio):
  found = targets(counts, f'between:{ratio}', undersample=True)
  exact = Fraction(str(ratio))
  assert min(found.values()) >= exact * max(found.values())
  assert sum(found.values()) >= sum(counts.values())
  lower = max(found.values()) - 1  # is not enough, unless all counts are lower anyhow
  assert sum(min(max(n, math.ceil(exact * lower)), lower) for n in counts.values()) < sum(
    counts.values()
  )
  if min(counts.values()) >= exact * max(counts.values()):
    assert found == counts


def test_targets_past_the_range_of_floats_are_exact():
  large = 10**18 + 1
  assert targets({0: large, 1: 1}, 0.1)[1] == 10**17
  assert targets({0: large, 1: large - 2}, 'mean') == {0: large, 1: 10**18}
  assert targets({0: 10**18, 1: 4}, 'power:0.5')[1] == 2 * 10**9


def test_classes_that_pass_are_not_looked_at():
  counts = {of_class('a'): 8, of_class('b'): 2, MISSING: 1}
  found = plan_balance(*by_class(counts), BalanceRequest(undersample=True), [MISSING])
  assert dict(zip(found.classes, found.targets.tolist(), strict=True)) == {
    of_class('a'): 2,
    of_class('b'): 2,
    MISSING: 1,
  }
  assert found.records.tolist() == [8, 2, 1]
  assert found.passed == (MISSING,)
  assert found.extremes() == ((8, 2), (2, 2))
  assert plan_balance(*by_class(counts), BalanceRequest('all'), list(counts)).targets.tolist() == [
    8,
    2,
    1,
  ]


HELP = {
  'up': ({}, True),
  'down': ({'undersample': True}, True),
  'part of the way': ({'sampling_strategy': 0.5}, True),
  'not majority down': ({'sampling_strategy': 'not majority', 'undersample': True}, False),
  'the smallest is left': ({'sampling_strategy': 'not minority'}, False),
  'natural': ({'sampling_strategy': 'power:1'}, False),
  'no class': ({'factors': {}}, False),
  'a ratio that is met': ({'sampling_strategy': 0.01}, False),
  'one copy': ({'max_copies': 1}, False),
}


@pytest.mark.parametrize(('arguments', 'expected'), HELP.values(), ids=HELP)
def test_a_plan_helps_where_it_lowers_the_imbalance_ratio(arguments, expected):
  assert plan(ABC, **arguments).helps() is expected


@pytest.mark.parametrize(('factors', 'expected'), [({}, True), ({0: 2}, False)], ids=str)
def test_a_plan_helps_where_there_is_no_imbalance_and_will_be_none(factors, expected):
  assert plan({0: 5, 1: 5}, factors=factors).helps() is expected
