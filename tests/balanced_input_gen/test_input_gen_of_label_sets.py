"""Records laid out by label set, and batches of them in which labels have their shares."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance import BalancedInputGen, StratifiedSplitter
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.errors import ConfigError
from tfx_balance.inputs import BalancedInputs

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
  made = BalancedInputs.load(found.uri, SPEC)
  with pytest.raises(tf.errors.InvalidArgumentError, match='a label is not in the plan'):
    ids(made.train(8), 10)
  path.write_text(text.replace('"t1"', '"x"').replace('"t2"', '"t1"').replace('"x"', '"t2"'))
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
