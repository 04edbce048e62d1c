"""compare_tuner: in a pipeline of the stock Tuner and Trainer, and what it refuses."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tfx.v1 as tfx
from tfx.types import standard_artifacts
from tfx_balance import BalancedInputGen
from tfx_balance.compare import Remedy, compare_tuner
from tfx_balance.compare.arms import ARMS
from tfx_balance.compare.tuner import DOCUMENT, cloudpickle, read_records
from tfx_balance.documents.comparison import ComparisonDocument
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.plan.class_value import ClassValue

from tests.compare.helpers_folds import first_folds
from tests.helpers_examples import example, value_of
from tests.helpers_pipeline import execute, importer, input_artifact, run_pipeline

CODE = 'tests.compare.pipeline_code'
SCHEMA = """
feature { name: "x" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 2 } } }
feature { name: "age" type: INT presence { min_fraction: 1 } shape {} }
feature { name: "label" type: BYTES presence { min_fraction: 1 } shape {} }
"""


def people(n=80, n_rare=12):
  """Returns records of two classes that differ in x."""
  rng = np.random.default_rng(0)
  labels = ['common'] * (n - n_rare) + ['rare'] * n_rare
  shifts = [float(label == 'rare') for label in labels]
  return [
    example(
      x=[float(v) + shift for v in rng.normal(size=2)], age=int(rng.integers(90)), label=label
    )
    for label, shift in zip(labels, shifts, strict=True)
  ]


def schema(folder, text=SCHEMA):
  """Writes a schema, and returns its path."""
  path = folder / 'schema' / 'schema.pbtxt'
  path.parent.mkdir()
  path.write_text(text)
  return path


@pytest.fixture(scope='module')
def published(tmp_path_factory):
  """Runs BalancedInputGen, the Tuner and the Trainer."""
  folder = tmp_path_factory.mktemp('tuner')
  examples = importer(
    input_artifact(folder / 'in', {'train': [people()], 'eval': [people(20, 4)]}), 'Data'
  )
  spec = tfx.dsl.Importer(
    source_uri=str(schema(folder).parent), artifact_type=standard_artifacts.Schema
  ).with_id('Schema')
  input_gen = BalancedInputGen(examples=examples.outputs['result'])
  given = {
    'examples': input_gen.outputs['examples'],
    'schema': spec.outputs['result'],
  }
  tuner = tfx.components.Tuner(tuner_fn=f'{CODE}.tuner_fn', **given)
  trainer = tfx.components.Trainer(
    run_fn=f'{CODE}.run_fn', hyperparameters=tuner.outputs['best_hyperparameters'], **given
  )
  with first_folds():
    return run_pipeline(folder, [examples, spec, input_gen, tuner, trainer])


def written(published, type_name):
  """Returns the JSON data in the one file of an artifact of the Tuner."""
  (artifact,) = published.of_node('Tuner', type_name)
  (path,) = Path(artifact.uri).iterdir()
  return json.loads(path.read_text())


def test_the_tuner_writes_the_remedy_and_what_was_found(published):
  config = written(published, 'HyperParameters')
  remedy = Remedy.from_fn_args(SimpleNamespace(hyperparameters=config))
  found = ComparisonDocument.from_json(config['values'][DOCUMENT])
  assert remedy.name == found.recommended
  assert (
    remedy.classes
    == found.classes
    == tuple(ClassValue('bytes', text) for text in (b'common', b'rare'))
  )
  assert remedy.records == found.records == (68, 12)
  assert (found.steps, found.batch_size, found.folds) == (5, 16, 5)


def test_the_tuner_lists_every_remedy(published):
  rows = written(published, 'TunerResults')
  config = written(published, 'HyperParameters')
  found = ComparisonDocument.from_json(config['values'][DOCUMENT])
  alone = {name for name, arm in ARMS.items() if not arm.averaged}
  assert {row['trial_id'] for row in rows} == alone  # a Trainer serves one model
  for arm in found.arms:
    (row,) = (row for row in rows if row['remedy'] == arm.name)
    assert row['score'] == arm.values['macro_recall']
    assert row.get('verdict') == arm.verdict
    assert row['recommended'] == (arm.name == found.recommended)
  assert [row['score'] for row in rows] == sorted((row['score'] for row in rows), reverse=True)


def test_the_trainers_model_serves_scores_and_label(published):
  (artifact,) = published.of_node('Trainer', 'Model')
  model = tf.saved_model.load(f'{artifact.uri}/Format-Serving')
  served = model.signatures['serving_default'](
    x=tf.constant([[0.1, 2.0], [3.0, -1.0]]), age=tf.constant([[5.0], [50.0]])
  )
  assert set(served) == {'scores', 'adjusted', 'label'}
  np.testing.assert_allclose(np.sum(served['scores'], axis=1), 1, rtol=1e-5)
  config = written(published, 'HyperParameters')
  shift = Remedy.from_fn_args(SimpleNamespace(hyperparameters=config)).shift
  moved = served['scores'] * np.exp(shift)
  np.testing.assert_allclose(
    served['adjusted'], moved / np.sum(moved, axis=1, keepdims=True), rtol=1e-4
  )
  assert np.array_equal(served['label'], np.argmax(moved, axis=1))


def laid_out(folder, splits, text=SCHEMA, **arguments):
  """Returns the `fn_args` of a Tuner of what BalancedInputGen wrote."""
  given = input_artifact(folder / 'in', splits)
  execute(BalancedInputGen, [given], folder / 'out', **arguments)
  return SimpleNamespace(
    train_files=[f'{folder}/out/Split-train/*'], schema_path=str(schema(folder, text))
  )


def no_model():
  raise AssertionError


def test_each_record_is_read_once(tmp_path):
  records = people()
  fn_args = laid_out(tmp_path, {'train': [records[:40], records[40:]]})
  features, labels = read_records(BalancedInputs.from_fn_args(fn_args), 1 << 20)
  rows = zip(features['x'].tolist(), features['age'].tolist(), labels.tolist(), strict=True)
  wanted = [(value_of(r, 'x'), value_of(r, 'age'), value_of(r)) for r in records]
  assert sorted(rows) == sorted(wanted)


def test_merged_splits_are_refused(tmp_path):
  splits = {'train': [people()], 'copies': [people()]}
  fn_args = laid_out(tmp_path, splits, train_splits=['train', 'copies'])
  with pytest.raises(ConfigError, match=r"\['train', 'copies'\] were merged.* natural split alone"):
    compare_tuner(no_model, fn_args)


def test_several_labels_are_refused(tmp_path):
  records = [example(label=[i % 2, 2], x=[0.0, 1.0], age=i) for i in range(20)]
  fn_args = laid_out(tmp_path, {'train': [records]}, multilabel=True)
  with pytest.raises(ConfigError, match=r"several labels 'label'.* lay the examples out by one"):
    compare_tuner(no_model, fn_args)


def test_more_than_the_memory_budget_is_refused(tmp_path):
  fn_args = laid_out(tmp_path, {'train': [people()]})
  tuner = compare_tuner(no_model, fn_args, memory_budget=100).tuner
  with pytest.raises(DataError, match=r'more than memory_budget=100 bytes.* raise memory_budget='):
    tuner.search()


def test_sparse_features_are_refused(tmp_path):
  text = SCHEMA.replace(
    'min_fraction: 1 } shape {} }\nfeature { name: "label"', '} }\nfeature { name: "label"'
  )
  fn_args = laid_out(tmp_path, {'train': [people()]}, text)
  with pytest.raises(ConfigError, match=r"feature 'age' is a SparseTensor.* make it dense"):
    compare_tuner(no_model, fn_args).tuner.search()


@pytest.mark.parametrize('name', ['x', 'missing'])
def test_a_feature_that_has_no_groups_is_refused(tmp_path, name):
  fn_args = laid_out(tmp_path, {'train': [people()]})
  with pytest.raises(ConfigError, match=rf"groups='{name}' must be one of .*\['age'\]"):
    compare_tuner(no_model, fn_args, groups=name).tuner.search()


def test_groups_are_a_feature(tmp_path, monkeypatch):
  given = {}
  module = sys.modules['tfx_balance.compare.tuner']
  monkeypatch.setattr(module, 'compare', lambda *args, **kwargs: given.update(kwargs))
  fn_args = laid_out(tmp_path, {'train': [people()]})
  compare_tuner(no_model, fn_args, groups='age', steps=7).tuner.search()
  assert sorted(given['groups']) == sorted(value_of(r, 'age') for r in people())
  assert given['steps'] == 7


def test_a_model_of_a_module_file_reaches_other_processes(tmp_path):
  path = tmp_path / 'own_model.py'
  path.write_text('WIDTH = 7\n\n\ndef make_model():\n  return WIDTH\n')
  spec = importlib.util.spec_from_file_location('own_model', path)
  module = importlib.util.module_from_spec(spec)
  sys.modules['own_model'] = module
  spec.loader.exec_module(module)
  compare_tuner(module.make_model, laid_out(tmp_path, {'train': [people()]}))
  child = 'import pickle, sys; print(pickle.load(sys.stdin.buffer)())'
  pickled = cloudpickle.dumps(module.make_model)
  done = subprocess.run(
    [sys.executable, '-c', child], input=pickled, capture_output=True, check=True
  )
  assert done.stdout == b'7\n'
