"""comparison.json comes back as it was written, with and without intervals."""

import json
from dataclasses import replace

import pytest
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import DataError

from tests.compare.helpers_answer import document
from tests.report.test_comparison_pictures import DECIDED, FOUND, HELPING, NATURAL, UNCLEAR

PATH = '/x/comparison.json'


@pytest.mark.parametrize(
  'found',
  [
    FOUND,
    replace(FOUND, arms=(NATURAL, UNCLEAR), recommended='balanced'),
    replace(FOUND, notes=()),
    DECIDED,
  ],
  ids=['all verdicts', 'no interval', 'no notes', 'decisions'],
)
def test_a_comparison_comes_back_as_it_was_written(found):
  assert ComparisonDocument.from_json(json.loads(found.dumps()), PATH) == found


def test_of_a_thousand_classes_it_has_no_confusion_of_each_two():
  assert len(document(50).best.confusion) == 50
  assert document(51).best.confusion == ()
  assert len(document(1000).dumps()) < 300_000


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


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'recommended': 'other'}, "recommended='other' is not one of the arms"),
    ({'records': (1,)}, 'records has 1 numbers for 2 classes'),
    ({'classes': (), 'records': ()}, 'records has 0 numbers for 0 classes'),
    ({'arms': (replace(HELPING, confusion=((1.0, 2.0),)),)}, 'must be 2 rows of 2 numbers'),
    ({'arms': (replace(HELPING, confusion=((1.0, 2.0), (3.0,))),)}, 'must be 2 rows of 2'),
    ({'arms': (replace(HELPING, confusion=((1.0, 2.0), (-3.0, 1.0))),)}, 'must be 2 rows of 2'),
    ({'arms': (replace(HELPING, right=(1.0, 2.0)),)}, 'tested of threshold must be 2 numbers'),
    ({'arms': (replace(DECIDED.best, right=(-1.0, 2.0)),)}, 'right of threshold must be 2 numbers'),
  ],
)
def test_parts_that_do_not_fit_are_an_error(changes, message):
  with pytest.raises(DataError, match=message):
    replace(FOUND, **changes)
