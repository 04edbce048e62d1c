"""The benchmark of intervals runs from end to end; its models, metrics and influences are right."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score, log_loss, recall_score
from tfx_balance.compare.metrics import METRICS

from benchmarks import intervals
from benchmarks.__main__ import main, read_results
from benchmarks.harness import run_here


def test_all_tables_are_printed(tmp_path, capsys):
  path = tmp_path / 'intervals.json'
  arguments = ['intervals', '--tiny', '--json', str(path), '--cache', str(tmp_path / 'cache')]
  assert main(arguments, run_here) == 0
  results = [result.runs['folds'][0].result for result in read_results(path)]
  assert len(results) == len(intervals.KINDS)
  for result in results:
    assert set(result['metrics']) == set(intervals.NAMES) <= set(METRICS)
    for ways in result['metrics'].values():
      assert set(ways) == set(intervals.WAYS)
      assert all(0 <= share <= 1 for each in ways.values() for share in (*each[:3], *each[4:]))
      assert all(each[3] > 0 for each in ways.values())
  printed = capsys.readouterr().out
  for part in ('held, own, final / width / decided', '30 rare or more: halves', 'that differ, %'):
    assert part in printed


def drawn(n, k, seed=0):
  """Returns log probabilities that tell something, [n, k], and classes, [n]."""
  rng = np.random.default_rng(seed)
  labels = rng.choice(k, n, p=np.arange(k, 0, -1) / np.arange(1, k + 1).sum())
  logits = rng.normal(size=(n, k)) + np.eye(k)[labels]
  return logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)), labels


@pytest.mark.parametrize('k', [2, 3])
def test_metrics_are_those_of_scikit_learn(k):
  log_p, labels = drawn(300, k)
  weights = np.random.default_rng(1).random(300)
  values, _ = intervals.measured(log_p, log_p, labels, weights / weights.sum())
  decided, p = np.argmax(log_p, axis=1), np.exp(log_p)
  recalls = recall_score(labels, decided, average=None, sample_weight=weights)
  classes = [1] if k == 2 else range(k)
  assert values == pytest.approx(
    [
      np.mean(recalls),
      np.min(recalls),
      f1_score(labels, decided, average='macro', sample_weight=weights),
      np.mean(
        [average_precision_score(labels == c, p[:, c], sample_weight=weights) for c in classes]
      ),
      -log_loss(labels, p, sample_weight=weights),
    ]
  )


@pytest.mark.parametrize('k', [2, 3])
def test_influences_are_the_slopes_of_the_metrics(k):
  log_p, labels = drawn(200, k)
  plain, step = np.full(200, 1 / 200), 1e-6
  values, influences = intervals.measured(log_p, log_p, labels, plain)
  for i in range(0, 200, 17):
    moved = (1 - step) * plain
    moved[i] += step
    slopes = (intervals.measured(log_p, log_p, labels, moved)[0] - values) / step
    assert influences[:, i] == pytest.approx(slopes, abs=1e-3), i


@pytest.mark.parametrize('k', [2, 3])
def test_models_are_those_of_scikit_learn(k):
  _, labels = drawn(300, k)
  x = intervals.features('three classes', labels, np.random.default_rng(1))
  # Of many classes scikit-learn penalises all slopes, ours those less the first; so with k = 3 the
  # weights are large, and the penalty is nothing.
  weights = np.random.default_rng(2).random((2, 300)) * (1 if k == 2 else 1e4)
  with_one = np.c_[x, np.ones(300)]
  found = intervals.log_scores(with_one, intervals.logistic(with_one, np.eye(k)[labels], weights))
  for log_p, own in zip(found, weights, strict=True):
    model = LogisticRegression(tol=1e-9, max_iter=10_000).fit(x, labels, own)
    assert log_p == pytest.approx(model.predict_log_proba(x), abs=1e-3)


def test_the_joint_level_is_between_one_interval_and_bonferroni():
  one, four = 0.05, 1 - 0.95**0.25
  assert intervals.joint_level(np.ones((4, 4))) == pytest.approx(one, abs=0.01)
  assert intervals.joint_level(np.eye(4)) == pytest.approx(four, abs=0.004)


def test_records_of_independent_means_are_held():
  """The width for means of normal records is that of Student's t."""
  rng = np.random.default_rng(0)
  psi = rng.normal(size=(1, 5, 100))
  psi -= psi.mean(axis=-1, keepdims=True)
  value = np.zeros((5, 1, 5))
  table = {
    'n': np.array(100),
    'squares': np.einsum('amn,bmn->mab', psi, psi),
    'fourth': np.sum(psi**4, axis=-1),
    'value': value,
    'fold': rng.normal(size=(25, 1, 5)),
    'nested': np.zeros((25, 1, 5)),
    'half': np.full((5, 1, 5), 4 * np.mean(psi[0, 0] ** 2) / 100),
  }
  found = intervals.half_widths(table, 0, np.array([0]))
  error = np.std(psi[0, 0]) / 10
  assert found['records'] == found['repeats'] == found['nested']
  assert found['records'][0] == pytest.approx(1.99 * error, rel=0.03)
  assert found['halves'][0] == pytest.approx(2 * 2.57 * error, rel=0.03)
