"""The benchmark of null tables makes the verdicts of `compare`, on tables that are what it says."""

from __future__ import annotations

import numpy as np
import pytest
from tfx_balance.compare import compare
from tfx_balance.compare.duplicates import equal_rows
from tfx_balance.compare.intervals import CANNOT_TELL, HELPS

from benchmarks import null
from benchmarks.__main__ import main, read_results
from benchmarks.harness import run_here


def test_runs_are_printed(tmp_path, capsys):
  path = tmp_path / 'null.json'
  arguments = ['null', '--tiny', '--json', str(path), '--cache', str(tmp_path / 'cache')]
  assert main(arguments, run_here) == 0
  results = [one for result in read_results(path) for one in result.runs['ours'][0].result]
  assert len(results) == 1 + len(null.ESTIMATORS)
  assert all(set(one['false']) == set(null.JUDGED) for one in results)
  printed = capsys.readouterr().out
  assert 'runs with a false verdict' in printed
  assert '0.0 [0.0, 97.5]' in printed  # one run, none false


@pytest.mark.parametrize('in_time', [False, True])
def test_verdicts_are_those_of_compare(in_time):
  rng = np.random.default_rng(0)
  labels = (rng.random(900) < 0.1).astype(np.int64)
  x = rng.normal(size=(900, 3)) + labels[:, np.newaxis] * [1.5, 0, 0]
  times = np.arange(900) if in_time else None
  folds = null.folds_of('logistic', x, labels, None, times, 3)
  found = null.verdicts(folds, labels, 'macro_recall', in_time)
  given = {'times': times, 'processes': 1, 'verbose': False, 'seed': 3}
  assert found == compare(null.ESTIMATORS['logistic'], x, labels, **given).verdicts
  assert in_time or HELPS in found.values()  # so that verdicts are told apart


SEED = 173
"""Of a table whose rare class would come late."""


@pytest.mark.parametrize('kind', null.CLASSES)
def test_tables_are_what_they_are_called(kind):
  x, labels, groups, times = null.table(kind, np.random.default_rng(SEED))
  counts, (_, sizes) = np.bincount(labels), np.unique(equal_rows(x), return_counts=True)
  assert len(counts) == null.CLASSES[kind]
  assert counts.argmin() == len(counts) - 1
  assert set(sizes) == {null.TOGETHER.get(kind, 1)}
  assert (groups is None, times is None) == (kind not in null.TOGETHER, kind != 'time')
  if times is not None:
    assert len(np.unique(labels[: len(labels) // 6])) == len(counts)  # or else there is no verdict
  slow = np.corrcoef(x[1:, 0], x[:-1, 0])[0, 1] > 0.8
  assert slow == (kind == 'time')


def test_a_verdict_on_a_null_table_is_false_and_duplicates_are_named(monkeypatch):
  monkeypatch.setattr(null, 'verdicts', lambda *_: {'threshold': HELPS, 'mean': CANNOT_TELL})
  monkeypatch.setattr(null, 'folds_of', lambda *_: [null.Fold(0, rows, rows, scores)])
  rows, scores = np.arange(4), dict.fromkeys(null.TRAINED, np.eye(4))
  scores['smote'] = np.eye(4)[[0, 1, 2, 2]]
  found = null.run('logistic', 'duplicates', 0)
  assert found['false'] == {metric: ['threshold'] for metric in null.JUDGED}
  assert found['named']
  assert found['differ'] == 0  # as the other remedies change nothing
  assert not null.run('logistic', 'noise', 0)['named']
