"""What is recommended, and what is said of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tfx_balance.compare import compare, comparing
from tfx_balance.compare.advice import reason, simplest, to_settle
from tfx_balance.compare.arms import ARMS, Arm
from tfx_balance.compare.judging import Judged
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted
from tfx_balance.compare.trainers import Fold
from tfx_balance.documents.comparison import ComparedArm
from tfx_balance.plan.labels import label_codes

MEASURES = Measures.of(np.array([90, 10]))


def found(metric='macro_recall', collapsed=(), **values):
  confusion = {True: np.array([[9.0, 0], [1, 0]]), False: np.array([[9.0, 0], [0, 1]])}
  return {
    name: Judged({metric: value}, np.zeros(5), np.empty(0), None, confusion[name in collapsed])
    for name, value in values.items()
  }


@pytest.mark.parametrize(
  ('values', 'expected'),
  [
    ({'natural': 0.7, 'threshold': 0.703, 'smote': 0.704}, 'natural'),
    ({'natural': 0.6, 'threshold': 0.7, 'balanced': 0.709}, 'threshold'),
    ({'natural': 0.6, 'threshold': 0.7, 'balanced': 0.711}, 'balanced'),
    ({'natural': 0.6, 'class_weights': 0.7, 'logit_adjusted': 0.702}, 'logit_adjusted'),
    ({'natural': 0.333, 'threshold': 0.067, 'balanced': 0.3}, 'natural'),
  ],
)
def test_the_simplest_of_those_that_are_as_good_as_the_best_is_recommended(values, expected):
  assert simplest(found(**values), MEASURES, 'macro_recall') == expected


def test_less_log_loss_is_better_and_the_region_is_a_part_of_it():
  assert simplest(found('log_loss', natural=0.4, mean=0.396), MEASURES, 'log_loss') == 'natural'
  assert simplest(found('log_loss', natural=0.4, mean=0.37), MEASURES, 'log_loss') == 'mean'


def test_an_arm_that_puts_all_into_one_class_is_not_recommended():
  values = {'natural': 0.5, 'threshold': 0.6}
  assert simplest(found(collapsed=['threshold'], **values), MEASURES, 'macro_recall') == 'natural'


def arm(name, difference=None, verdict=None):
  return ComparedArm(name, ARMS[name].words, {'macro_recall': 0.6}, difference, verdict=verdict)


def test_the_reason_names_what_is_known():
  natural = arm('natural')
  helps, unknown = arm('threshold', 0.1, 'helps'), arm('threshold', 0.1, 'cannot tell')
  words = 'macro recall is 0.100 higher than with natural batches'
  assert reason(helps, [natural, helps], 'macro recall', True) == f'It helps: {words}.'
  assert reason(unknown, [natural, unknown], 'macro recall', True) == (
    f'It is the simplest of the best estimates: {words}, but the data cannot tell that from no '
    f'difference.'
  )
  worse = arm('threshold', -0.1, 'cannot tell')
  assert reason(natural, [natural, worse], 'macro recall', True) == (
    'No remedy has a better macro recall than natural batches.'
  )
  near = arm('threshold', 0.01, 'cannot tell')
  assert reason(natural, [natural, near], 'macro recall', True).endswith(
    'the best estimate, of threshold, is 0.010 better in macro recall.'
  )


@pytest.mark.parametrize(
  ('ends', 'few', 'said'),
  [
    ((-0.1, 0.3), 100, ['About 200 to 800 records of the rarest class would tell']),
    ((-0.01, 0.21), 100, ['About 100 to 250 records']),
    ((0.05, 0.15), 100, []),
    ((-0.9, 1.1), 100, []),
    ((-0.1, 0.3), 9, []),
    ((None, None), 100, []),
  ],
)
def test_records_that_would_tell_grow_with_the_square_of_the_width(ends, few, said):
  arms = [arm('natural'), replace(arm('mean', 0.1, 'cannot tell'), low=ends[0], high=ends[1])]
  found = list(to_settle(arms, 'natural', few))
  assert [note[: len(words)] for note, words in zip(found, said, strict=True)] == said
  assert list(to_settle([replace(one, verdict='helps') for one in arms], 'mean', few)) == []


def test_a_difference_that_is_rounded_to_nothing_has_no_minus():
  found = replace(arm('mean', -0.0004, 'cannot tell'), low=-0.001, high=0.0002)
  (note,) = to_settle([found], 'mean', 100)
  assert 'would tell a difference of +0.000 (mean); there are 100.' in note


class Photos:
  """A trainer whose natural model finds a third of each class, and whose threshold ruins that."""

  def __init__(self, labels, plain):
    self.remedies, self.left_out, self.labels = {'natural': plain}, (), labels

  def folds(self, tasks, processes):
    for task in tasks:
      labels = self.labels[task.tested]
      found = np.where(np.arange(len(labels)) % 3 == 0, labels, 0)
      logits = 3.0 * np.eye(3)[found] - 6.0 * (np.arange(3) == 1)
      yield Fold(
        task.repeat,
        task.tested,
        np.bincount(self.labels[task.trained]),
        {'natural': shifted(logits, 0)},
      )

  def settings(self, arms):
    return {}


def test_photos_are_not_advised_to_be_worse(monkeypatch):
  """Of 212 photos, 8 of the rarest, "Use threshold" lost what natural batches had found."""
  y = np.repeat(['often', 'some', 'rare'], [164, 40, 8])
  labels = label_codes(y)[1].astype(int)
  monkeypatch.setattr(comparing, 'trainer_of', lambda m, x, y, plain, *_: Photos(labels, plain))
  answer = compare(None, np.arange(212)[:, np.newaxis], y, verbose=False)
  values = {arm.name: arm.values['macro_recall'] for arm in answer.document.arms}
  assert values[answer.document.recommended] >= values['natural']
  for one in answer.document.arms:
    for end in (one.low, one.high):
      assert end is None or -1 <= end <= 1
  assert '8 records of the rarest class are too few' in str(answer)


def test_the_remedy_has_the_shift_of_its_arm():
  for name in ARMS:
    shift = ARMS[name].shift(np.log([0.9, 0.1]), np.log([0.9, 0.1]), 1.0)
    moves = ARMS[name].tuned or (ARMS[name].corrected and ARMS[name].q != 1)
    assert bool(np.abs(shift).max() > 0) == moves


@pytest.mark.parametrize('q', [0.0, 0.5, 1.0])
def test_weights_and_losses_are_of_the_shares_that_an_arm_stands_for(q):
  records = np.array([81, 16, 3])
  shares = Arm('', 0, 'weights', q).weights(records) * records
  np.testing.assert_allclose(shares / 100, records**q / (records**q).sum())
  assert Arm('', 0, 'loss', q).tau == 1 - q
  assert Arm('', 0, 'batches', q).tau == 0


def test_the_documentation_lists_each_arm():
  text = (Path(__file__).parents[2] / 'docs/which-remedy.md').read_text(encoding='utf-8')
  names = [
    name for row in re.findall(r'^\| ([a-z_, ]+) \|', text, re.M) for name in row.split(', ')
  ]
  assert sorted(name for name in names if name in ARMS) == sorted(ARMS)
