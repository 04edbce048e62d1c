"""Metrics, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as peer
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted
from tfx_balance.errors import ConfigError


def scored(n_classes, n=400, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.choice(n_classes, n, p=np.arange(n_classes, 0, -1) / sum(range(n_classes + 1)))
  logits = rng.normal(size=(n, n_classes)) + 2 * np.eye(n_classes)[labels]
  return shifted(logits, np.zeros(n_classes)), labels


@pytest.mark.parametrize('n_classes', [2, 4])
def test_metrics_are_those_of_scikit_learn(n_classes):
  log_p, labels = scored(n_classes)
  measures = Measures.of(np.bincount(labels), None)
  found = {name: measures.measure(name, log_p, labels) for name in measures.names}
  decided, p, hot = np.argmax(log_p, axis=1), np.exp(log_p), np.eye(n_classes)[labels]
  if n_classes == 2:
    precision = peer.average_precision_score(labels == 1, p[:, 1])
  else:
    precision = peer.average_precision_score(hot, p, average='macro')
  assert found == pytest.approx(
    {
      'macro_recall': peer.balanced_accuracy_score(labels, decided),
      'worst_class': peer.recall_score(labels, decided, average=None).min(),
      'average_precision': precision,
      'macro_f1': peer.f1_score(labels, decided, average='macro'),
      'log_loss': peer.log_loss(labels, p),
      'brier': np.mean(np.sum((p - hot) ** 2, axis=1)),
    }
  )


def test_records_go_into_the_class_of_least_expected_cost():
  log_p = np.log([[0.9, 0.1], [0.6, 0.4]])
  measures = Measures.of(np.array([9, 1]), [[0, 1], [5, 0]])
  assert measures.decide(log_p).tolist() == [0, 1]  # 0.5 against 0.9, 2 against 0.6
  assert measures.measure('cost', log_p, np.array([1, 0])) == 3  # (5 + 1) / 2
  assert measures.better('cost', log_p, np.array([1, 0])) == -3


def test_calibration_is_without_fault_where_probabilities_are_true():
  rng = np.random.default_rng(1)
  odds = rng.normal(-1, 1.5, 20_000)
  labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(int)
  measures = Measures.of(np.bincount(labels), None)
  true = shifted(np.stack([np.zeros_like(odds), odds], 1), [0, 0])
  assert measures.calibration(true, labels) == pytest.approx((0, 1), abs=0.06)
  intercept, slope = measures.calibration(shifted(true, [0, 2]), labels)
  assert intercept == pytest.approx(-2, abs=0.06)
  assert slope == pytest.approx(1, abs=0.06)
  extreme = shifted(np.stack([np.zeros_like(odds), 2 * odds], 1), [0, 0])
  assert measures.calibration(extreme, labels)[1] == pytest.approx(0.5, abs=0.03)


def test_calibration_is_none_where_it_has_no_value():
  measures = Measures.of(np.array([2, 2]), None)
  apart = np.log([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
  assert measures.calibration(apart, np.array([0, 0, 1, 1])) is None
  assert measures.calibration(np.log(np.full((4, 2), 0.5)), np.array([0, 0, 1, 1])) is None


@pytest.mark.parametrize(
  'cost',
  [[[0, 1]], [[0, -1], [1, 0]], [[0, np.nan], [1, 0]], [[0, 1], [1]], 'ab'],
)
def test_a_cost_matrix_of_other_classes_is_refused(cost):
  with pytest.raises(ConfigError, match='must have 2 rows of 2 costs'):
    Measures.of(np.array([5, 3]), cost)


def test_a_metric_that_cannot_be_measured_is_refused():
  measures = Measures.of(np.array([5, 3]), None)
  with pytest.raises(ConfigError, match='needs a cost matrix'):
    measures.check('cost')
  with pytest.raises(ConfigError, match="metric='accuracy' is not one of"):
    measures.check('accuracy')
