"""The answer as text: its columns, and of many classes those that matter."""

import numpy as np
import pytest
from tfx_balance.compare.answer_text import answer_text
from tfx_balance.compare.arms import ARMS

from tests.compare.helpers_answer import document

LONG = 'a class {} of a name that is far too long to be shown in one line of a terminal'


@pytest.mark.parametrize('recommended', ARMS)
@pytest.mark.parametrize(
  ('n_classes', 'name'), [(2, '{}'), (10, LONG), (100, 'class {}'), (1000, LONG)]
)
def test_no_line_is_longer_than_100_columns(recommended, n_classes, name):
  text = answer_text(document(n_classes, recommended, name))
  assert max(map(len, text.splitlines())) <= 100


def test_numbers_stand_below_each_other_and_below_their_heads():
  lines = answer_text(document()).splitlines()
  first = next(i for i, line in enumerate(lines) if 'to recommended' in line)
  table = lines[first : first + 1 + len(ARMS)]
  end = table[0].index('to recommended') + len('to recommended')
  assert {line[end - 1] for line in table[1:] if len(line) > end} == {']', ' '}
  start = table[0].index('verdict')
  assert {line[start - 2 : start] for line in table[2:]} == {'  '}
  (head,) = [i for i, line in enumerate(lines) if line.startswith('weights_correction  records')]
  assert {len(line) for line in lines[head - 1 : head + 4]} == {len(lines[head])}


def test_long_names_are_cut_in_the_middle():
  text = answer_text(document(3, name=LONG))
  assert '\na class 0 … terminal  ' in text
  assert LONG.format(0) not in text


def test_all_of_ten_classes_are_shown_in_their_order_and_of_a_hundred_the_worst():
  ten = answer_text(document(10)).splitlines()
  shown = [line.split('  ')[0] for line in ten if line.startswith('class ')]
  assert shown == [f'class {i}' for i in range(10)] * 2
  assert not any('more classes' in line for line in ten)

  found = document(100)
  recalls = np.divide(found.best.right, found.best.tested).tolist()
  worst = sorted(range(100), key=recalls.__getitem__)[:10]
  lines = answer_text(found).splitlines()
  shown = [line.split('  ')[0] for line in lines if line.startswith('class ')]
  assert shown == [f'class {i}' for i in worst] * 2
  assert lines.count('and 90 more classes, of higher recall with weights_correction') == 2


def test_estimators_have_no_batches():
  assert '; 25 folds, 400 batches of 64, 123 s' in answer_text(document()).replace('\n', ' ')
  found = document(steps=None, batch_size=None)
  assert '; 25 folds, 123 s' in answer_text(found).replace('\n', ' ')
