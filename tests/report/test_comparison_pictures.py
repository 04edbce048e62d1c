"""The report shows which remedy helped, from the file that the answer of a comparison saves."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.compare.comparing import decisions_of
from tfx_balance.documents.comparison import (
  COMPARISON_NAME,
  Calibration,
  ComparedArm,
  ComparisonDocument,
  Gap,
)
from tfx_balance.documents.decisions import decided_classes
from tfx_balance.documents.json_document import sealed
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import read_run, render_html, render_report
from tfx_balance.report.__main__ import main
from tfx_balance.report.page import pictures_of

from tests.report.helpers_report import NASTY, long_tail, write_run

VALUES = {'macro_recall': 0.6581, 'log_loss': 0.4813}
NATURAL = ComparedArm('natural', 'natural batches', VALUES, calibration=Calibration(0.02, 0.97))
HELPING = ComparedArm(
  'threshold',
  'natural batches with a threshold',
  {'macro_recall': 0.7221, 'log_loss': 0.5424},
  difference=0.064,
  low=0.0141,
  high=0.1139,
  verdict='helps',
  calibration=Calibration(-0.85, 0.96),
)
ALIKE = replace(
  HELPING,
  name='correction',
  difference=-0.0001,
  low=-0.016,
  high=0.0159,
  verdict='no practical difference',
)
HARMING = replace(HELPING, name='smote', difference=-0.1, low=-0.15, high=-0.05, verdict='harms')
UNCLEAR = replace(
  HELPING, name='balanced', low=None, high=None, verdict='cannot tell', calibration=None
)
FOUND = ComparisonDocument(
  metric='macro_recall',
  metric_words='macro recall',
  classes=(ClassValue('bytes', b'healthy'), ClassValue('bytes', b'ill')),
  records=(1055, 429),
  equivalence=0.02,
  confidence=0.95,
  folds=25,
  steps=400,
  batch_size=64,
  seed=0,
  seconds=115.5,
  arms=(NATURAL, HELPING, ALIKE, HARMING, UNCLEAR),
  recommended='threshold',
  reason='It helps: macro recall is 0.064 higher than with natural batches.',
  notes=('Its probabilities are worse.',),
)
DECIDED = replace(
  FOUND,
  steps=None,
  batch_size=None,
  arms=(
    replace(NATURAL, **decisions_of(np.array([[1000.5, 54.5], [300.2, 128.8]]))),
    replace(HELPING, **decisions_of(np.array([[900.0, 155.0], [100.0, 329.0]]))),
    replace(ALIKE, to_recommended=Gap(-0.064, -0.1, -0.02)),
    replace(UNCLEAR, to_recommended=Gap(0.0)),
  ),
)
"""Of estimators, which know their steps themselves."""


def write(folder, found=FOUND):
  folder.mkdir(exist_ok=True)
  (folder / COMPARISON_NAME).write_text(found.dumps())
  return str(folder)


def texts_of(html):
  """Returns the texts of the page, without tags and styles, in one line."""
  plain = re.sub(r'<style>.*?</style>|<[^>]*>', ' ', html, flags=re.DOTALL)
  return ' '.join(plain.split())


def test_a_comparison_alone_is_a_report(tmp_path):
  html = render_html([write(tmp_path)])
  page = texts_of(html)
  assert html == render_html([str(tmp_path / COMPARISON_NAME)])
  for expected in (
    'Which remedy threshold natural batches with a threshold, recommended for macro recall helps '
    'It helps',
    f'{FOUND.sentence} Its probabilities are worse.',
    'natural natural batches 0.658 - - threshold',
    'threshold natural batches with a threshold 0.722 +0.064 +0.014 to +0.114 helps',
    '+0.000 -0.016 to +0.016 no practical difference',
    '-0.100 -0.150 to -0.050 harms',
    '0.722 +0.064 - cannot tell',
    '1,484 records of 2 classes, 429 of the rarest; 25 folds, 400 batches of 64 each.',
    'natural 0.658 0.481 0.02 0.97 threshold 0.722 0.542 -0.85 0.96',
    'balanced 0.722 0.542 - - ',
    'threshold: intercept -0.85, slope 0.96.',
    'balanced: +0.064, cannot tell.',
    'Calibration of the probabilities of ill , the rarest class.',
    'classes 2 checks not checked',
  ):
    assert expected in page


def test_what_people_decide_with_is_shown(tmp_path):
  page = texts_of(render_html([write(tmp_path, DECIDED)]))
  for expected in (
    'remedy what it is macro recall gain interval to threshold verdict',
    '+0.064 +0.014 to +0.114 - helps',
    '+0.000 -0.016 to +0.016 -0.100 to -0.020 no practical difference',
    '429 of the rarest; 25 folds. A gain',
    'Decisions of natural on each class class records found recall precision wrongly, per 1,000',
    'ill 429 128.8 0.300 [0.26, 0.35] 0.703 [0.63, 0.76] 51.7',
    'ill 429 329.0 0.767 [0.72, 0.80] 0.680 [0.64, 0.72] 146.9',
  ):
    assert expected in page


def test_of_many_classes_those_of_the_worst_recall_are_shown(tmp_path):
  n = 100
  square = np.full((n, n), 1.0)
  np.fill_diagonal(square, np.random.default_rng(0).permutation(n))
  classes = tuple(ClassValue('bytes', b'class %d' % i) for i in range(n))
  arms = [replace(arm, **decisions_of(square)) for arm in (NATURAL, HELPING)]
  found = replace(FOUND, classes=classes, records=(200,) * n, arms=tuple(arms))
  worst = np.argsort(square.diagonal())[:10].tolist()
  assert decided_classes(found) == worst
  html = render_html([write(tmp_path, found)])
  assert html.count('and 90 more classes, of higher recall with threshold') == 2
  for i in range(n):
    assert html.count(f'<bdi>class {i}</bdi></th>') == 2 * (i in worst)


def test_a_file_of_the_first_release_is_still_shown(tmp_path):
  data = FOUND.to_json()
  old = ('name', 'words', 'values', 'difference', 'low', 'high', 'verdict', 'calibration')
  assert data['version'] == 1
  data.pop('shift', None)
  data['arms'] = [{key: arm[key] for key in arm if key in old} for arm in data['arms']]
  (tmp_path / COMPARISON_NAME).write_text(json.dumps(sealed(data)))
  page = texts_of(render_html([str(tmp_path)]))
  assert FOUND.sentence in page
  assert 'Decisions of' not in page
  assert 'remedy what it is macro recall gain interval verdict' in page


def test_pictures_say_the_verdict_in_words_and_are_drawn_narrow_too(tmp_path):
  view = read_run([write(tmp_path)])
  gains, calibration = pictures_of(view)
  for picture in (gains, calibration):
    for drawn in (picture.svg(), picture.svg(narrow=True)):
      assert '>threshold<' in drawn
      assert drawn.count('>natural<') == (picture is calibration)
  for verdict in ('helps', 'harms', 'no practical difference', 'cannot tell'):
    assert f'>{verdict}<' in gains.svg()
  assert gains.svg() == gains.svg()
  html = render_html([str(tmp_path)])
  assert html.count('<figure class="narrow">') == 2
  # One that has no interval is a point without a line.
  assert gains.svg().count('LineCollection') == 3


@pytest.mark.parametrize(
  ('arms', 'names'),
  [
    ((NATURAL, HELPING), ['remedies', 'calibration']),
    ((NATURAL, UNCLEAR), ['remedies', 'calibration']),
    ((replace(NATURAL, calibration=None), UNCLEAR), ['remedies']),
    ((NATURAL,), ['calibration']),
  ],
)
def test_what_was_not_measured_is_not_drawn(tmp_path, arms, names):
  uri = write(tmp_path, replace(FOUND, arms=arms, recommended='natural', reason='Nothing helps.'))
  assert [picture.name for picture in pictures_of(read_run([uri]))] == names
  page = texts_of(render_html([uri]))
  assert 'natural batches, recommended for macro recall no remedy Nothing helps.' in page
  assert 'Use natural (natural batches). Nothing helps.' in page
  assert ('the rarest class.' in page) == ('calibration' in names)


def test_it_stands_beside_what_a_run_published(tmp_path):
  counts = long_tail(5)
  uris = write_run(tmp_path / 'run', counts)
  first, second = write(tmp_path / 'a'), write(tmp_path / 'b')
  view = read_run([*uris, f'small={first}', second])
  assert [title for title, _ in view.comparisons] == ['Which remedy: small', 'Which remedy']
  assert view.classes == read_run(uris).classes
  names = [picture.name for picture in pictures_of(view)]
  assert names[-4:] == ['remedies', 'calibration', 'remedies-2', 'calibration-2']
  html = render_html([*uris, f'small={first}', second])
  ids = re.findall(r'\bid="([^"]+)"', html)
  assert len(ids) == len(set(ids))
  page = texts_of(html)
  assert 'Recall of each class' in page
  assert f'Which remedy: small {first}' in page


def test_texts_are_as_they_are(tmp_path):
  script = NASTY[0].decode()
  classes = (ClassValue('bytes', NASTY[6]), ClassValue('bytes', NASTY[0]))
  natural, helping = DECIDED.arms[:2]
  arms = (natural, replace(helping, name=script, words=script))
  found = replace(
    DECIDED, classes=classes, arms=arms, recommended=script, reason=script, notes=(script,)
  )
  html = render_html([write(tmp_path, replace(found, metric_words=script))])
  assert '<script>' not in html
  assert html.count('&lt;script&gt;alert(1)') > 8


def test_the_command_writes_it_with_its_pictures(tmp_path, capsys):
  page = tmp_path / 'page.html'
  assert main([write(tmp_path), '-o', str(page), '--pictures', 'png']) == 0
  assert 'Which remedy' in page.read_text('utf-8')
  names = [line.rsplit('/', 1)[1] for line in capsys.readouterr().out.split()]
  assert names == ['page.html', 'page-remedies.png', 'page-calibration.png']
  (tmp_path / COMPARISON_NAME).unlink()
  (tmp_path / 'other.json').write_text(FOUND.dumps())
  assert render_report([str(tmp_path / 'other.json')], str(page)) == [str(page)]
