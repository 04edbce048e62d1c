"""What stock artifacts say: TFDV's statistics where they are exact, TFMA's recall by slice."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from tensorflow_data_validation.statistics import stats_impl
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report import read_run
from tfx_balance.report.evaluations import (
  EVALUATION_FILE,
  predicted_records,
  read_evaluation,
  slice_recall,
)
from tfx_balance.report.page import render_page

from tests.report.helpers_report import recall_data, split_data, write


def write_statistics(root, splits):
  """Writes an ExampleStatistics artifact: split name to the values of the label."""
  for name, values in splits.items():
    cells = pa.array([None if value is None else [value] for value in values])
    batch = pa.RecordBatch.from_arrays([cells], ['label'])
    found = stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions())
    path = root / f'Split-{name}' / 'FeatureStats.pb'
    path.parent.mkdir(parents=True)
    path.write_bytes(found.SerializeToString())
  return str(root)


def test_texts_are_counted(tmp_path):
  splits = {'train': [b'a'] * 7 + [b'b'] * 2 + [None], 'eval': [b'a', 'ü'.encode()]}
  uri = write_statistics(tmp_path / 'run [1]', splits)
  with pytest.raises(ConfigError, match=r'label=None, .* pass label= \(--label\)'):
    read_run([uri])
  view = read_run([uri], label='label')
  (stage,) = view.stages
  assert stage.trained == {ClassValue('bytes', b'a'): 7, ClassValue('bytes', b'b'): 2}
  assert {split.name: split.records for split in stage.splits} == {'train': 10, 'eval': 2}
  assert ClassValue('bytes', 'ü'.encode()) in view.classes
  assert view.notes == ()


def test_what_is_not_exact_is_not_shown_and_told_of(tmp_path):
  split = write(tmp_path / 'split', 'class_distribution.json', split_data({MISSING: 3}))
  statistics = write_statistics(tmp_path / 'StatisticsGen/statistics/3', {'train': [1] * 30})
  view = read_run([split, statistics], label='label')
  assert [stage.title for stage in view.stages] == ['Raw data', 'Split']
  (note,) = view.notes
  assert note.startswith("StatisticsGen: split 'train' is not shown: ")
  assert "only an approximate histogram of feature 'label'" in note


def test_statistics_of_a_split_confirm_it(tmp_path):
  counts = {ClassValue('bytes', b'a'): 20, ClassValue('bytes', b'b'): 10}
  data = split_data(counts, stratify_by=['label'])
  split = write(tmp_path / 'split', 'class_distribution.json', data)
  values = {'train': [b'a'] * 16 + [b'b'] * 8, 'eval': [b'a'] * 2 + [b'b']}
  statistics = write_statistics(tmp_path / 'StatisticsGen/statistics/3', values)
  assert read_run([split, statistics]).stages[-1].confirmed_by == ('StatisticsGen',)


# --- evaluations


def evaluate(uri, models, metrics, **columns):
  """Writes a ModelEvaluation as Evaluator does; a column has the label or a model's predictions."""
  by, *_ = columns
  config = tfma.EvalConfig(
    model_specs=[
      tfma.ModelSpec(name=name, label_key='label', prediction_key=name) for name in models
    ],
    slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[by])],
    metrics_specs=[
      tfma.MetricsSpec(metrics=[tfma.MetricConfig(class_name=name) for name in metrics])
    ],
  )
  tfma.analyze_raw_data(pd.DataFrame(columns), config, output_path=uri)
  return uri


@pytest.fixture(scope='module')
def evaluation(tmp_path_factory):
  """Returns the URI of a ModelEvaluation of two models."""
  return evaluate(
    str(tmp_path_factory.mktemp('run') / 'Evaluator/evaluation/9'),
    ('one', 'two'),
    ('ExampleCount', 'Accuracy'),
    species=['cat'] * 4 + ['dog'] * 2 + ['emu'],
    label=[0, 0, 0, 0, 1, 1, 2],
    one=[0, 0, 0, 1, 1, 0, 0],
    two=[0, 0, 0, 0, 1, 1, 2],
  )


CAT, DOG, EMU = (ClassValue('bytes', name) for name in (b'cat', b'dog', b'emu'))


def test_recall_is_read_of_every_model_of_an_evaluation(evaluation):
  view = read_run([evaluation])
  found = {model.name: model.recall for model in view.models}
  assert set(found) == {'one', 'two'}
  one = found['one']
  assert {r.value: (r.recall, r.tested) for r in one} == {
    CAT: (0.75, 4),
    DOG: (0.5, 2),
    EMU: (0.0, 1),
  }
  assert {r.recall for r in found['two']} == {1.0}


def test_a_name_goes_before_those_of_the_models(evaluation):
  view = read_run([f'second={evaluation}'], label='species')
  assert [model.name for model in view.models] == ['second one', 'second two']


def test_slices_by_something_else_are_an_error(evaluation):
  with pytest.raises(ConfigError, match=r"slices by \['species'\], not by the label 'label'"):
    read_run([evaluation], label='label')


