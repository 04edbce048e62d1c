"""The report shows what a model was trained on, from the log of its batches."""

import json

import pytest
from tfx_balance.documents.training_log import LoggedEpoch, LoggedShares, TrainingLog
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import read_run, render_html
from tfx_balance.report.measures import headline
from tfx_balance.report.page import pictures_of
from tfx_balance.report.training_pictures import MOST_LINES, MOST_ROWS, training_picture

from tests.report.helpers_report import NASTY, long_tail, plan_data, write_run


def log_of(n, names=None):
  names = names or [b'class %d' % i for i in range(n)]
  records = tuple(100 + i for i in range(n))
  epochs = tuple(
    LoggedEpoch(10 * e, tuple(k * e for k in records), (e,) * n, (0,) * n) for e in (1, 2, 3)
  )
  changes = (LoggedShares(0, (1 / n,) * n), LoggedShares(15, (1 / n,) * n))
  return TrainingLog('label', tuple(ClassValue('bytes', name) for name in names), epochs, changes)


def write(folder, log):
  (folder / 'training_batches.json').write_text(log.dumps())
  return str(folder)


@pytest.mark.parametrize('n', [2, MOST_LINES, MOST_LINES + 1, 500])
def test_a_log_is_shown_with_its_totals(tmp_path, n):
  html = render_html([write(tmp_path, log_of(n))])
  assert 'Trained on' in html
  assert 'Training batches' in html
  assert 'shares were set 1 times while training' in html
  assert '<td class="n">600</td>' in html or n == 500  # of class 0, the smallest: 6 * 100
  assert ('classes with fewer records are left out' in html) == (n > MOST_ROWS)


def test_names_of_classes_are_as_they_are(tmp_path):
  html = render_html([write(tmp_path, log_of(len(NASTY), list(NASTY)))])
  assert '<script>alert(1)' not in html
  assert '&lt;script&gt;alert(1)' in html
  few = log_of(4, list(NASTY[:4]))
  picture = training_picture(few, 0, 'x')
  assert '&lt;script&gt;' in picture.svg()
  assert picture.svg() == picture.svg()
  assert picture.png()[:4] == b'\x89PNG'


def test_two_logs_have_pictures_of_their_own(tmp_path):
  uris = []
  for name in ('a', 'b'):
    (tmp_path / name).mkdir()
    uris.append(f'{name}={write(tmp_path / name, log_of(3))}')
  view = read_run(uris)
  assert [title for title, _ in view.trainings] == ['a', 'b']
  assert [picture.name for picture in pictures_of(view)] == ['training', 'training-2']
  assert [str(value) for value in view.classes] == ['class 0', 'class 1', 'class 2']


def test_a_log_without_epochs_has_no_picture(tmp_path):
  assert training_picture(TrainingLog(None, (ClassValue('int', 0),), ()), 0, 'x') is None
  assert 'Trained on' in render_html(
    [write(tmp_path, TrainingLog('label', (ClassValue('int', 0),), ()))]
  )


def test_the_imbalance_of_batches_is_that_of_the_log_where_there_is_one(tmp_path):
  counts = long_tail(4, 400)
  uris = write_run(tmp_path, counts)
  uris = [uri for uri in uris if 'BalancedAugmenter' not in uri]
  names = [value.value for value in sorted(counts)]
  epochs = (LoggedEpoch(10, (60, 60, 60, 40), (0,) * 4, (0,) * 4),)
  log = TrainingLog('species', tuple(ClassValue('bytes', name) for name in names), epochs)
  found = headline(read_run([*uris, write(tmp_path, log)]))
  assert (found.after, found.in_batches) == (1.5, True)


def test_records_that_are_laid_out_for_batches_have_no_imbalance_after(tmp_path):
  train = {value: n * 8 for value, n in long_tail(4, 400).items()}
  path = tmp_path / 'gen'
  path.mkdir()
  (path / 'balanced_input.json').write_text(json.dumps(plan_data(train)))
  found = headline(read_run([str(path)]))
  assert found.before == max(train.values()) / min(train.values())
  assert (found.after, found.in_batches) == (None, False)
