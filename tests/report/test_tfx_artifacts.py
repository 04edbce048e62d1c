"""What stock artifacts say: TFDV's statistics where they are exact, TFMA's recall by slice."""

import apache_beam as beam
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
import tensorflow_model_analysis as tfma
from apache_beam.options.pipeline_options import PipelineOptions
from google.protobuf import text_format
from tensorflow_data_validation.statistics import stats_impl
from tensorflow_metadata.proto.v0 import schema_pb2, statistics_pb2
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report import read_run
from tfx_balance.report.sources import slice_recall

from tests.helpers_pipeline import IN_MEMORY
from tests.report.helpers_report import recall_data, split_data, write

CATEGORICAL = text_format.Parse(
  'feature { name: "label" type: INT int_domain { is_categorical: true } }', schema_pb2.Schema()
)


def write_statistics(root, splits, schema=None, **others):
  """Writes an ExampleStatistics artifact: split name to the values of the label."""
  options = tfdv.StatsOptions(schema=schema, **others)
  for name, values in splits.items():
    cells = pa.array([None if value is None else [value] for value in values])
    batch = pa.RecordBatch.from_arrays([cells], ['label'])
    found = stats_impl.generate_statistics_in_memory(batch, options)
    path = root / f'Split-{name}' / 'FeatureStats.pb'
    path.parent.mkdir(parents=True)
    path.write_bytes(found.SerializeToString())
  return str(root)


def test_texts_are_counted(tmp_path):
  splits = {'train': [b'a'] * 7 + [b'b'] * 2 + [None], 'eval': [b'a', 'ü'.encode()]}
  view = read_run([write_statistics(tmp_path / 'run [1]', splits)], label='label')
  (stage,) = view.stages
  assert stage.trained == {ClassValue('bytes', b'a'): 7, ClassValue('bytes', b'b'): 2}
  assert {split.name: split.records for split in stage.splits} == {'train': 10, 'eval': 2}
  assert ClassValue('bytes', 'ü'.encode()) in view.classes
  assert view.notes == ()


def test_categorical_integers_are_counted(tmp_path):
  uri = write_statistics(tmp_path, {'train': [3] * 30 + [-1] * 12}, CATEGORICAL)
  (stage,) = read_run([uri], label='label').stages
  assert stage.total == {ClassValue('int', 3): 30, ClassValue('int', -1): 12}


@pytest.mark.parametrize(
  ('values', 'fault'),
  [
    pytest.param(
      [1] * 30 + [2] * 12, "only an approximate histogram of feature 'label'", id='plain int'
    ),
    pytest.param([b'%d' % i for i in range(1100)], 'counts 1000 of the 1100 values', id='many'),
    pytest.param([b'a', b'\xff', b'\xfe'], 'as __BYTES_VALUE__', id='no UTF-8'),
  ],
)
def test_what_is_not_exact_is_not_shown_and_told_of(tmp_path, values, fault):
  split = write(tmp_path / 'split', 'class_distribution.json', split_data({MISSING: 3}))
  statistics = write_statistics(tmp_path / 'StatisticsGen/statistics/3', {'train': values})
  view = read_run([split, statistics], label='label')
  assert [stage.title for stage in view.stages] == ['Raw data', 'Split']
  (note,) = view.notes
  assert note.startswith("StatisticsGen: split 'train' is not shown: ")
  assert fault in note


def test_slices_and_nothing_are_read(tmp_path):
  slices = [('sex_male', [b'a']), ('All Examples', [b'a'] * 4 + [b'b'])]
  found = statistics_pb2.DatasetFeatureStatisticsList()
  for name, values in slices:
    one = write_statistics(tmp_path / name, {'train': values})
    dataset = tfdv.load_stats_binary(f'{one}/Split-train/FeatureStats.pb').datasets[0]
    dataset.name = name
    found.datasets.append(dataset)
  uri = write_statistics(tmp_path / 'both', {'train': [b'a'], 'eval': [b'a']})
  (tmp_path / 'both/Split-train/FeatureStats.pb').write_bytes(found.SerializeToString())
  (tmp_path / 'both/Split-eval/FeatureStats.pb').write_bytes(b'')
  (stage,) = read_run([uri], label='label').stages
  assert stage.trained == {ClassValue('bytes', b'a'): 4, ClassValue('bytes', b'b'): 1}
  assert {split.name: split.records for split in stage.splits} == {'train': 5, 'eval': 0}


