"""Shares that are set while training are a history by steps, and nothing before it changes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError
from tfx_balance.plan.adjustable_shares import AdjustableShares, ShareChange
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.epochs import epoch_steps
from tfx_balance.plan.sampling import Sampling, TrainingCounts

COUNTS = TrainingCounts((ClassValue('int', 0), ClassValue('bytes', b'fraud')), (90, 10))


@given(st.lists(st.tuples(st.integers(1, 50), st.sampled_from([0, 0.5, 1])), max_size=8))
def test_each_step_has_the_last_shares_set_before_it(changes):
  shares, expected, last = AdjustableShares(q=2), {0: 2}, 0
  for gap, q in changes:
    last += gap
    shares.set(last, q)
    expected[last] = q
  for step in range(last + 2):
    assert shares(step) == expected[max(k for k in expected if k <= step)]


def test_classes_of_ratios_are_named_as_in_json():
  fraud = ClassValue('bytes', b'fraud')
  assert AdjustableShares(ratios={0: 1, fraud: 3})(0) == {'0': 1, 'fraud': 3}
  shares = AdjustableShares(ratios={0: 1, b'fraud': 3})
  assert shares(0) == {'0': 1, 'fraud': 3}
  assert Sampling(schedule=shares).weights(COUNTS).of(shares(0)) == (1, 3)


def test_shares_are_not_set_for_a_step_that_is_drawn():
  shares = AdjustableShares()
  shares(17)
  assert shares.next_step == 18
  with pytest.raises(ConfigError, match=r'step=17 is before 18: .* name 18 or later'):
    shares.set(17, q=1)
  shares.set(30, q=1)
  with pytest.raises(ConfigError, match=r'the last change is at 30; name 30 or later'):
    shares.set(29, q=0)
  with pytest.raises(ConfigError, match=r'step=0 is before 1: .* name 1 or later'):
    AdjustableShares().set(0, q=1)


def test_a_change_at_the_step_of_the_last_one_replaces_it():
  shares = AdjustableShares()
  shares.set(30, q=1)
  shares.set(30, q=0.5)
  assert [change.q for change in shares.changes] == [0, 0.5]
  assert shares(30) == 0.5


def test_shares_of_no_class_are_refused_when_they_are_set():
  shares = AdjustableShares()
  Sampling(schedule=shares).weights(COUNTS)
  with pytest.raises(ConfigError, match='leaves out class fraud'):
    shares.set(5, ratios={0: 1})
  assert len(shares.changes) == 1
  wrong = AdjustableShares(ratios={'dog': 1})
  with pytest.raises(ConfigError, match="'dog' is not a class"):
    Sampling(schedule=wrong).weights(COUNTS)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'step': -1, 'q': 1}, 'step=-1 must be a whole number from 0'),
    ({'step': 1}, 'q=None and ratios=None are given; give one of them'),
    ({'step': 1, 'q': 1, 'ratios': {0: 1}}, 'give one of them'),
    ({'step': 1, 'q': float('inf')}, 'q=inf must be a finite number'),
    ({'step': 1, 'ratios': {0: -1}}, r'ratios\[0\]=-1 must be'),
    ({'step': 1, 'ratios': {b'\xff': 1}}, 'not text in UTF-8'),
  ],
)
def test_what_breaks_a_rule_is_refused(arguments, message):
  with pytest.raises(ConfigError, match=message):
    AdjustableShares().set(**arguments)


def test_a_history_is_taken_over_and_another_is_refused():
  history = (ShareChange(0, 0), ShareChange(9, 1), ShareChange(40, 0.5))
  shares = AdjustableShares()
  shares.restore(history, 30)
  assert shares.changes == history
  assert shares.next_step == 30
  shares.restore(history[:2], 30)  # of an earlier state
  assert shares.changes == history
  with pytest.raises(ConfigError, match='make AdjustableShares with the first shares of that run'):
    AdjustableShares(q=1).restore(history, 30)


def test_an_epoch_is_that_of_the_first_shares():
  shares = AdjustableShares(ratios={0: 3, 'fraud': 1})
  sampling = Sampling(schedule=shares)
  steps = epoch_steps(sampling, COUNTS, 10, 'largest')
  assert steps == epoch_steps(Sampling(ratios={0: 3, 'fraud': 1}), COUNTS, 10, 'largest')
  shares.set(2, q=1)
  assert epoch_steps(sampling, COUNTS, 10, 'largest') == steps
  assert shares.next_step <= 2


def test_programs_may_import_the_earlier_name():
  from tfx_balance.inputs import SetShares

  assert SetShares is AdjustableShares
