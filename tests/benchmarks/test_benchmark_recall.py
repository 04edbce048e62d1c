"""The recall of SMOTE's pools is what it should be where that is known."""

import pytest

from benchmarks import augment_recall


def test_a_pool_of_the_whole_class_finds_all_and_a_smaller_one_about_its_share():
  work = augment_recall.find_recall(1000, [1000, 500, 100])
  whole, half, tenth = work.check(work.run())
  assert (whole['recall'], whole['distance']) == (1, 1)
  assert 0.45 < half['recall'] < 0.55  # 2,500 neighbours, within five standard deviations
  assert 0.06 < tenth['recall'] < 0.14
  assert 1 < half['distance'] < tenth['distance']


def test_pools_without_enough_neighbours_are_refused(capsys):
  with pytest.raises(SystemExit):
    augment_recall.main(['--pool_sizes', '5'])
  assert 'must be above 5, the neighbours' in capsys.readouterr().err
