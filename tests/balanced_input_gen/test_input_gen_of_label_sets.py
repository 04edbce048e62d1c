"""Records laid out by label set, and batches of them in which labels have their shares."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx import v1 as tfx
from tfx_balance import (
  BalancedInputGen,
  ClassDistributionValidator,
  StratifiedSplitter,
  seal_document,
)
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.report import read_run
from tfx_balance.report.page import render_page

from tests.helpers_examples import example, in_shards, read_splits
from tests.helpers_pipeline import execute, importer, input_artifact, run_pipeline

SPEC = {'id': tf.io.FixedLenFeature([], tf.int64), 'tags': tf.io.VarLenFeature(tf.string)}
TAGS = {'label': 'tags', 'multilabel': True}
HAS = np.random.default_rng(4).random((900, 5)) < 0.6 * 0.5 ** np.arange(5)


def records(has=HAS):
  """Returns records in whose labels order and repetition mean nothing; some have none."""
  made = []
  for i, row in enumerate(has):
    tags = [f't{label}' for label in np.flatnonzero(row)[::-1]]
    made.append(example(id=i, tags=(tags + tags[:1]) or None))
  return made


def ids(dataset, n):
  return np.array([features['id'].numpy() for features, *_ in dataset.take(n)])


@pytest.fixture(scope='module')
def artifact(tmp_path_factory):
  root = tmp_path_factory.mktemp('sets')
  source = input_artifact(root / 'in', {'train': in_shards(records(), 3), 'eval': [records()[:50]]})
  return execute(BalancedInputGen, [source], root / 'out', **TAGS)


def test_every_record_is_there_and_the_plan_counts_label_sets(artifact):
  splits = read_splits(artifact.uri)
  assert sorted(splits['train']) == sorted(records())
  assert len(splits['eval']) == 50
  text = Path(artifact.uri, 'balanced_input.json').read_text()
  plan = InputPlan.from_json(text)
  assert plan.dumps() == text
  sets = Counter('{' + ', '.join(f't{i}' for i in np.flatnonzero(row)) + '}' for row in HAS)
  found = dict(zip(map(str, plan.classes), plan.records, strict=True))
  assert found == sets
  sidecar = json.loads(Path(artifact.uri, 'class_distribution.json').read_text())
  assert sidecar['parameters']['multilabel'] is True


@pytest.mark.parametrize('memory_budget', [1 << 30, 20_000], ids=['held', 'streamed'])
@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_labels_have_equal_shares_in_batches(artifact, memory_budget):
  made = BalancedInputs.load(artifact.uri, SPEC, memory_budget=memory_budget)
  assert [str(label) for label in made.labels] == [f't{i}' for i in range(5)]
  np.testing.assert_allclose(made.label_shares(), 0.2, rtol=0.005)
  drawn = []
  for features, hot in made.train(64, label_as='multi_hot').take(40):
    np.testing.assert_array_equal(hot, HAS[features['id'].numpy()])
    drawn.append(hot.numpy().sum(axis=0))
  total = np.sum(drawn, axis=0)
  np.testing.assert_allclose(total / total.sum(), 0.2, rtol=0.03)
  natural = ids(made.train(45, 'natural'), 20).reshape(-1)
  assert sorted(natural) == list(range(900))
  hot = np.concatenate([label.numpy() for _, label in made.eval(20, label_as='multi_hot')])
  np.testing.assert_array_equal(hot, HAS[:50])


def test_the_batches_are_the_same_in_any_sharding_of_the_input(tmp_path, artifact):
  other = input_artifact(tmp_path / 'in', {'train': [records()[::-1]], 'eval': [records()[:50]]})
  found = execute(BalancedInputGen, [other], tmp_path / 'out', **TAGS)
  plans = [Path(each.uri, 'balanced_input.json').read_text() for each in (artifact, found)]
  assert plans[0] == plans[1]


def test_a_plan_of_other_files_is_told(tmp_path):
  source = input_artifact(tmp_path / 'in', {'train': [records()]})
  found = execute(BalancedInputGen, [source], tmp_path / 'out', **TAGS)
  path = tmp_path / 'out/balanced_input.json'
  text = path.read_text()
  assert '"t1"' in text
  path.write_text(text.replace('"t1"', '"t0b"'))
  seal_document(str(path))
  made = BalancedInputs.load(found.uri, SPEC)
  with pytest.raises(tf.errors.InvalidArgumentError, match='a label is not in the plan'):
    ids(made.train(8), 10)
  path.write_text(text.replace('"t1"', '"x"').replace('"t2"', '"t1"').replace('"x"', '"t2"'))
  seal_document(str(path))
  made = BalancedInputs.load(found.uri, SPEC)
  with pytest.raises(tf.errors.InvalidArgumentError, match='not those that the plan says'):
    ids(made.train(8), 10)


def test_the_feature_spec_must_hold_several_labels(artifact):
  made = BalancedInputs.load(artifact.uri, {**SPEC, 'tags': tf.io.FixedLenFeature([], tf.string)})
  with pytest.raises(ConfigError, match=r'give tf.io.VarLenFeature\(tf.string\)'):
    made.train(8)


def test_behind_the_splitter_in_a_pipeline(tmp_path):
  source = importer(input_artifact(tmp_path / 'in', {'all': in_shards(records(), 2)}))
  split = StratifiedSplitter(
    source.outputs['result'], stratify_by='tags', multilabel=True, splits={'train': 4, 'eval': 1}
  )
  input_gen = BalancedInputGen(split.outputs['examples'], **TAGS)
  published = run_pipeline(tmp_path, [source, split, input_gen])
  (found,) = published.of_node('BalancedInputGen', 'Examples')
  splits = read_splits(found.uri)
  assert sorted(splits['train'] + splits['eval']) == sorted(records())
  made = BalancedInputs.load(found.uri, SPEC)
  counts = HAS[ids(made.train(60), 20)].sum(axis=(0, 1))
  np.testing.assert_allclose(counts / counts.sum(), 0.2, rtol=0.05)


def test_the_report_counts_labels_and_records(tmp_path):
  source = input_artifact(tmp_path / 'in', {'all': in_shards(records(), 2)})
  split = execute(
    StratifiedSplitter,
    [source],
    tmp_path / 'split',
    stratify_by='tags',
    multilabel=True,
    splits={'train': 4, 'eval': 1},
  )
  split.split_names = '["train", "eval"]'
  found = execute(BalancedInputGen, [split], tmp_path / 'out', **TAGS)
  view = read_run([split.uri, found.uri])
  raw, parted, fed = view.stages
  assert [sum(each.records for each in stage.splits) for stage in (raw, parted, fed)] == [
    900,
    900,
    720,
  ]
  assert [str(value) for value in view.classes] == [f't{i}' for i in range(5)]
  assert fed.total == parted.splits[0].counts
  assert fed.splits[0].unlabelled == parted.splits[0].unlabelled == 144
  assert view.notes == ()


FLAGS = [f'f{label}' for label in range(5)]
OF_FLAGS = {'label': FLAGS, 'multilabel': True}
FLAG_SPEC = {name: tf.io.FixedLenFeature([], tf.int64) for name in ('id', *FLAGS)}


def flag_records(has=HAS):
  return [
    example(id=i, **dict(zip(FLAGS, map(int, row), strict=True))) for i, row in enumerate(has)
  ]


@pytest.fixture(scope='module')
def flag_artifact(tmp_path_factory):
  root = tmp_path_factory.mktemp('flags')
  rows = flag_records()
  source = input_artifact(root / 'in', {'train': in_shards(rows, 3), 'eval': [rows[:50]]})
  return execute(BalancedInputGen, [source], root / 'out', **OF_FLAGS)


def test_several_features_of_0_and_1_give_the_batches_of_one_of_names(artifact, flag_artifact):
  text = Path(flag_artifact.uri, 'balanced_input.json').read_text()
  plan = InputPlan.from_json(text)
  assert plan.dumps() == text
  assert plan.features == tuple(FLAGS)
  assert plan.label == 'f0, f1, f2, f3, f4'
  made = BalancedInputs.load(flag_artifact.uri, FLAG_SPEC)
  assert [str(label) for label in made.labels] == FLAGS
  of_tags = BalancedInputs.load(artifact.uri, SPEC)
  np.testing.assert_allclose(made.label_shares(), of_tags.label_shares())
  for features, hot in made.train(64, label_as='multi_hot').take(10):
    np.testing.assert_array_equal(hot, HAS[features['id'].numpy()])
    assert set(features) == {'id'}
  for features, names in made.eval(20):
    want = [[f'f{i}'.encode() for i in np.flatnonzero(HAS[at])] for at in features['id'].numpy()]
    assert names.to_list() == want


def test_files_with_several_features_of_0_and_1_give_what_the_component_gives(flag_artifact):
  files = str(Path(flag_artifact.uri, 'Split-train', '*'))
  made = BalancedInputs.from_files(files, FLAGS, FLAG_SPEC, multilabel=True)
  loaded = BalancedInputs.load(flag_artifact.uri, FLAG_SPEC)
  np.testing.assert_allclose(made.label_shares(), loaded.label_shares())
  for features, hot in made.train(64, label_as='multi_hot').take(10):
    np.testing.assert_array_equal(hot, HAS[features['id'].numpy()])
  with pytest.raises(ConfigError, match=r"label=\['f0', 'f1'\] names several .* multilabel=True"):
    BalancedInputs.from_files(files, FLAGS[:2], FLAG_SPEC)


@pytest.mark.parametrize(
  ('spec', 'fault'),
  [
    ({'f1': tf.io.FixedLenFeature([], tf.string)}, "label 'f1', one of 5 .* is string"),
    ({'f1': None}, "label 'f1', one of 5 features of 0 and 1, is not there in the feature spec"),
  ],
)
def test_the_feature_spec_must_hold_every_label(flag_artifact, spec, fault):
  merged = {name: kind for name, kind in {**FLAG_SPEC, **spec}.items() if kind is not None}
  made = BalancedInputs.load(flag_artifact.uri, merged)
  for call in (made.train, made.eval):
    with pytest.raises(ConfigError, match=fault):
      call(8)


@pytest.mark.parametrize(
  ('row', 'fault'),
  [
    ({'f0': 1, 'f1': 2, 'f2': 0, 'f3': 0, 'f4': 0}, 'is neither 0 nor 1 in a record'),
    ({'f0': 1, 'f1': [1, 1], 'f2': 0, 'f3': 0, 'f4': 0}, 'a record has no value, or several'),
  ],
)
def test_labels_of_eval_that_are_no_flags_fail(tmp_path, row, fault):
  splits = {'train': [flag_records(HAS[:50])], 'eval': [[example(id=0, **row)]]}
  found = execute(
    BalancedInputGen, [input_artifact(tmp_path / 'in', splits)], tmp_path / 'out', **OF_FLAGS
  )
  spec = {name: tf.io.VarLenFeature(tf.int64) for name in ('id', *FLAGS)}
  with pytest.raises(tf.errors.InvalidArgumentError, match=fault):
    list(BalancedInputs.load(found.uri, spec).eval(8))


@pytest.mark.parametrize(
  ('arguments', 'fault'),
  [
    ({'label': FLAGS}, r"label=\['f0', .*\] names several features"),
    ({**OF_FLAGS, 'missing_label': 'own'}, "missing_label='own' does not combine"),
    ({'label': ['f0', 'f0'], 'multilabel': True}, "names 'f0' twice"),
  ],
)
def test_several_features_that_are_no_labels_are_refused(arguments, fault):
  examples = importer(tfx.types.standard_artifacts.Examples()).outputs['result']
  with pytest.raises(ConfigError, match=fault):
    BalancedInputGen(examples, **arguments)


def test_several_features_of_0_and_1_in_a_pipeline(tmp_path):
  source = importer(input_artifact(tmp_path / 'in', {'all': in_shards(flag_records(), 2)}))
  split = StratifiedSplitter(
    source.outputs['result'], stratify_by=FLAGS, multilabel=True, splits={'train': 4, 'eval': 1}
  )
  statistics = tfx.components.StatisticsGen(split.outputs['examples'])
  gate = ClassDistributionValidator(
    statistics.outputs['statistics'],
    examples=split.outputs['examples'],
    expected_shares={'f0': float(HAS[:, 0].sum() / HAS.any(axis=1).sum())},
    max_missing=0.5,
    share_tolerance=0.02,
    **OF_FLAGS,
  )
  input_gen = BalancedInputGen(split.outputs['examples'], **OF_FLAGS)
  again = tfx.components.StatisticsGen(input_gen.outputs['examples']).with_id('again')
  published = run_pipeline(tmp_path, [source, split, statistics, gate, input_gen, again])
  (found,) = published.of_node('BalancedInputGen', 'Examples')
  splits = read_splits(found.uri)
  assert sorted(splits['train'] + splits['eval']) == sorted(flag_records())
  (anomalies,) = published.of_node('ClassDistributionValidator', 'ExampleAnomalies')
  checks = json.loads(Path(anomalies.uri, 'class_checks.json').read_text())
  assert {row['class']['value']: sum(row['splits'].values()) for row in checks['counts']} == {
    name: int(n) for name, n in zip(FLAGS, HAS.sum(axis=0), strict=True)
  }
  (stock,) = published.of_node('again', 'ExampleStatistics')
  assert Path(stock.uri, 'Split-train', 'FeatureStats.pb').exists()
  page = render_page(read_run([split_uri(published), anomalies.uri, found.uri]))
  assert 'f0, f1, f2, f3, f4' in page


def split_uri(published):
  return published.of_node('StratifiedSplitter', 'Examples')[0].uri
