"""The answer in a notebook: well formed, escaped, and with a picture of each interval."""

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from tfx_balance.compare.answer import Answer
from tfx_balance.compare.answer_html import answer_html
from tfx_balance.compare.arms import ARMS

from tests.compare.helpers_answer import document


def parsed(found):
  return ElementTree.fromstring(answer_html(found))


def cells(tree, table):
  rows = tree.findall('.//table')[table].findall('.//tr')
  return [[' '.join(''.join(cell.itertext()).split()) for cell in row] for row in rows]


def test_it_begins_with_the_recommendation_and_has_what_the_text_has():
  found = document()
  tree = parsed(found)
  assert ''.join(tree.find('.//p').itertext()) == found.sentence
  head, *rows = cells(tree, 0)
  scale = f'-0.043{max(arm.high or 0 for arm in found.arms):+.3f}'
  assert head == ['', 'value', 'gain', 'interval', 'to recommended', 'verdict', scale]
  assert [row[0] for row in rows] == list(ARMS)
  assert rows[1] == [
    *('threshold', '0.580', '-0.020', '[-0.043, +0.003]', '[-0.040, +0.020]', 'harms', '')
  ]
  assert tree.find('.//table//b').text == 'weights_correction'
  assert cells(tree, 1)[0][2:4] == ['recall, natural', 'recall, weights_correction']
  assert cells(tree, 1)[3][:3] == ['class 2', '16,200', '0.231 [0.22, 0.24]']
  assert len(cells(tree, 2)[0]) == 7
  assert [note.text for note in tree.findall('.//li')] == list(found.notes)


def test_pictures_show_gain_interval_and_region_on_one_scale():
  found = document()
  found = replace(found, arms=(*found.arms[:-1], replace(found.arms[-1], low=None, high=None)))
  pictures = parsed(found).findall('.//svg')
  assert len(pictures) == len(ARMS)
  assert {picture.find('path').get('d') for picture in pictures} == {
    pictures[0].find('path').get('d')
  }
  lines = {}
  for arm, picture in zip(found.arms, pictures, strict=True):
    paths = picture.findall('path')
    assert len(paths) == (2 if arm.difference is None else 4)
    if arm.difference is not None:
      low, high = paths[2].get('d').removeprefix('M').split(',9 H')
      lines[arm.name] = float(low), float(high)
      assert 0 <= float(low) <= float(high) <= 220
      middle = float(paths[3].get('transform').removeprefix('translate(').partition(',')[0])
      assert middle == pytest.approx((float(low) + float(high)) / 2, abs=0.1)
  assert lines['threshold'][0] == 6
  assert lines['smote_correction'][0] == lines['smote_correction'][1]  # it has no interval


@pytest.mark.parametrize('n_classes', [2, 100])
def test_names_are_escaped_and_many_classes_are_cut(n_classes):
  found = document(n_classes, 'threshold', '<script>{}</script>', notes=('a < b',))
  html = answer_html(found)
  assert '<script>' not in html
  assert '&lt;script&gt;' in html
  assert ('and 90 more classes' in html) == (n_classes == 100)
  assert len(cells(parsed(found), 1)) == 1 + min(n_classes, 10)


def test_an_answer_without_decisions_or_differences_is_shown():
  found = document(recommended='natural')
  undecided = dict.fromkeys(('tested', 'assigned', 'right', 'confusion'), ())
  arms = tuple(
    replace(arm, **undecided, low=None, high=None, difference=arm.difference and 0.0)
    for arm in found.arms
  )
  tree = parsed(replace(found, arms=arms, equivalence=0.0))
  assert len(tree.findall('.//table')) == 2


def test_a_notebook_shows_it_and_a_repr_is_short():
  answer = Answer(document(), *[None] * 5)
  assert answer._repr_html_() == answer_html(answer.document)
  assert repr(answer) == 'Answer(weights_correction: macro_recall 0.620, +0.020 harms)'
