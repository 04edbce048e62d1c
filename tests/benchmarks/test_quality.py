"""Splits are measured as Sechidis et al. define it; rows where ours are worse are marked."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console

from benchmarks import quality
from benchmarks.__main__ import main, read_results
from benchmarks.harness import Measured, Result, run_here


def test_distributions_of_two_splits():
  matrix = np.array([[1, 0], [0, 1], [1, 1], [0, 0], [1, 0], [0, 1]], np.uint8)
  split_of = np.array([0, 0, 0, 0, 1, 1])
  labels, examples = quality.distributions(matrix, split_of, np.array([0.5, 0.5]))
  assert examples == 1  # 4 and 2 records in place of 3 and 3
  # Of 6 records 3 have each label, a ratio of 1, as have 2 of the first 4 and 1 of the last 2.
  assert labels == 0
  moved, _ = quality.distributions(matrix, np.array([0, 0, 0, 1, 0, 1]), np.array([0.5, 0.5]))
  assert moved == pytest.approx(((3 - 1) + 0 + (1 - 0) + 0) / 4)


def test_ours_split_every_table(tmp_path):
  path = tmp_path / 'quality.json'
  arguments = ['quality', '--tiny', '--sides', 'ours', '--json', str(path)]
  assert main([*arguments, '--cache', str(tmp_path / 'cache')], run_here) == 0
  results = read_results(path)
  assert {result.case.name for result in results} >= {'digits by classes'}
  for result in results:
    (run,) = result.runs['ours']
    assert run.records == 1797
    assert run.figures['ED'] < 1


@pytest.mark.parametrize(('ours', 'marked'), [(0.1, False), (0.2, False), (0.3, True)])
def test_rows_where_ours_are_worse_are_marked(ours, marked):
  case = quality.table_case('classes', 'digits')
  runs = {
    side: [Measured(1.0, 1.0, 0, 0, 0.0, records=10, figures={'LD': value, 'ED': 0.0})]
    for side, value in (('ours', ours), ('StratifiedShuffleSplit', 0.2))
  }
  console = Console(file=io.StringIO(), width=200)
  console.print(quality.comparison([Result('quality', case, {}, {}, runs, [])]))
  assert ('worse' in console.file.getvalue()) == marked
