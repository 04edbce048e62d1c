"""Records whose labels look wrong."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from tfx_balance.compare import compare, comparing
from tfx_balance.compare.suspects import suspects


@pytest.mark.parametrize('share', [0.05, 0.1])
def test_wrong_labels_of_the_rare_class_are_found(share, monkeypatch):
  monkeypatch.setattr(comparing, 'N_REPEATS', 1)
  rng = np.random.default_rng(0)
  true = (np.arange(2000) < 200).astype(int)
  x = rng.normal(size=(2000, 4)) + 2 * true[:, np.newaxis]
  y = true.copy()
  flipped = rng.choice(2000 - 200, int(200 * share), replace=False) + 200
  y[flipped] = 1  # labelled rare, and not
  answer = compare(LogisticRegression(), x, y, processes=1, verbose=False)
  found = answer.suspects(len(flipped))
  assert np.mean(np.isin([one.row for one in found], flipped)) > 0.7
  assert all(one.label != one.likely for one in found)


def test_a_class_that_models_find_hard_is_not_all_suspect():
  p = np.array([[0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.8, 0.2], [0.9, 0.1]])
  found = suspects(np.log(p), np.array([0, 0, 1, 1, 1]), 2)
  assert found[0].row == 1
  assert found[0].likely == 1
  assert found[0].score == pytest.approx(0.1 - 0.5)
  assert suspects(np.log(p) * np.nan, np.array([0, 0, 1, 1, 1]), 2) == []
