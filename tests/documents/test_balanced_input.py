"""The plan's JSON comes back as it was, and a wrong one is refused with what to do."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.documents.balanced_input import FileSegment, InputPlan, PlanFile
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue

CAT, DOG, RAW = (
  ClassValue('bytes', b'cat'),
  ClassValue('bytes', b'dog'),
  ClassValue('bytes', b'\xff'),
)


def make_plan(**changes):
  arguments = {
    'label': 'animal',
    'classes': (CAT, DOG, RAW),
    'natural': {'train': (7, 2, 1), 'augmented': (0, 5, 6)},
    'files': (
      PlanFile('Split-train/data_tfrecord-00000-of-00002.gz', (FileSegment(0, 7),), n_bytes=700),
      PlanFile(
        'Split-train/data_tfrecord-00001-of-00002.gz',
        (FileSegment(1, 7), FileSegment(2, 7)),
        n_bytes=1400,
      ),
    ),
    'seed': 3,
  }
  return InputPlan(**{**arguments, **changes})


def test_a_plan_comes_back_from_its_text():
  plan = make_plan()
  assert InputPlan.from_json(plan.dumps()) == plan
  assert InputPlan.from_json(plan.to_json()) == plan
  assert plan.records == (7, 7, 7)


@given(st.sets(st.one_of(st.integers(-5, 5), st.binary(max_size=3)), min_size=1, max_size=6))
def test_classes_of_any_kind_come_back(values):
  kinds = {int: 'int', bytes: 'bytes'}
  classes = tuple(sorted(ClassValue(kinds[type(value)], value) for value in values))
  segments = tuple(FileSegment(i, i + 1) for i in range(len(classes)))
  files = (PlanFile('a', segments, n_bytes=9),)
  plan = make_plan(classes=classes, natural={'train': (1,) * len(classes)}, files=files)
  assert InputPlan.from_json(json.loads(plan.dumps())) == plan


def test_counts_that_contradict_the_files_are_refused():
  data = make_plan().to_json()
  data['classes'][1]['records'] = 8
  with pytest.raises(DataError, match='class dog has 8 records in the plan, and 7 in the files'):
    InputPlan.from_json(sealed(data))


def test_an_empty_class_is_refused():
  files = (PlanFile('a', (FileSegment(0, 7), FileSegment(1, 7)), n_bytes=1),)
  with pytest.raises(DataError, match=r'class \\xff has 0 records in the files'):
    make_plan(files=files)


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'classes': (DOG, CAT, RAW)}, 'class cat follows class dog'),
    ({'classes': (CAT, CAT, RAW)}, 'each once'),
    ({'natural': {}}, 'names no split'),
    ({'natural': {'train': (1, 2)}}, "split 'train' has natural counts"),
  ],
)
def test_what_breaks_a_rule_is_refused(changes, message):
  with pytest.raises(ConfigError, match=message):
    make_plan(**changes)


def test_a_segment_of_an_unknown_class_is_refused():
  with pytest.raises(DataError, match=r'class number 3; it needs .* from 0 to 2'):
    make_plan(files=(PlanFile('a', (FileSegment(3, 1),), n_bytes=1),))


@pytest.mark.parametrize(
  'path', ['', '/etc/x', '../x', 'Split-train/../../x', 'gs://other/x', 'C:\\x', '..\\x', '//x']
)
def test_a_path_that_leaves_the_artifact_is_refused(path):
  with pytest.raises(DataError, match=r'of the plan is not in the artifact; a path must be relat'):
    PlanFile(path, (FileSegment(0, 1),), n_bytes=1)


def test_the_records_of_a_file_are_summed_once():
  # Each of 10,000 classes in a file asks for them.
  class Counted(tuple):
    passes = 0

    def __iter__(self):
      type(self).passes += 1
      return super().__iter__()

  file = PlanFile('a', Counted([FileSegment(0, 2), FileSegment(1, 3)]), n_bytes=9)
  assert [file.records for _ in range(4)] == [5] * 4
  assert Counted.passes == 1
