"""The benchmark of remedies runs from end to end; batches, SMOTE and regret are what they say."""

from __future__ import annotations

import numpy as np
import pytest
from tfx_balance.compare.arms import ARMS, NATURAL

from benchmarks import remedies
from benchmarks.__main__ import main, read_results
from benchmarks.harness import run_here
from benchmarks.remedies_made import planted_verdict, table
from benchmarks.remedies_training import BATCH, draw, neighbours, train


def test_all_parts_are_printed(tmp_path, capsys):
  path = tmp_path / 'remedies.json'
  arguments = ['remedies', '--tiny', '--json', str(path), '--cache', str(tmp_path / 'cache')]
  assert main(arguments, run_here) == 0
  results = {result.case.name: result.runs['ours'][0].result for result in read_results(path)}
  assert {name.split()[0].strip(',') for name in results} == set(remedies._PRINTED) - {
    'Keras',
    'boosting',
    'forest',
  }
  splits = results['regret of 300 made']
  assert len(splits) == remedies.FOLDS
  assert set(splits[0]['outside']['macro_recall']) == {
    'recommended',
    'argmax',
    *ARMS,
    't = 1',
  }
  printed = capsys.readouterr().out
  for part in (
    'mean regret',
    'recommended - natural',
    'equal remedies',
    'helps / no practical',
    'logistic model',
  ):
    assert part in printed


@pytest.mark.parametrize(('q', 'shares'), [(1.0, (0.9, 0.1)), (0.5, (0.75, 0.25)), (0, (0.5, 0.5))])
def test_batches_have_exact_shares(q, shares):
  labels = np.repeat([0, 1], [270, 30])
  rows = draw(labels, q, 50, np.random.default_rng(0))
  assert np.bincount(labels[rows].ravel()) / rows.size == pytest.approx(shares, abs=1 / rows.size)
  assert np.ptp((labels[rows] == 1).sum(axis=1)) <= 1
  uses = np.bincount(rows.ravel(), minlength=300)
  assert np.ptp(uses[:270]) <= 1
  assert np.ptp(uses[270:]) <= 1
  assert rows.shape == (50, BATCH)


def test_neighbours_are_the_nearest_of_the_class():
  x = np.array([[0.0], [1], [3], [7], [0.5], [0.6], [0.7], [0.8], [0.9]])
  found = neighbours(x, np.array([1, 1, 1, 1, 0, 0, 0, 0, 0]))
  assert set(found[0]) == {1, 2, 3}
  assert np.all(found[4:] == np.arange(4, 9)[:, np.newaxis])


@pytest.mark.parametrize('hidden', [0, 8])
@pytest.mark.parametrize('arm', [NATURAL, 'balanced', 'smote'])
def test_folds_trained_at_once_learn(arm, hidden):
  x, labels = table(60, np.random.default_rng(0))
  rows = np.arange(len(labels))
  log_p, _ = train(
    x.astype(np.float32), labels, [rows, rows[::2]], [rows, rows[:9]], arm, 200, hidden
  )
  recalls = [np.mean(np.argmax(log_p[labels == c], axis=1) == c) for c in (0, 1)]
  assert np.mean(recalls) > 0.75
  if arm != NATURAL:
    assert min(recalls) > 0.75


def test_the_fixed_remedy_of_a_table_is_the_best_of_the_others():
  base = dict.fromkeys((remedies.PICKER, remedies.BEST, *ARMS, remedies.UNTUNED), 0.0)
  one, two = {**base, NATURAL: 0.5}, {**base, 'balanced': 0.4, remedies.PICKER: 0.3}
  tables = {name: dict.fromkeys(remedies.DECIDING, v) for name, v in (('a', one), ('b', two))}
  found = remedies.regrets(tables)['macro_recall']
  assert found['fixed'] == pytest.approx(45)
  assert found[remedies.PICKER] == pytest.approx((50 + 10) / 2)
  assert found['difference'][0] == pytest.approx(15)
  assert found['chosen'] == {'balanced': 1, NATURAL: 1}


def test_the_gain_of_a_table_is_that_of_its_outer_folds():
  outer = [{'outside': {'macro_f1': {remedies.PICKER: v, NATURAL: 0.5}}} for v in (0.5, 0.6)]
  assert remedies.means(outer) == {'macro_f1': {remedies.PICKER: pytest.approx(0.55), NATURAL: 0.5}}
  gain = remedies.gains(outer, 'macro_f1')
  assert gain.mean == pytest.approx(5)
  # 12.7 is the quantile of t with one degree of freedom
  assert gain.high - gain.mean == pytest.approx(12.7 * np.sqrt((1 / 2 + 1 / 4) * 50), rel=0.01)


def test_a_large_planted_effect_is_seen():
  assert planted_verdict(1_000, 0.08, 0) == 'helps'
  assert planted_verdict(1_000, 0.0, 0) != 'helps'
