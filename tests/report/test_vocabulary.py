"""Class ids that Transform made are named by its vocabulary, where the counts say which it is."""

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.documents.training_log import LoggedEpoch, TrainingLog
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import read_run
from tfx_balance.report.page import render_page

from tests.report.helpers_report import plan_data, split_data, write


def text(name):
  return ClassValue('bytes', name.encode())


def number(value):
  return ClassValue('int', value)


NAMES = {text('ok'): 800, text('late'): 160, text('fraud'): 40}


def graph(folder, **vocabularies):
  """Returns the URI of a TransformGraph with these vocabularies, names to lines."""
  assets = folder / 'Transform/transform_graph/7/transform_fn/assets'
  assets.mkdir(parents=True)
  (assets.parent / 'saved_model.pb').write_bytes(b'')
  for name, lines in vocabularies.items():
    (assets / name).write_text('\n'.join(lines) + '\n')
  return str(assets.parent.parent)


def run(folder, fed, counts=NAMES):
  for name in ('split', 'fed'):
    (folder / name).mkdir()
  split = split_data(counts)
  return [
    write(folder / 'split', 'class_distribution.json', split),
    write(folder / 'fed', 'balanced_input.json', plan_data(fed)),
  ]


def train_of(counts):
  found = split_data(counts)
  return {
    ClassValue.from_json(row['stratum'][0]): row['splits']['train']['records']
    for row in found['strata']
  }


def by_ids(counts, lines):
  """Returns the records of train by the place of each class in a vocabulary."""
  trained = {str(value): n for value, n in train_of(counts).items()}
  return {number(i): trained[line] for i, line in enumerate(lines)}


def test_ids_are_named_by_the_vocabulary_of_the_label(tmp_path):
  lines = ['ok', 'late', 'fraud']
  uris = run(tmp_path, by_ids(NAMES, lines))
  before = read_run(uris)
  assert before.stages[-1] not in before.comparable
  other = {'towns': ['late', 'ok', 'fraud'], 'words': ['a', 'b', 'c', 'd']}
  view = read_run([*uris, graph(tmp_path, label=lines, **other)])
  assert view.stages[-1].total == train_of(NAMES)
  assert view.comparable == view.stages
  assert set(view.classes) == set(NAMES)
  note = "Class ids are named by the vocabulary 'label' of Transform, whose counts are the same."
  assert view.notes == (note,)
  assert note in render_page(view).replace('&#39;', "'")


def test_ids_that_are_classes_too_are_named(tmp_path):
  counts = {number(3): 800, number(1): 160, number(0): 40}
  lines = ['3', '1', '0']
  view = read_run([*run(tmp_path, by_ids(counts, lines), counts), graph(tmp_path, digits=lines)])
  assert view.stages[-1].total == train_of(counts)


def test_classes_whose_counts_are_right_keep_their_names(tmp_path):
  counts = {number(0): 400, number(1): 400}
  view = read_run([*run(tmp_path, train_of(counts), counts), graph(tmp_path, digits=['1', '0'])])
  assert view.stages[-1].total == train_of(counts)
  assert view.notes == ()


@pytest.mark.parametrize(
  'vocabularies',
  [{'a': ['ok', 'late']}, {'a': ['late', 'ok', 'fraud']}, {}],
  ids=['short', 'other counts', 'none'],
)
def test_a_vocabulary_with_other_counts_names_nothing(tmp_path, vocabularies):
  uris = run(tmp_path, by_ids(NAMES, ['ok', 'late', 'fraud']))
  view = read_run([*uris, graph(tmp_path, **vocabularies)])
  assert set(view.stages[-1].total) == {number(0), number(1), number(2)}
  (found,) = view.notes
  assert 'are other values than those of the first stage' in found


def test_two_vocabularies_that_fit_name_nothing(tmp_path):
  counts = {text('a'): 400, text('b'): 400}
  uris = run(tmp_path, by_ids(counts, ['a', 'b']), counts)
  view = read_run([*uris, graph(tmp_path, one=['a', 'b'], two=['b', 'a'])])
  assert set(view.stages[-1].total) == {number(0), number(1)}
  assert view.notes[0] == (
    "Vocabularies 'one', 'two' of Transform both fit the class ids, and none names them."
  )


def test_models_that_were_tested_on_ids_and_logs_of_training_are_named(tmp_path):
  lines = ['ok', 'late', 'fraud']
  tested = {
    ClassValue.from_json(row['stratum'][0]): row['splits']['test']['records']
    for row in split_data(NAMES)['strata']
  }
  rows = [
    {'class': {'type': 'int', 'value': i}, 'name': str(i), 'recall': 0.5, 'tested': tested[text(x)]}
    for i, x in enumerate(lines)
  ]
  recall = {'label': 'species', 'models': [{'name': 'm', 'recall': rows}]}
  ids = tuple(number(i) for i in range(3))
  epoch = LoggedEpoch(1, (4, 4, 4), (0, 0, 0), (0, 0, 0))
  uris = [
    *run(tmp_path, by_ids(NAMES, lines)),
    write(tmp_path, 'recall.json', recall) + '/recall.json',
    write(tmp_path, 'training_batches.json', TrainingLog('species', ids, (epoch,)).to_json())
    + '/training_batches.json',
    graph(tmp_path, label=lines),
  ]
  view = read_run(uris)
  (model,), ((_, log),) = view.models, view.trainings
  assert model.tested == tested
  assert log.classes == (text('ok'), text('late'), text('fraud'))
  assert set(view.classes) == set(NAMES)


def test_the_vocabulary_that_transform_writes_is_read(tmp_path):
  import tensorflow_transform as tft
  import tensorflow_transform.beam as tft_beam
  from tensorflow_transform.tf_metadata import dataset_metadata, schema_utils

  names = np.repeat(['ok', 'late', 'fraud'], [640, 128, 32])
  spec = {'label': tf.io.FixedLenFeature([], tf.string)}
  metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))

  def preprocess(inputs):
    ids = tft.compute_and_apply_vocabulary(inputs['label'], vocab_filename='label_vocabulary')
    return {'label': ids}

  rows = [{'label': name} for name in names]
  with tft_beam.Context(temp_dir=str(tmp_path / 'temp')):
    (data, _), function = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(preprocess)
  root = tmp_path / 'graph'
  function | tft_beam.WriteTransformFn(str(root))
  ids = np.bincount([row['label'] for row in data])
  uris = run(tmp_path, {number(i): int(n) for i, n in enumerate(ids)})
  view = read_run([*uris, str(root)])
  assert view.stages[-1].total == train_of(NAMES)
