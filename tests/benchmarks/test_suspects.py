"""The benchmark of suspects makes labels wrong, and counts those that are found."""

from __future__ import annotations

import numpy as np
import pytest
from tfx_balance.compare.suspects import Suspect

from benchmarks import suspects
from benchmarks.__main__ import main, read_results
from benchmarks.harness import Case, Measured, Result, run_here
from benchmarks.remedies import MADE, read_or_make


def test_all_cases_are_printed(tmp_path, capsys):
  path = tmp_path / 'suspects.json'
  arguments = ['suspects', '--tiny', '--json', str(path), '--cache', str(tmp_path / 'cache')]
  assert main(arguments, run_here) == 0
  for result, wrong in zip(read_results(path), (2, 4, 3, 6), strict=True):  # of 30, to the nearest
    (found,) = result.runs['ours'][0].result
    assert 0 < found['ours'] <= found['possible'] == wrong
  assert 'linear, 10 % wrong' in capsys.readouterr().out


@pytest.mark.parametrize('both', [False, True])
def test_what_is_found_is_what_was_made_wrong(monkeypatch, both):
  _, truth = read_or_make(MADE)
  seen = {}

  def log_p_of(model, x, labels, seed):
    seen['labels'] = labels
    return np.zeros((len(labels), 2))

  def ranked(log_p, labels, n):
    rows = np.flatnonzero(labels != truth)[1:]
    return [Suspect(row, 0, 1, 0.0) for row in [*rows, *[len(labels) - 1] * n][:n]]

  monkeypatch.setattr(suspects, 'log_p_of', log_p_of)
  monkeypatch.setattr(suspects, 'suspects', ranked)
  assert suspects.found('linear', MADE, 0.2, both, 0) == {
    'ours': 5 + 6 * both,
    'possible': 6 + 6 * both,
  }
  changed = seen['labels'] != truth
  assert np.bincount(truth[changed], minlength=2).tolist() == [6 * both, 6]


def test_shares_are_of_all_tables_together():
  runs = (
    [{'ours': 1, suspects.RANKED: 2, suspects.ISSUES: 0, 'possible': 4}],
    [{'ours': 5, suspects.RANKED: 4, suspects.ISSUES: 3, 'possible': 6}],
  )
  results = [
    Result(
      'suspects',
      Case(f'linear, 5 % wrong, {name}', 1, {}, (), ('ours',)),
      {},
      {},
      {'ours': [Measured(1, 1, 1, 1, 0, result=own)]},
      [],
    )
    for name, own in zip('ab', runs, strict=True)
  ]
  table = suspects.comparison(results)
  cells = [list(column.cells) for column in table.columns]
  assert cells == [['linear, 5 % wrong'], ['10'], ['60'], ['60'], ['30'], ['1 of 2']]
