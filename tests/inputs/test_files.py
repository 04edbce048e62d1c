"""Plans and files: the same promises, and every fault of the data is named."""

import json
import re
import resource
import types
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.documents.balanced_input import PLAN_NAME
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs, staging
from tfx_balance.inputs.file_source import SegmentTable
from tfx_balance.inputs.record_files import RECORD_OVERHEAD
from tfx_balance.tfrecord.storage import write_whole

from tests.inputs.helpers_inputs import SPEC, example, write_artifact, write_file

COUNTS = (60, 20, 7, 1)


@pytest.fixture
def artifact(tmp_path):
  write_artifact(tmp_path / 'a', COUNTS, per_file=15, shared_below=10)
  return str(tmp_path / 'a')


def ids(dataset, n):
  return [(f['id'].numpy().tolist(), label.numpy().tolist()) for f, label in dataset.take(n)]


@pytest.mark.parametrize('budget', [1 << 30, 900, 1], ids=['held', 'part streamed', 'streamed'])
@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_every_record_is_shown_once_a_pass_whatever_is_held(artifact, budget):
  made = BalancedInputs.load(artifact, SPEC, memory_budget=budget)
  batches = ids(made.train(8), 60)
  for record, label in batches:
    assert [int(np.searchsorted(np.cumsum(COUNTS), r, side='right')) for r in record] == label
    assert np.bincount(label, minlength=4).tolist() == [2, 2, 2, 2]
  shown = [r for record, _ in batches for r in record if r < 60]
  assert sorted(shown[:60]) == sorted(shown[60:120]) == list(range(60))
  assert shown[:60] != shown[60:120]


def test_the_natural_order_is_whole_passes_when_streamed(artifact):
  made = BalancedInputs.load(artifact, SPEC, memory_budget=20_000)
  record = [r for batch, _ in ids(made.train(11, 'natural'), 16) for r in batch]
  assert sorted(record[:88]) == sorted(record[88:]) == list(range(88))


def test_streaming_past_the_budget_says_what_it_takes(artifact):
  with pytest.warns(UserWarning, match=r'memory_budget=900 .* needs \d+ bytes'):
    BalancedInputs.load(artifact, SPEC, memory_budget=900).train(8)


def test_files_in_any_order_are_read_by_label(tmp_path):
  rng = np.random.default_rng(0)
  labels = rng.permutation(np.repeat([0, 1, 2], [50, 9, 1]))
  write_file(tmp_path / 'a.gz', [example(i, int(label)) for i, label in enumerate(labels[:30])])
  write_file(tmp_path / 'b', [example(i + 30, int(label)) for i, label in enumerate(labels[30:])])
  made = BalancedInputs.from_files([str(tmp_path / '*')], 'label', SPEC)
  for record, label in ids(made.train(9), 20):
    assert np.bincount(label).tolist() == [3, 3, 3]
    assert labels[record].tolist() == label
  assert [r for batch, _ in ids(made.eval(7), 99) for r in batch] == list(range(60))
  with pytest.raises(DataError, match='more than memory_budget=99 bytes'):
    BalancedInputs.from_files([str(tmp_path / '*')], 'label', SPEC, memory_budget=99)
  with pytest.raises(DataError, match='matches no file'):
    BalancedInputs.from_files([str(tmp_path / 'x*')], 'label', SPEC)


def test_bytes_labels_and_labels_of_variable_length(tmp_path):
  write_file(tmp_path / 'a', [example(i, b'cat' if i % 5 else b'dog') for i in range(20)])
  spec = {**SPEC, 'label': tf.io.VarLenFeature(tf.string)}
  made = BalancedInputs.from_files(str(tmp_path / 'a'), 'label', spec)
  ((_, label),) = list(made.train(6).take(1))
  assert sorted(label.values.numpy()) == [b'cat'] * 3 + [b'dog'] * 3
  ((_, index),) = list(made.eval(20, label_as='index').take(1))
  assert index.numpy().tolist() == [0 if i % 5 else 1 for i in range(20)]


def schema_text():
  return ''.join(
    f'feature {{ name: "{name}" type: INT presence {{ min_fraction: 1 }} shape {{}} }}\n'
    for name in ('id', 'label')
  )


