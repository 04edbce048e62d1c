"""StratifiedSplits in scikit-learn, and against the folds that it is made of."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from tfx_balance import StratifiedSplits, stratified_indices
from tfx_balance.errors import ConfigError, DataError

RNG = np.random.default_rng(0)
Y = RNG.choice(3, 300, p=[0.8, 0.15, 0.05])
X = np.stack([Y + RNG.normal(size=300), RNG.normal(size=300), np.arange(300)], axis=1)


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=4), n=st.integers(2, 6))
def test_test_rows_are_all_rows_once_and_each_class_is_within_one_of_its_share(counts, n):
  assume(sum(counts) >= n)
  y = np.repeat(np.arange(len(counts)), counts)
  rounds = list(StratifiedSplits(n).split(y, y))
  assert len(rounds) == n
  assert sorted(np.concatenate([test for _, test in rounds])) == list(range(len(y)))
  for train, test in rounds:
    assert sorted([*train, *test]) == list(range(len(y)))
    held = np.bincount(y[test], minlength=len(counts))
    assert (np.abs(held * n - counts) < n).all()


def test_scikit_learn_takes_it_nested_too():
  inner = GridSearchCV(LogisticRegression(), {'C': [0.1, 1.0]}, cv=StratifiedSplits(3, seed=1))
  scores = cross_val_score(inner, X, Y, cv=StratifiedSplits(4))
  assert scores.shape == (4,)
  groups = np.arange(300) // 10
  found = cross_val_score(LogisticRegression(), X, Y, groups=groups, cv=StratifiedSplits(3))
  assert found.shape == (3,)


def test_groups_stay_together():
  groups = np.arange(300) // 7
  for train, test in StratifiedSplits(4).split(X, Y, groups):
    assert not set(groups[train]) & set(groups[test])
  folds = stratified_indices(Y, {'train': 1}, folds=4, groups=groups)
  tests = [test.tolist() for _, test in StratifiedSplits(4).split(X, Y, groups)]
  assert tests == [index.tolist() for index in folds.values()]


@pytest.mark.parametrize('groups', [None, np.arange(300) // 7])
@pytest.mark.parametrize('as_frame', [False, True])
def test_rounds_in_time_train_on_what_is_before(as_frame, groups):
  table, column = X, 2
  if as_frame:
    pandas = pytest.importorskip('pandas')
    table, column = pandas.DataFrame(X, columns=['a', 'b', 'time'], index=range(300, 0, -1)), 'time'
  rounds = list(StratifiedSplits(3, order_by=column).split(table, Y, groups))
  assert len(rounds) == 3
  for before, (train, test) in enumerate(rounds, 1):
    if groups is None:
      assert train.max() < test.min()
      assert abs(len(train) - 75 * before) <= 1
    else:
      assert not set(groups[train]) & set(groups[test])


def test_items_before_a_cut_are_left_out():
  plain, apart = (list(StratifiedSplits(3, order_by=2, embargo=n).split(X, Y)) for n in (0, 5))
  for (train, test), (kept, same) in zip(plain, apart, strict=True):
    assert same.max() <= test.max()
    assert kept.max() <= test.min() - 5
    assert set(kept) < set(train)


def test_numbers_in_bins_and_sets_of_labels_are_stratified():
  values = RNG.exponential(size=200)
  for _, test in StratifiedSplits(4, bins=5).split(values, values):
    held = np.bincount(np.searchsorted(np.quantile(values, [0.2, 0.4, 0.6, 0.8]), values[test]))
    assert (np.abs(held - 10) <= 1).all()
  flags = (RNG.random((200, 3)) < [0.5, 0.2, 0.1]).astype(int)
  for _, test in StratifiedSplits(4, multilabel=True).split(flags, flags):
    assert (np.abs(flags[test].sum(axis=0) - flags.sum(axis=0) / 4) <= 2).all()


@pytest.mark.parametrize(
  ('arguments', 'given', 'error', 'message'),
  [
    ({'n_splits': 1}, (X, Y), ConfigError, 'n_splits=1'),
    ({}, (X, None), ConfigError, 'y=None, and folds are stratified by it'),
    ({}, (X[:10], Y), DataError, 'X has 10 rows, and y has 300'),
    ({'order_by': 'time'}, (X, Y), ConfigError, "order_by='time' must be a whole number"),
    ({'order_by': 3}, (X, Y), ConfigError, 'order_by=3 is no column of X'),
  ],
)
def test_what_breaks_a_rule_is_named(arguments, given, error, message):
  with pytest.raises(error, match=message):
    list(StratifiedSplits(**arguments).split(*given))
