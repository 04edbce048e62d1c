"""Columns that give the label away, in samples whose size does not grow with the data."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.cli import target_leakage
from tfx_balance.cli.own_contents import Cells, OwnColumn, numbers_of
from tfx_balance.cli.target_leakage import TargetLeakage, areas_under_curves


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 2)), min_size=1, max_size=40))
def test_the_area_is_the_share_of_pairs_in_order(rows):
  values, codes = np.array(rows).T
  areas = areas_under_curves(values, codes, np.ones(len(rows)), 3)
  for one, area in enumerate(areas):
    own, others = values[codes == one].tolist(), values[codes != one].tolist()
    if min(len(own), len(others)) < target_leakage.FEWEST:
      assert np.isnan(area)
    else:
      pairs = [(a > b) + (a == b) / 2 for a, b in itertools.product(own, others)]
      assert area == pytest.approx(sum(pairs) / len(pairs))


def judged(labels, tables, names, block=5_000):
  """What is judged of columns of texts, read a block at a time."""
  columns = [OwnColumn('label', np.inf), *map(OwnColumn, names)]
  leakage = TargetLeakage(columns)
  cells = [np.array(each, 'S') for each in (labels, *tables)]
  for at in range(0, len(labels), block):
    found = [c.add(all_[at : at + block]) for c, all_ in zip(columns, cells, strict=True)]
    leakage.add(found[0], found, lambda i, rows, at=at: numbers_of(cells[i][at : at + block][rows]))
  return leakage


def test_a_sample_of_bounded_size_judges_long_files_in_any_order():
  n = 60_000
  rng = np.random.default_rng(2)
  labels = np.where(np.arange(n) % 50 == 3, 'rare', 'common')
  rare = labels == 'rare'
  # Numbers of the rows differ between the first records of the classes, and not between all.
  tables = [np.arange(n) * 7, rng.random(n) + 0.95 * rare, rng.random(n) + 0.5 * rare]
  leakage = judged(labels, tables, ['id', 'leak', 'signal'])
  assert len(leakage._codes) <= target_leakage.SAMPLE
  assert sum(map(len, leakage._numbers)) == len(leakage._codes)
  (note,) = leakage.notes(['id', 'leak', 'signal'], 'label')
  assert "away: 'leak' (AUC of its numbers 0.99" in note
  areas = areas_under_curves(tables[2], rare.astype(int), np.ones(n), 2)
  numbers = np.concatenate(leakage._numbers)[:, 3]
  weights = (leakage._records / np.bincount(leakage._codes))[leakage._codes]
  sampled = areas_under_curves(numbers, leakage._codes, weights, 2)
  rare_at = list(leakage._classes).index('rare')
  assert sampled[rare_at] == pytest.approx(areas[1], abs=0.03)  # 3 standard deviations of 1,200


def test_a_value_counts_if_its_records_are_of_one_class_in_all_rows():
  labels = ['a'] * 30 + ['b'] * 70
  own, shared = ['v'] * 30 + ['w'] * 70, ['v'] * 30 + ['w'] * 69 + ['v']
  assert "'own' (100% of 'a' have values of their own, such as 'v')" in str(
    judged(labels, [own], ['own'], 10).notes(['own'], 'label')
  )
  assert judged(labels, [shared], ['shared'], 10).notes(['shared'], 'label') == []
  few = ['v'] * 9 + [f'u{i}' for i in range(91)]
  assert judged(labels, [few], ['few'], 10).notes(['few'], 'label') == []


def test_a_label_of_too_many_classes_is_not_judged():
  labels = [f'k{i}' for i in range(target_leakage.MOST_CLASSES + 1)] * 20
  assert judged(labels, [labels], ['same'], 300).notes(['same'], 'label') == []


def test_cells_are_those_of_the_rows():
  column = OwnColumn('x')
  found = column.add(np.array([b'b', b'a', b'b']))
  assert isinstance(found, Cells)
  assert [found.distinct[code] for code in found.codes] == ['b', 'a', 'b']
