"""Records whose labels look wrong."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from tfx_balance.compare import compare
from tfx_balance.compare.suspects import suspects
from tfx_balance.errors import ConfigError

from tests.compare.helpers_folds import first_folds


def flipped(share, way, seed):
  """Returns features, labels of which some are wrong, and which: 2 classes, 400 of 4,000 rare."""
  rng = np.random.default_rng(seed)
  true = (np.arange(4000) < 400).astype(int)
  x = rng.normal(size=(4000, 12))
  x[:, 0] += 2 * true
  x[:, 1] += true * np.sign(x[:, 2])
  wrong = rng.choice(np.flatnonzero(true == (way == 'hidden')), int(400 * share), replace=False)
  labels = true.copy()
  labels[wrong] = 1 - true[wrong]
  return x, labels, wrong


def test_an_answer_lists_records_with_the_values_of_their_classes():
  x, labels, wrong = flipped(0.1, 'false', 0)
  with first_folds():
    answer = compare(LogisticRegression(), x, np.array(['ok', 'rare'])[labels], processes=1)
  found = answer.suspects(20)
  assert np.mean(np.isin([one.row for one in found], wrong)) > 0.5
  assert all((one.label, one.likely) == ('rare', 'ok') for one in found)


@pytest.mark.parametrize('way', ['hidden', 'false'])
@pytest.mark.parametrize('share', [0.05, 0.1])
def test_precision_at_50(share, way):
  """Records of the rare class that are labelled common, and common ones that are labelled rare."""
  by_quotient, by_difference, by_chance = [], [], []
  for seed in range(5):
    x, labels, wrong = flipped(share, way, seed)
    p = cross_val_predict(LogisticRegression(), x, labels, cv=5, method='predict_proba')
    rows = [one.row for one in suspects(np.log(p), labels, 50)]
    own = p[np.arange(4000), labels]
    means = np.array([own[labels == c].mean() for c in (0, 1)])
    differs = np.argsort(own - means[labels])[:50]
    most = min(50, len(wrong))
    by_quotient.append(np.isin(rows, wrong).sum() / most)
    by_difference.append(np.isin(differs, wrong).sum() / most)
    by_chance.append(50 * len(wrong) / 4000 / most)
  assert np.mean(by_quotient) > 8 * np.mean(by_chance)
  if way == 'false':  # which a difference to the mean hardly ever lists
    assert np.mean(by_quotient) > 0.3 + np.mean(by_difference)


def test_a_class_that_models_find_hard_is_not_all_suspect():
  p = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.8, 0.2], [0.9, 0.1]])
  found = suspects(np.log(p), np.array([0, 0, 1, 1, 1]), 2)
  assert found[0].row == 1
  assert found[0].likely == 1
  fits = 0.1 / 0.5, 0.9 / (0.5 / 3)  # by the means of the records of each class
  assert found[0].score == pytest.approx(fits[0] / fits[1])
  assert suspects(np.log(p) * np.nan, np.array([0, 0, 1, 1, 1]), 2) == []
  assert len(suspects(np.log(p), np.array([0, 0, 1, 1, 1]), 50)) == 5


def test_probabilities_of_0_are_ordered_by_the_likely_class():
  p = np.array(
    [[0.0, 0.4, 0.6], [0.9, 0.1, 0.0], [0.0, 0.9, 0.1], [0.0, 0.0, 1.0], [0.2, 0.5, 0.3]]
  )
  with np.errstate(divide='ignore'):
    found = suspects(np.log(p), np.array([0, 0, 2, 2, 1]), 3)
  assert [(one.row, one.likely, one.score) for one in found[:1]] == [(0, 2, 0.0)]
  assert found[1].row == 2
  assert all(np.isfinite(one.score) for one in found)


def test_a_number_of_records_that_is_none_is_refused():
  with pytest.raises(ConfigError, match='n=0 must be a whole number from 1'):
    suspects(np.log(np.full((2, 2), 0.5)), np.array([0, 1]), 0)