def test_models_of_several_artifacts_stand_beside_each_other(evaluation, tmp_path):
  counts = {CAT: 40, DOG: 20, EMU: 10}
  recall = write(tmp_path, 'recall.json', {**recall_data(counts, 1), 'label': 'species'})
  view = read_run([recall, evaluation])
  assert [model.name for model in view.models] == ['natural', 'one', 'two']
  assert set(view.classes) == {CAT, DOG, EMU}


def metrics(**values):
  return {'': {'': {name: {'doubleValue': value} for name, value in values.items()}}}


@pytest.mark.parametrize(
  ('slices', 'fault'),
  [
    ([((('label', 3),), metrics(auc=0.25))], r"none of \['accuracy'.* only \['auc'\]"),
    (
      [((('a', 1),), metrics(accuracy=1.0)), ((('b', 1),), metrics(accuracy=1.0))],
      r"slices by \['a', 'b'\], not by the label None",
    ),
  ],
  ids=['no recall', 'several features'],
)
def test_slices_that_are_not_recall_by_the_label_are_an_error(slices, fault):
  with pytest.raises(ConfigError, match=fault):
    slice_recall(slices, None, 'here')


def test_slices_of_all_types_are_read():
  slices = [
    ((), metrics(accuracy=0.5)),
    ((('label', 3),), metrics(binary_accuracy=0.25, example_count=4.0)),
    ((('label', 3.0),), metrics(recall=0.5, example_count=2.0)),
    ((('label', 'x'), ('side', 1)), metrics(accuracy=1.0)),
    ((('label', ''),), metrics(accuracy=0.0, weighted_example_count=5.0)),
  ]
  found = slice_recall(slices, 'label', 'here')
  assert {r.value: (r.recall, r.tested) for r in found} == {
    ClassValue('int', 3): (0.25, 4),
    ClassValue('float', 3.0): (0.5, 2),
    ClassValue('bytes', b''): (0.0, 5),
  }


def test_each_output_of_a_model_is_a_model(tmp_path, monkeypatch):
  def of(recall):
    return metrics(accuracy=recall, example_count=4.0)['']

  slices = [((('label', 3),), {'probabilities': of(0.25), 'adjusted': of(0.5), 'size': {'': {}}})]
  result = SimpleNamespace(slicing_metrics=slices, plots=[])
  monkeypatch.setattr(tfma, 'load_eval_result', lambda uri, model_name: result)
  specs = {'evalConfig': {'modelSpecs': [{'name': 'natural'}, {'name': 'balanced'}]}}
  found = read_evaluation(write(tmp_path, EVALUATION_FILE, specs), 'label', None)
  assert [(model.name, model.macro) for model in found.models] == [
    ('natural adjusted', 0.5),
    ('natural probabilities', 0.25),
    ('balanced adjusted', 0.5),
    ('balanced probabilities', 0.25),
  ]


def matrix(*entries, threshold=None):
  """Returns the plots of a slice: (actual id, predicted id, records) each; zeros are left out."""
  rows = [
    {
      **({'actualClassId': actual} if actual else {}),
      **({'predictedClassId': predicted} if predicted else {}),
      'numWeightedExamples': n,
    }
    for actual, predicted, n in entries
  ]
  one = {'entries': rows, **({'threshold': threshold} if threshold else {})}
  return {'': {'': {'multiClassConfusionMatrixAtThresholds': {'matrices': [one]}}}}


def test_precision_is_read_of_the_confusion_matrix_that_tfma_writes(tmp_path):
  evaluate(
    str(tmp_path),
    ('model',),
    ('ExampleCount', 'SparseCategoricalAccuracy', 'MultiClassConfusionMatrixPlot'),
    kind=['cat'] * 3 + ['dog'] * 2 + ['emu'],
    label=[0, 0, 0, 1, 1, 2],
    model=list(np.eye(3)[[0, 0, 1, 1, 0, 1]] * 0.8 + 0.05),
  )
  (model,) = read_run([str(tmp_path)]).models
  assert model.by_class == pytest.approx({CAT: 2 / 3, DOG: 1 / 2, EMU: 0})
  assert model.precision == pytest.approx({CAT: 2 / 3, DOG: 1 / 3})  # nothing was taken for an emu
  html = render_page(read_run([str(tmp_path)]))
  assert 'precision' in html


def test_predicted_records_count_those_of_no_class_and_leave_out_shared_ids():
  plots = [
    ((), matrix((0, 0, 5), (0, 1, 1), (1, 1, 2), (2, 0, 3), (-1, 1, 4))),
    ((('label', 'a'),), matrix((0, 0, 5), (0, 1, 1))),
    ((('label', 'b'),), matrix((1, 1, 2))),
    ((('label', 'c'),), matrix((2, 0, 2))),
    ((('label', 'd'),), matrix((2, 0, 1))),
    ((('label', 'unknown'),), matrix((-1, 1, 4))),
    ((('other', 'a'),), matrix((7, 7, 1))),
  ]
  a, b = (ClassValue('bytes', name) for name in (b'a', b'b'))
  assert predicted_records(plots, 'label') == {a: (5, 8), b: (2, 7)}
  assert predicted_records(plots, 'label', 'another output') == {}
  assert predicted_records([((), matrix((0, 0, 5), threshold=0.5))], 'label') == {}


def test_models_without_precision_have_no_column_of_it(evaluation):
  assert 'precision' not in render_page(read_run([evaluation]))
