"""Verdicts of comparisons whose answers are known: equal arms, and SMOTE of a logistic model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.compare.arms import NATURAL
from tfx_balance.compare.judging import Scores
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted

from benchmarks.remedies import judge_logistic, read_or_make
from benchmarks.remedies_made import OWN, false_verdict, folds_of, table
from benchmarks.remedies_training import table_names


@pytest.fixture(params=['made', 'yeast1', 'page_blocks0'])
def judged(request):
  """What was found for a logistic model of a table."""
  if request.param == 'made':
    rng = np.random.default_rng(1)
    labels = np.repeat([0, 1], [900, 100])
    x = rng.normal(size=(1_000, 4)) + 0.8 * labels[:, np.newaxis]
    return judge_logistic(x.astype(np.float32), labels, 400)
  if request.param not in table_names():
    pytest.skip(f'TFX_BALANCE_DATA is not set: {request.param} was not compared')
  return judge_logistic(*read_or_make(request.param), 400)


def test_smote_breaks_calibration_and_a_threshold_does_as_well_without(judged):
  """van den Goorbergh et al. 2022, "The harm of class imbalance corrections"."""
  natural, threshold, smote = (judged[arm] for arm in (NATURAL, 'threshold', 'smote'))
  assert smote['low'] > 0
  assert threshold['low'] > 0
  assert threshold['macro_recall'] > smote['macro_recall'] - 0.02
  assert abs(natural['intercept']) < 0.3
  assert smote['intercept'] < -0.8
  assert smote['log_loss'] > 1.1 * natural['log_loss']
  for probabilities in ('log_loss', 'intercept', 'slope'):
    assert threshold[probabilities] == natural[probabilities]


def test_equal_arms_are_seldom_told_apart():
  arms = (NATURAL, 'balanced', 'smote')
  false = [false_verdict(100, OWN, arms, seed) for seed in range(40)]
  assert sum(false) <= 4


@pytest.mark.parametrize(('metric', 'found'), [('macro_recall', True), ('log_loss', False)])
def test_a_threshold_is_tuned_where_classes_decide(metric, found):
  rng = np.random.default_rng(0)
  x, labels = table(100, rng)
  counts = np.bincount(labels)
  log_prior = np.log(counts / counts.sum())
  folds = [
    replace(fold, log_p={NATURAL: shifted(fold.log_p[NATURAL], log_prior)})
    for fold in folds_of(x, labels, (NATURAL,), 0, rng)
  ]
  t = Scores(folds, labels, Measures.of(counts), metric).threshold('threshold')
  assert (0.5 < t < 1.5) if found else t == 0
