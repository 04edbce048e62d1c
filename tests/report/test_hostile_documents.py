"""Documents with a right checksum and values that no component wrote: read, or refused by name."""

import copy
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
  checks_data,
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


def paths_of(data, path=()):
  """Yields where each value of JSON data is."""
  items = (
    data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
  )
  for key, value in items:
    yield (*path, key)
    yield from paths_of(value, (*path, key))


def changed(data, path, value):
  found = inner = copy.deepcopy(data)
  for key in path[:-1]:
    inner = inner[key]
  inner[path[-1]] = value
  return sealed(found)


@pytest.mark.parametrize('name', DOCUMENTS)
def test_a_value_that_nobody_wrote_is_shown_or_refused(name):
  data = DOCUMENTS[name]
  paths = [path for path in paths_of(data) if path[0] not in ('checksum', 'format', 'version')]
  draw = random.Random(name)
  n_refused = 0
  for path, value in draw.sample([(p, v) for p in paths for v in HOSTILE], 25):
    try:
      assert '<html' in render_page(merge([findings_of(changed(data, path, value), 'the file')]))
    except DataError as error:
      n_refused += 'the file' in str(error)
  assert n_refused


@pytest.mark.parametrize('recall', [1.5, -0.1, 1e308])
def test_a_recall_that_is_no_share_is_refused(recall):
  data = copy.deepcopy(DOCUMENTS['recall'])
  data['models'][0]['recall'][0]['recall'] = recall
  with pytest.raises(DataError, match='must be'):
    findings_of(sealed(data), 'recall.json')


def test_a_changed_recall_is_told_from_the_one_that_was_written():
  data = copy.deepcopy(DOCUMENTS['recall'])
  data['models'][0]['recall'][0]['recall'] = 0.123
  with pytest.raises(DataError, match=r'recall\.json has the checksum .*damaged or edited'):
    findings_of(data, 'recall.json')
  del data['checksum']  # people write it too
  assert findings_of(data, 'recall.json').models
