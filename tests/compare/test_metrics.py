"""Metrics, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as peer
from tfx_balance.compare.metrics import Measures, precision_at_recall, recall_at_precision
from tfx_balance.compare.threshold import shifted
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue


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


NAMES = (ClassValue('bytes', b'fine'), ClassValue('bytes', b'fraud'))


def test_a_probability_of_0_costs_what_scikit_learn_takes():
  log_p = np.array([[0, -np.inf], [np.log(0.5), np.log(0.5)]])
  labels = np.array([1, 0])
  measures = Measures.of(np.array([1, 1]))
  assert measures.measure('log_loss', log_p, labels) == pytest.approx(
    peer.log_loss(labels, np.exp(log_p))
  )
  assert measures.measure('average_precision', log_p, labels) == pytest.approx(0.5)


def test_a_function_of_probabilities_is_a_metric():
  log_p, labels = scored(2)

  def gain(y, proba):
    return np.mean((y == 'fraud') * proba[:, 1])

  measures = Measures.of(np.bincount(labels), classes=NAMES, metric=gain)
  assert measures.check(gain) == 'gain'
  assert measures.measure('gain', log_p, labels) == pytest.approx(
    np.mean(labels * np.exp(log_p[:, 1]))
  )
  bad = Measures.of(np.bincount(labels), metric=lambda y, proba: 'much')
  with pytest.raises(ConfigError, match="returned 'much'; it must return a finite number"):
    bad.measure(bad.names[-1], log_p, labels)


@pytest.mark.parametrize('of', ['recall', 'precision'])
def test_recall_at_a_precision_is_the_best_of_all_thresholds(of):
  log_p, labels = scored(2)
  own = {
    'recall': recall_at_precision(0.8, 'fraud'),
    'precision': precision_at_recall(0.8, 'fraud'),
  }
  measures = Measures.of(np.bincount(labels), classes=NAMES, metric=own[of])
  name = measures.check(own[of])
  best = 0
  for threshold in log_p[:, 1]:
    taken = log_p[:, 1] >= threshold
    pair = {
      'precision': np.mean(labels[taken]),
      'recall': np.sum(taken & (labels == 1)) / labels.sum(),
    }
    other = 'precision' if of == 'recall' else 'recall'
    if pair[other] >= 0.8:
      best = max(best, pair[of])
  assert measures.measure(name, log_p, labels) == pytest.approx(best)
  with pytest.raises(ConfigError, match="'theft' is not a class"):
    Measures.of(np.array([1, 1]), classes=NAMES, metric=recall_at_precision(0.8, 'theft'))


def test_costs_by_names_are_said():
  measures = Measures.of(np.array([9, 1]), {('fraud', 'fine'): 50}, classes=NAMES)
  assert measures.cost.tolist() == [[0, 1], [50, 0]]
  assert measures.cost_words == 'Costs: fine taken for fraud 1, fraud taken for fine 50.'
  with pytest.raises(ConfigError, match="key 'fraud' must be a pair of classes"):
    Measures.of(np.array([9, 1]), {'fraud': 50}, classes=NAMES)
  with pytest.raises(ConfigError, match="'theft' is not a class"):
    Measures.of(np.array([9, 1]), {('fraud', 'theft'): 50}, classes=NAMES)


def test_measures_of_other_shares_are_those_of_such_data():
  log_p, labels = scored(2)
  often = np.concatenate([np.flatnonzero(labels == 0)] * 5 + [np.flatnonzero(labels == 1)])
  shares = np.bincount(labels[often]) / len(often)
  there = Measures.of(np.bincount(labels), classes=NAMES, prevalence={'fraud': float(shares[1])})
  real = Measures.of(np.bincount(labels[often]), classes=NAMES)
  for name in real.names:
    expected = real.measure(name, log_p[often], labels[often])
    assert there.measure(name, log_p, labels) == pytest.approx(expected), name
  assert there.calibration(log_p, labels) == pytest.approx(
    real.calibration(log_p[often], labels[often]), abs=1e-4
  )


@pytest.mark.parametrize('given', [{'fraud': 0}, {'fraud': 1}, {'fraud': 0.5, 'fine': 0.4}])
def test_shares_that_are_none_are_refused(given):
  with pytest.raises(ConfigError, match='must be shares above 0 that add up to'):
    Measures.of(np.array([9, 1]), classes=NAMES, prevalence=given)
