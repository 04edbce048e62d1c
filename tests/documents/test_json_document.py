"""Damaged JSON is named by its path, whatever is wrong with it, and by every reader."""

import hashlib
import json
import random
import re
import traceback
from collections import Counter
from functools import partial

import pytest
from tfx_balance import seal_document
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.documents.batch_state import BatchState
from tfx_balance.documents.class_checks import ClassChecks
from tfx_balance.documents.class_distribution import ClassDistribution, WrittenSplits, check_files
from tfx_balance.documents.json_document import parse_json, sealed
from tfx_balance.documents.training_log import LoggedEpoch, TrainingLog
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.run_view import merge
from tfx_balance.report.sources import findings_of

from tests.report.helpers_report import (
  DELETED,
  balance_data,
  changed,
  checks_data,
  places_of,
  plan_data,
  recall_data,
  split_data,
)

PATH = '/x/document.json'
COUNTS = {ClassValue('bytes', b'a'): 30, ClassValue('int', 7): 10}
SPLIT = split_data(COUNTS)
FORMAT = ClassDistribution.FORMAT
OTHERS = (None, 'x', -1, 1.5, float('nan'), True, [], {}, [1], {'type': 'int', 'value': 'x'})


def report(data):
  merge([findings_of(data, PATH)], 'species')


def count(data):
  found = ClassDistribution.from_json(data, PATH)
  if found.tallies('species', ['train', 'eval']):
    sizes = {name: split.file_bytes or {} for name, split in found.splits.items()}
    check_files(found.splits, sizes, PATH)


def count_splits(data):
  WrittenSplits.from_json(data, PATH)


def plan(data):
  InputPlan.from_json(data, PATH)


READERS = [
  pytest.param(report, SPLIT, id='report, split'),
  pytest.param(report, balance_data(COUNTS), id='report, balanced'),
  pytest.param(report, checks_data(SPLIT, blessed=False), id='report, checks'),
  pytest.param(report, plan_data(COUNTS), id='report, plan'),
  pytest.param(report, recall_data(COUNTS, 1), id='report, recall'),
  pytest.param(count, SPLIT, id='validator'),
  pytest.param(count_splits, SPLIT, id='input'),
  pytest.param(plan, plan_data(COUNTS), id='plan'),
]


def damaged(data):
  """Yields the data without each of its parts, and with each replaced; the checksum fits."""
  data = json.loads(json.dumps(data))
  for place in places_of(data):
    for other in (DELETED, *OTHERS):
      found = changed(data, place, other)
      yield sealed(found) if 'checksum' in data and place != ('checksum',) else found


@pytest.mark.parametrize(('read', 'data'), READERS)
def test_what_is_damaged_is_read_or_named(read, data):
  found = Counter(map(partial(fault_of, read), damaged(data)))
  assert found.pop('named') > 100
  found.pop('read', None)
  assert found == {}


def fault_of(read, data):
  """Returns 'read', 'named', or what was raised without a name."""
  try:
    read(data)
  except Exception as error:
    is_named = isinstance(error, DataError) and PATH in str(error)
    return 'named' if is_named else ''.join(traceback.format_exception(error)[-3:])
  return 'read'


@pytest.mark.parametrize(('read', 'data'), READERS)
def test_what_is_cut_is_named(read, data):
  text = json.dumps(data)
  read(text)
  for end in range(0, len(text), 7):
    with pytest.raises(DataError, match=f'^{PATH} is not JSON .*; run the component that wrote it'):
      read(text[:end])


@pytest.mark.parametrize(
  'text',
  [b'\xff', b'[' * 100_000, b'{"a": NaN}', b''],
  ids=['no UTF-8', 'deep', 'NaN', 'empty'],
)
def test_what_is_no_json_is_named(text):
  with pytest.raises(DataError, match=f'^{PATH} is not JSON'):
    parse_json(text, PATH)


@pytest.mark.parametrize('version', [3, 0, None, 'x'])
def test_a_version_that_is_not_known_is_named(version):
  data = {**SPLIT, 'version': version}
  fault = re.escape(f'{PATH} has version {version!r} of {FORMAT}, and this tfx-balance ')
  with pytest.raises(DataError, match=fault + r'reads versions up to 2; upgrade tfx-balance, or'):
    ClassDistribution.from_json(data, PATH)


