"""Documents with a right checksum and values that no component wrote: read, or refused by name."""

import random

import pytest
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.page import render_page
from tfx_balance.report.run_view import merge
from tfx_balance.report.sources import findings_of

from tests.report.helpers_report import (
  balance_data,
  changed,
  checks_data,
  places_of,
  plan_data,
  recall_data,
  split_data,
)
from tests.report.test_comparison_pictures import DECIDED

COUNTS = {
  ClassValue('bytes', b'a'): 100,
  ClassValue('bytes', b'b'): 10,
  ClassValue('bytes', b'c'): 2,
}
SPLIT = split_data(COUNTS)
DOCUMENTS = {
  'split': SPLIT,
  'balance': balance_data(COUNTS),
  'recall': recall_data(COUNTS, 2),
  'checks': checks_data(SPLIT, False),
  'plan': plan_data(COUNTS),
  'comparison': DECIDED.to_json(),
}
HOSTILE = [10**400, 2**63, 10**19, -(10**19), -1, 0, 1e308, -1e308, 5e-324, '', [], {}, None, True]


@pytest.mark.parametrize('name', DOCUMENTS)
def test_a_value_that_nobody_wrote_is_shown_or_refused(name):
  data = DOCUMENTS[name]
  places = [place for place in places_of(data) if place[0] not in ('checksum', 'format', 'version')]
  draw = random.Random(name)
  n_refused = 0
  for place, value in draw.sample([(p, v) for p in places for v in HOSTILE], 25):
    try:
      found = findings_of(sealed(changed(data, place, value)), 'the file')
      assert '<html' in render_page(merge([found]))
    except DataError as error:
      n_refused += 'the file' in str(error)
  assert n_refused


@pytest.mark.parametrize('recall', [1.5, -0.1, 1e308])
def test_a_recall_that_is_no_share_is_refused(recall):
  data = changed(DOCUMENTS['recall'], ('models', 0, 'recall', 0, 'recall'), recall)
  with pytest.raises(DataError, match='must be'):
    findings_of(sealed(data), 'recall.json')


def test_a_changed_recall_is_told_from_the_one_that_was_written():
  data = changed(DOCUMENTS['recall'], ('models', 0, 'recall', 0, 'recall'), 0.123)
  with pytest.raises(DataError, match=r'recall\.json has the checksum .*damaged or edited'):
    findings_of(data, 'recall.json')
  del data['checksum']  # people write it too
  assert findings_of(data, 'recall.json').models
