"""Records that are kept parsed give the batches of those that are kept serialized."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.inputs.parsing import RecordForm
from tfx_balance.inputs.record_files import read_all

from tests.inputs.helpers_inputs import write_artifact

COUNTS = (150, 40, 7)
X, ID, LABEL, DEFAULT = 3, 'id', 'label', 7.5
SPEC = {
  'x': tf.io.FixedLenFeature([X], tf.float32),
  'id': tf.io.FixedLenFeature([], tf.int64),
  'y': tf.io.FixedLenFeature([1], tf.float32, default_value=[DEFAULT]),
  'label': tf.io.FixedLenFeature([], tf.int64),
}
SHARES = pytest.mark.parametrize('share', [0, 0.8, 9], ids=['streamed', 'part streamed', 'held'])


def ints(*values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def floats(*values):
  return tf.train.Feature(float_list=tf.train.FloatList(value=values))


def serialized(features):
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def table_row(record, label):
  """Returns an example; the 'y' of some is left to its default."""
  features = {'x': floats(*(record + np.arange(X) / 4)), 'id': ints(record), 'label': ints(label)}
  return serialized({**features, 'y': floats(record)} if record % 40 < 30 else features)


def write(root, make=table_row):
  """Writes an artifact and returns the bytes of its records."""
  return sum(file.n_bytes for file in write_artifact(root, COUNTS, per_file=10, make=make).files)


def read(batches, n):
  return [
    ({name: values.numpy().tolist() for name, values in features.items()}, label.numpy().tolist())
    for features, label in batches.take(n)
  ]


@SHARES
@pytest.mark.parametrize('strategy', ['exact', 'natural'])
def test_batches_are_the_same_in_both_forms(tmp_path, monkeypatch, share, strategy):
  size, forms = write(tmp_path), []
  real = RecordForm.of.__func__

  def seen(cls, *arguments):
    forms.append(real(cls, *arguments))
    return forms[-1]

  made = BalancedInputs.load(str(tmp_path), SPEC, memory_budget=int(share * size))
  monkeypatch.setattr(RecordForm, 'of', classmethod(seen))
  parsed = read(made.train(12, strategy), 40)
  assert all(form.parsed for form in forms)
  monkeypatch.setattr(RecordForm, 'of', classmethod(lambda cls, spec, most: cls(spec)))
  assert parsed == read(made.train(12, strategy), 40)
  for features, labels in parsed:
    ids = np.array(features['id'])
    assert features['x'] == (ids[:, None] + np.arange(X) / 4).tolist()
    assert features['y'] == np.where(ids % 40 < 30, ids, DEFAULT)[:, None].tolist()
    assert labels == (np.searchsorted(np.cumsum(COUNTS), ids, side='right')).tolist()


def test_records_of_identical_layout_are_not_given_to_the_parser(tmp_path, monkeypatch):
  def of_one_length(record, label):
    return serialized({'x': floats(*[record] * X), 'id': ints(record), 'label': ints(label)})

  spec = {name: SPEC[name] for name in ('x', 'id', 'label')}
  write_artifact(tmp_path, (60, 20), per_file=10, make=of_one_length)
  monkeypatch.setattr(RecordForm, 'keep', None)
  streamed = BalancedInputs.load(str(tmp_path), spec, memory_budget=0)
  with pytest.warns(UserWarning, match='raise memory_budget='):
    batches = streamed.train(8)
  assert {i for features, _ in read(batches, 30) for i in features['id']} == set(range(80))


def test_records_that_would_be_larger_when_parsed_stay_serialized(tmp_path):
  def many_ints(record, label):
    return serialized({'x': ints(*[record % 100] * 50), 'id': ints(record), 'label': ints(label)})

  write(tmp_path, many_ints)
  spec = {**SPEC, 'x': tf.io.FixedLenFeature([50], tf.int64)}
  made = BalancedInputs.load(str(tmp_path), spec)
  assert not made.source._form(spec).parsed
  assert made.source._form({name: spec[name] for name in (ID, LABEL)}).parsed
  for features, _ in made.train(12).take(20):
    expected = np.repeat(features['id'].numpy()[:, None] % 100, 50, axis=1)
    assert features['x'].numpy().tolist() == expected.tolist()


@SHARES
def test_each_dataset_keeps_its_feature_spec(tmp_path, share):
  size = write(tmp_path)
  made = BalancedInputs.load(str(tmp_path), memory_budget=int(share * size))
  specs = [{name: SPEC[name] for name in names} for names in ((ID, LABEL), ('x', LABEL))]
  first, second = (made.train(12, feature_spec=spec) for spec in specs)
  ids, rows = read(first, 20), read(second, 20)
  assert ids == read(first, 20)
  for (features, label), (others, same) in zip(ids, rows, strict=True):
    assert label == same
    assert [row[0] for row in others['x']] == features['id']


@SHARES
def test_a_record_that_the_feature_spec_does_not_fit_is_named(tmp_path, share):
  def one_without(record, label):
    return table_row(record, label) if record != 7 else serialized({'label': ints(label)})

  size = write(tmp_path, one_without)
  made = BalancedInputs.load(str(tmp_path), SPEC, memory_budget=int(share * size))
  assert made.source._form(SPEC).parsed
  message = r'-00000-of-\S* has a record that the feature spec does not fit .*; give the spec of'
  with pytest.raises((DataError, tf.errors.InvalidArgumentError), match=message):
    read(made.train(12), 40)


def test_files_are_read_again_only_for_another_form(tmp_path, monkeypatch):
  write(tmp_path)
  made, reads = BalancedInputs.load(str(tmp_path)), []

  def counted(*arguments):
    reads.append(arguments)
    return read_all(*arguments)

  monkeypatch.setattr('tfx_balance.inputs.file_source.read_all', counted)

  def spec(default, **more):
    y = tf.io.FixedLenFeature([1], tf.float32, default_value=np.array([default]))
    return {'x': SPEC['x'], 'y': y, 'label': SPEC['label'], **more}

  text = {'text': tf.io.FixedLenFeature([], tf.string, default_value='')}
  for feature_spec, n in [
    (spec(1.0), 1),
    (spec(1.0), 1),
    (spec(2.0), 2),
    (spec(2.0, **text), 3),
    (spec(1.0, **text), 3),
    (spec(1.0), 4),
  ]:
    features, _ = next(iter(made.train(12, feature_spec=feature_spec)))
    default = feature_spec['y'].default_value[0]
    expected = features['x'][:, 0].numpy()
    assert (
      features['y'][:, 0].numpy().tolist()
      == np.where(expected % 40 < 30, expected, default).tolist()
    )
    assert len(reads) == n


@pytest.mark.parametrize(
  ('label', 'message'),
  [
    (tf.io.FixedLenFeature([], tf.float32), "label 'label' is float32 in the feature spec"),
    (tf.io.FixedLenFeature([2], tf.int32), "label 'label' is int32 in the feature spec"),
  ],
)
def test_a_label_that_does_not_fit_is_refused_before_files_are_read(
  tmp_path, monkeypatch, label, message
):
  write(tmp_path)
  monkeypatch.setattr('tfx_balance.inputs.file_source.read_all', None)
  with pytest.raises(ConfigError, match=message):
    BalancedInputs.load(str(tmp_path), {**SPEC, 'label': label}).train(12)


@pytest.mark.parametrize(
  'feature',
  [tf.io.FixedLenFeature([3], tf.int32), tf.io.FixedLenFeature([None], tf.float32)],
)
def test_features_that_the_parser_does_not_take_stay_serialized(feature):
  assert not RecordForm.of({**SPEC, 'x': feature}, 1000).parsed
