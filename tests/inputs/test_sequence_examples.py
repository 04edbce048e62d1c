"""tf.SequenceExamples are parsed by their context and feature lists, from specs and schemas."""

import types

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.documents.balanced_input import PLAN_NAME, InputPlan
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import example, write_artifact, write_file

INT = tf.int64
CONTEXT = {'id': tf.io.FixedLenFeature([], INT), 'label': tf.io.FixedLenFeature([], INT)}
LISTS = {
  'ragged': {'tokens': tf.io.RaggedFeature(INT), 'pair': tf.io.RaggedFeature(INT)},
  'sparse': {'tokens': tf.io.VarLenFeature(INT), 'pair': tf.io.VarLenFeature(INT)},
  'dense': {
    'tokens': tf.io.RaggedFeature(INT),
    'pair': tf.io.FixedLenSequenceFeature([], INT),
  },
}
SCHEMA = """
feature { name: "id" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "label" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature {
  name: "##SEQUENCE##" type: STRUCT presence { min_fraction: 1 } value_count { min: 1 max: 1 }
  struct_domain {
    feature { name: "pair" type: INT shape { dim { size: 2 } dim { size: 1 } } }
    feature {
      name: "tokens" type: INT
      value_counts { value_count { min: 1 } value_count { min: 2 max: 2 } }
    }
  }
}
"""


def tokens(record):
  """Returns what a record has: 1 to 3 steps of two values each."""
  return [[record, step] for step in range(record % 3 + 1)]


def ints(values):
  return tf.train.Feature(int64_list=tf.train.Int64List(value=values))


def sequence(record, label):
  lists = {
    'tokens': tf.train.FeatureList(feature=[ints(step) for step in tokens(record)]),
    'pair': tf.train.FeatureList(feature=[ints([record]), ints([7])]),
  }
  return tf.train.SequenceExample(
    context=tf.train.Features(feature={'id': ints([record]), 'label': ints([label])}),
    feature_lists=tf.train.FeatureLists(feature_list=lists),
  ).SerializeToString()


def rows(value):
  if isinstance(value, tf.SparseTensor):
    value = value.values
  return value.to_list() if isinstance(value, tf.RaggedTensor) else value.numpy().tolist()


def check(dataset, n_batches, sparse=False):
  """Checks every record of some batches against its id."""
  for features, _ in dataset.take(n_batches):
    ids = features['id'].numpy().reshape(-1).tolist()
    assert sorted(features) == ['id', 'pair', 'tokens']
    pairs, found = np.array(rows(features['pair'])).reshape(-1, 2), features['tokens']
    assert pairs.tolist() == [[i, 7] for i in ids]
    flat = found.values if sparse else found.flat_values
    assert flat.numpy().tolist() == [v for i in ids for step in tokens(i) for v in step]
    if not sparse:
      assert rows(found) == [tokens(i) for i in ids]
  return sum(len(label) for _, label in dataset.take(n_batches))


@pytest.fixture
def artifact(tmp_path):
  root = tmp_path / 'artifact'
  plan = write_artifact(root, [9, 4], make=sequence)
  said = InputPlan(
    plan.label, plan.classes, plan.natural, plan.files, payload_format='FORMAT_TF_SEQUENCE_EXAMPLE'
  )
  (root / PLAN_NAME).write_text(said.dumps())
  (root / 'Split-eval').mkdir()
  write_file(root / 'Split-eval/e.gz', [sequence(i, i % 2) for i in range(6)])
  return root


@pytest.mark.parametrize('kind', LISTS)
@pytest.mark.parametrize('budget', [1 << 30, 0], ids=['held', 'streamed'])
@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_load_gives_context_and_lists(kind, budget, artifact):
  spec = {**CONTEXT, '##SEQUENCE##': LISTS[kind]}
  made = BalancedInputs.load(str(artifact), spec, memory_budget=budget)
  assert check(made.train(4), 5, kind == 'sparse') == 20
  assert check(made.eval(4), 9, kind == 'sparse') == 6
  assert check(made.eval(4, split='train'), 9, kind == 'sparse') == 13


@pytest.mark.parametrize('kind', LISTS)
def test_from_files_gives_context_and_lists(kind, tmp_path):
  write_file(tmp_path / 'a', [sequence(i, i % 2) for i in range(7)])
  spec = {**CONTEXT, '##SEQUENCE##': LISTS[kind]}
  made = BalancedInputs.from_files(str(tmp_path / 'a'), 'label', spec)
  assert check(made.train(4), 5, kind == 'sparse') == 20
  assert check(made.eval(4, data=made, label_as='index'), 9, kind == 'sparse') == 7


def test_from_fn_args_takes_the_schema_of_schema_gen(artifact, tmp_path):
  (tmp_path / 'schema.pbtxt').write_text(SCHEMA)
  made = BalancedInputs.from_fn_args(
    types.SimpleNamespace(
      train_files=[f'{artifact}/Split-train/*'],
      eval_files=[f'{artifact}/Split-eval/*'],
      schema_path=str(tmp_path / 'schema.pbtxt'),
    )
  )
  assert made.feature_spec['label'].shape == [1]
  assert check(made.train(4), 5) == 20
  assert check(made.eval(4, label_as='index'), 9) == 6


def test_a_feature_in_the_other_place_is_refused_and_not_empty(artifact, tmp_path):
  flat = {**CONTEXT, 'tokens': tf.io.VarLenFeature(INT)}
  text = "feature 'tokens' is in the feature lists of the records, and .* give it as {'##SEQ"
  made = BalancedInputs.load(str(artifact), flat)
  for call in (made.train, made.eval):
    with pytest.raises(ConfigError, match=text):
      call(4)
  write_file(tmp_path / 'a', [sequence(i, i % 2) for i in range(7)])
  with pytest.raises(ConfigError, match=text):
    BalancedInputs.from_files(str(tmp_path / 'a'), 'label', flat)
  write_file(tmp_path / 'b', [example(i, i % 2) for i in range(7)])
  spec = {'label': CONTEXT['label'], '##SEQUENCE##': {'id': tf.io.RaggedFeature(INT)}}
  with pytest.raises(ConfigError, match=r"feature 'id' is not in the feature lists .* take it out"):
    BalancedInputs.from_files(str(tmp_path / 'b'), 'label', spec)


def test_the_context_alone_is_read_without_lists(artifact):
  made = BalancedInputs.load(str(artifact), CONTEXT)
  assert [sorted(features) for features, _ in made.train(4).take(1)] == [['id']]


@pytest.mark.parametrize(
  ('lists', 'text'),
  [
    ({'tokens': tf.io.FixedLenFeature([], INT)}, "'tokens': FixedLenFeature.* is not; give for"),
    ({'id': tf.io.RaggedFeature(INT)}, "'id' is in the context and in '##SEQUENCE##'.* leave one"),
    (7, '##SEQUENCE##=7 must be a'),
  ],
  ids=['fixed', 'twice', 'number'],
)
def test_wrong_lists_are_refused(lists, text, artifact):
  with pytest.raises((ConfigError, DataError), match=text):
    BalancedInputs.load(str(artifact), {**CONTEXT, '##SEQUENCE##': lists})


def test_a_plan_of_examples_is_written_as_before(tmp_path):
  plan = write_artifact(tmp_path / 'a', [2, 2])
  assert 'payload_format' not in plan.to_json()
  assert InputPlan.from_json(plan.dumps()).payload_format == 'FORMAT_TF_EXAMPLE'