@pytest.mark.parametrize('with_plan', [True, False], ids=['hyperparameters', 'sidecar'])
@pytest.mark.parametrize('with_graph', [True, False], ids=['transform graph', 'schema'])
def test_a_trainers_arguments_are_enough(artifact, tmp_path, with_plan, with_graph):
  (tmp_path / 'g' / 'transformed_metadata').mkdir(parents=True)
  schema = tmp_path / 'g' / 'transformed_metadata' / 'schema.pbtxt'
  schema.write_text(schema_text())
  write_file(tmp_path / 'e.gz', [example(i, 3) for i in range(5)])
  plan = json.loads((Path(artifact) / PLAN_NAME).read_text())
  fn_args = types.SimpleNamespace(
    train_files=[f'{artifact}/Split-train/*'],
    eval_files=[str(tmp_path / 'e.gz')],
    hyperparameters=plan if with_plan else {'space': []},
    transform_graph_path=str(tmp_path / 'g') if with_graph else None,
    schema_path=None if with_graph else str(schema),
  )
  made = BalancedInputs.from_fn_args(fn_args)
  assert [np.bincount(label).tolist() for _, label in ids(made.train(4), 3)] == [[1] * 4] * 3
  assert ids(made.eval(9), 9) == [(list(range(5)), [3] * 5)]
  assert len(list(made.eval(9, label_as='index'))) == 1


def test_the_splits_of_an_artifact_are_evaluated_by_name(artifact):
  made = BalancedInputs.load(artifact, SPEC)
  assert sum(len(r) for r, _ in ids(made.eval(50, split='train'), 9)) == 88
  with pytest.raises(DataError, match=r"split 'eval' is not in \['train'\]"):
    made.eval(50)


def test_an_eval_label_that_is_no_class_is_named(artifact, tmp_path):
  (Path(artifact) / 'Split-eval').mkdir()
  write_file(Path(artifact) / 'Split-eval' / 'x.gz', [example(0, 77)])
  made = BalancedInputs.load(artifact, SPEC)
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'a label is not in the plan[\s\S]*77'):
    list(made.eval(5, label_as='index'))


def test_a_label_that_is_not_the_plans_is_named(tmp_path):
  write_artifact(tmp_path / 'a', (5, 5), labels={1: 9})
  made = BalancedInputs.load(str(tmp_path / 'a'), SPEC)
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=r'not the one that the plan says[\s\S]*9'
  ):
    next(iter(made.train(4)))


def test_a_missing_file_is_named_at_once(artifact):
  path = 'Split-train/data_tfrecord-00001-of-00007.gz'
  (Path(artifact) / path).unlink()
  with pytest.raises(DataError, match=f'{path} does not exist, and the plan names it'):
    BalancedInputs.load(artifact, SPEC)


def test_a_file_of_other_length_is_named(artifact):
  path = Path(artifact) / 'Split-train/data_tfrecord-00001-of-00007.gz'
  write_file(path, [example(15, 0)])
  with pytest.raises(DataError, match=r'00001-of-00007.gz holds 1 records, and the plan says 15'):
    BalancedInputs.load(artifact, SPEC).train(8)


@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_a_streamed_file_that_vanishes_is_named(artifact):
  made = BalancedInputs.load(artifact, SPEC, memory_budget=900).train(8)
  for path in Path(artifact, 'Split-train').glob('*'):
    path.unlink()
  with pytest.raises(tf.errors.InvalidArgumentError, match='does not exist; put it back'):
    list(made.take(50))


@pytest.mark.parametrize(
  ('spec', 'message'),
  [
    (None, 'feature_spec=None, and the files must be parsed'),
    ({'id': SPEC['id']}, r"label 'label' is not in the feature spec, which has \['id'\]"),
    ({'label': tf.io.FixedLenFeature([], tf.string)}, 'is string in the feature spec'),
  ],
)
def test_a_feature_spec_that_does_not_fit_is_refused(artifact, spec, message):
  if spec is None or 'label' in spec:
    with pytest.raises(ConfigError, match=message):
      BalancedInputs.load(artifact).train(8, feature_spec=spec)
  else:
    with pytest.raises((ConfigError, KeyError)):
      BalancedInputs.load(artifact).train(8, feature_spec=spec)


def test_what_is_no_artifact_is_refused(tmp_path):
  with pytest.raises(DataError, match='cannot be read; give the examples that BalancedInputGen'):
    BalancedInputs.load(str(tmp_path))
  with pytest.raises(ConfigError, match='train_files is empty'):
    BalancedInputs.from_fn_args(types.SimpleNamespace(train_files=[]))


def test_two_iterators_over_a_thousand_classes_need_few_descriptors(tmp_path):
  write_artifact(tmp_path / 'a', [2] * 1000)
  soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
  resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
  try:
    dataset = BalancedInputs.load(str(tmp_path / 'a'), SPEC).train(500)
    first, second = iter(dataset), iter(dataset)
    for _ in range(4):
      assert next(first)[0]['id'].numpy().tolist() == next(second)[0]['id'].numpy().tolist()
  finally:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize('budget', [1 << 30, 1000], ids=['held', 'streamed'])