def test_another_document_is_named():
  with pytest.raises(DataError, match=f"^{PATH} has the format '{FORMAT}', which is not"):
    ClassChecks.from_json(SPLIT, PATH)


@pytest.mark.parametrize(
  ('change', 'fault'),
  [
    pytest.param(
      lambda data: data['strata'][0]['splits']['train'].update(records=99),
      r"split 'train' has 32 records, and its strata \d+; run",
      id='counts',
    ),
    pytest.param(
      lambda data: data['strata'][1]['splits'].update(new={'records': 0}),
      r'strata\[1\] is of 1 classes in splits .*, in no split but',
      id='split',
    ),
    pytest.param(
      lambda data: data['strata'][0]['stratum'].clear(), r'strata\[0\] is of 0 cl', id='class'
    ),
  ],
)
def test_a_sidecar_that_contradicts_itself_is_refused(change, fault):
  data = json.loads(json.dumps(SPLIT))
  change(data)
  with pytest.raises(DataError, match=f'^{PATH} is not whole: {fault}'):
    ClassDistribution.from_json(sealed(data), PATH)


LOG = TrainingLog('species', tuple(COUNTS), (LoggedEpoch(3, (4, 2), (0, 1), (0, 0)),))
STATE = BatchState(10, 24, 'exact', 3, 10, 1, (60, 28), 'x', (1, 1), (0, 0), (12, 12), (0, 0))
CHECKS = ClassChecks.from_json(checks_data(SPLIT, blessed=True), PATH)
SEALED = {
  'plan': InputPlan.from_json(plan_data(COUNTS)),
  'sidecar': ClassDistribution.from_json(SPLIT, PATH),
  'checks': CHECKS,
  'training log': LOG,
  'batch state': STATE,
}


@pytest.mark.parametrize('document', SEALED.values(), ids=SEALED)
def test_a_changed_byte_is_named_or_changes_no_value(document):
  kind, text, rng = type(document), document.dumps().encode(), random.Random(30)
  assert kind.from_json(text, PATH) == document
  named = 0
  for _ in range(300):
    at = rng.randrange(len(text))
    flipped = text[:at] + bytes([text[at] ^ rng.randrange(1, 256)]) + text[at + 1 :]
    try:
      found = kind.from_json(flipped, PATH)
    except DataError as error:
      assert str(error).startswith(PATH), error  # noqa: PT017
      named += 1
    else:
      assert found == document
      assert json.loads(flipped) == json.loads(text)
  assert named > 200


@pytest.mark.parametrize('document', SEALED.values(), ids=SEALED)
def test_a_document_of_this_version_has_a_checksum_and_an_older_one_need_not(document):
  kind, data = type(document), json.loads(document.dumps())
  del data['checksum']
  plain = json.loads(
    json.dumps(data), parse_float=lambda x: (float(x), int(float(x)))[x[-2:] == '.0']
  )
  text = json.dumps(plain, sort_keys=True, separators=(',', ':'), ensure_ascii=False)
  assert sealed(data)['checksum'] == hashlib.sha256(text.encode()).hexdigest()
  with pytest.raises(
    DataError, match=f'^{PATH} has no checksum, and its values come to [0-9a-f]{{12}}…: '
  ):
    kind.from_json(data, PATH)
  assert kind.from_json({**data, 'version': 1}, PATH) == document


def test_numbers_may_be_written_in_another_way():
  data = sealed(
    {'format': FORMAT, 'version': 2, 'a': 3.0, 'b': [{'c': -0.0, 'd': 1e22, 'e': '1.0'}]}
  )
  other = {**data, 'a': 3, 'b': [{'c': 0, 'd': 10.0**22, 'e': '1.0'}]}
  assert sealed(other)['checksum'] == data['checksum']
  assert sealed({**other, 'b': [{**other['b'][0], 'e': '1'}]})['checksum'] != data['checksum']


def test_an_edit_on_purpose_is_sealed(tmp_path):
  path = tmp_path / 'class_distribution.json'
  path.write_text(json.dumps({**SPLIT, 'warnings': ['mine: größer']}))
  message = (
    r'class_distribution\.json has the checksum [0-9a-f]{12}…, .*edited.*seal_document\(path'
  )
  with pytest.raises(DataError, match=message):
    ClassDistribution.from_json(path.read_bytes(), str(path))
  seal_document(str(path))
  assert ClassDistribution.from_json(path.read_bytes(), str(path)).warnings == ('mine: größer',)
