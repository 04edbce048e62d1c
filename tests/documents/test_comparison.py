"""comparison.json comes back as it was written, with and without intervals."""

import json
from dataclasses import replace

import pytest
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import DataError

from tests.report.test_comparison_pictures import FOUND, NATURAL, UNCLEAR

PATH = '/x/comparison.json'


@pytest.mark.parametrize(
  'found',
  [FOUND, replace(FOUND, arms=(NATURAL, UNCLEAR)), replace(FOUND, notes=())],
  ids=['all verdicts', 'no interval', 'no notes'],
)
def test_a_comparison_comes_back_as_it_was_written(found):
  assert ComparisonDocument.from_json(json.loads(found.dumps()), PATH) == found


def test_an_interval_may_be_left_out_or_null():
  data = FOUND.to_json()
  *_, arm = data['arms']
  assert not arm.keys() & {'low', 'high', 'calibration'}
  arm.update(low=None, high=None, calibration=None)
  assert ComparisonDocument.from_json(sealed(data), PATH) == FOUND


def test_what_was_changed_by_hand_is_an_error():
  data = FOUND.to_json()
  data['recommended'] = 'smote'
  with pytest.raises(DataError, match=PATH):
    ComparisonDocument.from_json(data, PATH)