@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_ten_thousand_classes_that_share_a_file_work(tmp_path, budget):
  write_artifact(tmp_path / 'a', [1] * 10_000, shared_below=2)
  dataset = BalancedInputs.load(str(tmp_path / 'a'), SPEC, memory_budget=budget).train(500)
  labels = [label for _, batch in ids(dataset, 40) for label in batch]
  assert (np.bincount(labels) == 2).all()


def test_a_file_that_classes_share_counts_once(tmp_path):
  plan = write_artifact(tmp_path / 'a', [5] * 10, shared_below=10)
  table = SegmentTable.of(plan, memory_budget=100)
  assert not table.in_memory.any()
  assert table.window_bytes <= plan.files[0].n_bytes + 50 * RECORD_OVERHEAD


def test_a_plan_of_a_newer_version_is_refused(artifact):
  path = Path(artifact) / PLAN_NAME
  path.write_text(path.read_text().replace('"version": 2', '"version": 3'))
  with pytest.raises(DataError, match=r'has version 3 of tfx_balance\.balanced_input'):
    BalancedInputs.load(artifact, SPEC)


@pytest.mark.parametrize('place', ['/', 's3://bucket/run'])
@pytest.mark.parametrize(
  ('old', 'new', 'fault'),
  [
    pytest.param(
      b'"seed": 5', b'"seed": 1', 'has the checksum [0-9a-f]{12}…, and its val', id='seed'
    ),
    pytest.param(b'"seed"', b'"see\xff"', 'is not JSON .*byte 0xff in position', id='not UTF-8'),
    pytest.param(b'"seed": 5', b'"seed" 5', 'is not JSON .*line 6 column 10', id='not JSON'),
  ],
)
def test_a_damaged_plan_is_named_by_its_own_path(artifact, monkeypatch, place, old, new, fault):
  path = Path(artifact) / PLAN_NAME
  path.write_bytes(path.read_bytes().replace(old, new))
  uri = artifact
  if place != '/':  # stands for a bucket
    files = {str(p).replace(artifact, place): p for p in Path(artifact).rglob('*') if p.is_file()}
    bucket = types.SimpleNamespace(
      times=lambda uri: {name: 0 for name in files if name.startswith(f'{uri}/')}
    )
    monkeypatch.setattr(staging, 'storage_of', lambda uri: bucket)
    monkeypatch.setattr(
      staging, 'copy', lambda source, target: write_whole(target, files[source].read_bytes())
    )
    staging._copied.cache_clear()
    uri = place
  for make in (
    BalancedInputs.load,
    lambda uri: BalancedInputs.from_fn_args(
      types.SimpleNamespace(train_files=[f'{uri}/Split-train/*'])
    ),
  ):
    with pytest.raises(DataError, match=f'^{re.escape(uri)}/{PLAN_NAME} {fault}'):
      make(uri)


def test_a_changed_plan_in_the_hyperparameters_is_refused(artifact):
  plan = json.loads((Path(artifact) / PLAN_NAME).read_text())
  arguments = types.SimpleNamespace(
    train_files=[f'{artifact}/Split-train/*'], hyperparameters={**plan, 'seed': 1}
  )
  with pytest.raises(
    DataError, match=r'^fn_args\.hyperparameters, the plan of .*, has the checksum'
  ):
    BalancedInputs.from_fn_args(arguments)


def test_paths_with_brackets_are_no_patterns(tmp_path):
  root = tmp_path / 'run [1]*'
  write_artifact(root, (4, 2))
  (root / 'Split-eval').mkdir()
  write_file(root / 'Split-eval' / 'x[0].gz', [example(i, i % 2) for i in range(6)])
  made = BalancedInputs.load(str(root), SPEC)
  assert sum(len(record) for record, _ in ids(made.eval(4), 9)) == 6
  arguments = types.SimpleNamespace(
    train_files=[f'{root}/Split-train/*'], eval_files=[f'{root}/Split-eval/x*']
  )
  made = BalancedInputs.from_fn_args(arguments).with_feature_spec(SPEC)
  assert sum(len(record) for record, _ in ids(made.eval(4), 9)) == 6
  for files in (f'{root}/Split-eval/x[0].gz', f'{root}/Split-eval/*'):
    made = BalancedInputs.from_files(files, 'label', SPEC)
    assert len(ids(made.train(4), 1)) == 1
    assert made.source.counts.records == (3, 3)