def test_categorical_floats_are_floats(tmp_path):
  text = 'feature { name: "label" type: FLOAT float_domain { is_categorical: true } }'
  schema = text_format.Parse(text, schema_pb2.Schema())
  options = {'use_sketch_based_topk_uniques': True}
  uri = write_statistics(tmp_path, {'train': [1.0] * 3 + [2.0]}, schema, **options)
  (stage,) = read_run([uri], label='label').stages
  assert stage.total == {ClassValue('float', 1.0): 3, ClassValue('float', 2.0): 1}


def test_statistics_of_a_split_confirm_it(tmp_path):
  counts = {ClassValue('bytes', b'a'): 20, ClassValue('bytes', b'b'): 10}
  data = split_data(counts, stratify_by=['label'])
  split = write(tmp_path / 'split', 'class_distribution.json', data)
  values = {'train': [b'a'] * 16 + [b'b'] * 8, 'eval': [b'a'] * 2 + [b'b']}
  statistics = write_statistics(tmp_path / 'StatisticsGen/statistics/3', values)
  assert read_run([split, statistics]).stages[-1].confirmed_by == ('StatisticsGen',)


def test_a_label_that_is_not_there_is_told_of(tmp_path):
  uri = write_statistics(tmp_path, {'train': [b'a']})
  (note,) = read_run([uri], label='species').notes
  assert "feature 'species' is not in its statistics; label= takes one of: label" in note


def test_statistics_alone_do_not_say_what_the_label_is(tmp_path):
  uri = write_statistics(tmp_path, {'train': [b'a']})
  with pytest.raises(ConfigError, match=r'label=None: .* pass label= \(--label\)'):
    read_run([uri])


# --- evaluations


@pytest.fixture(scope='module')
def evaluation(tmp_path_factory):
  """Returns the URI of a ModelEvaluation of two models, as Evaluator writes it."""
  uri = str(tmp_path_factory.mktemp('run') / 'Evaluator/evaluation/9')
  frame = pd.DataFrame(
    {
      'species': ['cat'] * 4 + ['dog'] * 2 + ['emu'],
      'label': [0, 0, 0, 0, 1, 1, 2],
      'one': [0, 0, 0, 1, 1, 0, 0],
      'two': [0, 0, 0, 0, 1, 1, 2],
    }
  )
  config = tfma.EvalConfig(
    model_specs=[
      tfma.ModelSpec(name='one', label_key='label', prediction_key='one'),
      tfma.ModelSpec(name='two', label_key='label', prediction_key='two'),
    ],
    slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=['species'])],
    metrics_specs=[
      tfma.MetricsSpec(
        metrics=[
          tfma.MetricConfig(class_name='ExampleCount'),
          tfma.MetricConfig(class_name='Accuracy'),
        ]
      )
    ],
  )
  extracts = [
    {
      tfma.FEATURES_KEY: {'species': np.array([row.species])},
      tfma.LABELS_KEY: {name: np.array([row.label]) for name in ('one', 'two')},
      tfma.PREDICTIONS_KEY: {'one': np.array([row.one]), 'two': np.array([row.two])},
    }
    for row in frame.itertuples()
  ]
  slices = [tfma.slicer.SingleSliceSpec(spec=spec) for spec in config.slicing_specs]
  evaluators = tfma.default_evaluators(eval_config=config)
  writers = tfma.default_writers(output_path=uri, eval_config=config)
  with beam.Pipeline(options=PipelineOptions(list(IN_MEMORY))) as pipeline:
    _ = (
      pipeline
      | beam.Create(extracts)
      | tfma.ExtractAndEvaluate(
        extractors=[tfma.extractors.SliceKeyExtractor(slices)], evaluators=evaluators
      )
      | tfma.WriteResults(writers=writers)
    )
  return uri


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


def test_slices_without_a_metric_that_is_recall_are_an_error():
  with pytest.raises(ConfigError, match=r"none of \['accuracy'.* only \['auc'\]"):
    slice_recall([((('label', 3),), metrics(auc=0.25))], None, 'here')


def test_slices_by_several_features_need_the_label():
  slices = [((('a', 1),), metrics(accuracy=1.0)), ((('b', 1),), metrics(accuracy=1.0))]
  with pytest.raises(ConfigError, match=r"slices by \['a', 'b'\], not by the label None"):
    slice_recall(slices, None, 'here')
