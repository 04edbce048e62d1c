"""All components that write examples, between stock components: one pipeline by LocalDagRunner.

Each stock component is slow, so that one run of it serves all that surrounds it.
"""

import json
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tfx.v1 as tfx
from tfx.types import artifact_utils
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.augment import ImageAugment

from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  class_counts,
  expected_targets,
)
from tests.balanced_augmenter.helpers_data import digits
from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, read_plan
from tests.e2e import stock_code
from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar
from tests.helpers_examples import (
  all_bytes,
  in_shards,
  read_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import run_pipeline

pytestmark = pytest.mark.e2e

CODE = 'tests.e2e.stock_code'
COUNTS = (170, 100, 60, 35, 20, 12, 10, 10, 10, 10)  # enough for each split to have every class
WEIGHTS = {'train': 8, 'eval': 1, 'test': 1}
EMPTY = {**WEIGHTS, 'spare': 1e-9}  # whose share of 437 records is none
IMAGE = ImageAugment('pixels', rotation=10, shape=(8, 8, 1), value_range=(0, 16))


def canonical(records):
  """Returns records with their features in the order of their names; ExampleGen gives another."""
  return [
    tf.train.Example.FromString(record).SerializeToString(deterministic=True) for record in records
  ]


def output_of(published, node, type_name='Examples'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node, type_name)
  return artifact


def splits_of(published, node):
  return read_splits(output_of(published, node).uri)


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
  """Runs digits through all of them, to two Trainers: with the plan and without."""
  folder = tmp_path_factory.mktemp('stock')
  for i, shard in enumerate(in_shards(digits(COUNTS), 2)):
    write_tfrecords(folder / 'data' / 'span-3' / 'v2' / f'part-{i}', shard)
  pattern = tfx.proto.Input.Split(name='all', pattern='span-{SPAN}/v{VERSION}/*')
  gen = tfx.components.ImportExampleGen(
    input_base=str(folder / 'data'), input_config=tfx.proto.Input(splits=[pattern])
  )
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], splits=EMPTY)
  natural = splitter.outputs['examples']
  joined = BalancedAugmenter(examples=natural, sampling_strategy=0.5).with_id('Joined')
  apart = BalancedAugmenter(
    examples=natural, augment_fn=IMAGE, augmented_split='train_augmented'
  ).with_id('Apart')
  statistics = [
    tfx.components.StatisticsGen(examples=one.outputs['examples']).with_id(f'Statistics{one.id}')
    for one in (joined, apart)
  ]
  # Without records SchemaGen sees no feature either, and marks those of the other splits as gone.
  schema = tfx.components.SchemaGen(
    statistics=statistics[1].outputs['statistics'], exclude_splits=['spare']
  )
  transform = tfx.components.Transform(
    examples=apart.outputs['examples'],
    schema=schema.outputs['schema'],
    preprocessing_fn=f'{CODE}.preprocessing_fn',
    disable_statistics=True,
    disable_analyzer_cache=True,
    splits_config=tfx.proto.SplitsConfig(analyze=['train'], transform=['train_augmented', *EMPTY]),
  )
  input_gen = BalancedInputGen(
    examples=transform.outputs['transformed_examples'],
    label='class_id',
    train_splits=['train', 'train_augmented'],
    seed=3,
  )
  after = tfx.components.StatisticsGen(examples=input_gen.outputs['examples'])
  trainers = [
    tfx.components.Trainer(
      run_fn=f'{CODE}.run_fn',
      examples=input_gen.outputs['examples'],
      transform_graph=transform.outputs['transform_graph'],
      **more,
    ).with_id(node)
    for node, more in {
      'WithPlan': {'hyperparameters': input_gen.outputs['hyperparameters']},
      'WithoutPlan': {},
    }.items()
  ]
  nodes = [gen, splitter, joined, apart, *statistics, schema, transform]
  return run_pipeline(
    folder, [*nodes, input_gen, after.with_id('StatisticsBalancedInputGen'), *trainers]
  )


def transformed(stock):
  (artifact,) = (a for a in stock.of_node('Transform') if 'transformed_examples' in a.uri)
  return artifact


def told(stock, node):
  """Returns what a Trainer read."""
  folder = Path(output_of(stock, node, 'Model').uri)
  (path,) = folder.rglob(stock_code.TOLD)
  return json.loads(path.read_text())


def test_digits_are_split_exactly(stock):
  splits, records = splits_of(stock, 'StratifiedSplitter'), digits(COUNTS)
  assert_conserved(
    {name: canonical(of_split) for name, of_split in splits.items()}, canonical(records)
  )
  assert_exact(splits, EMPTY)
  assert splits['spare'] == []
  sidecar = assert_sidecar(output_of(stock, 'StratifiedSplitter').uri, EMPTY)
  assert any(text.startswith("split 'spare' is empty") for text in sidecar['warnings'])


def test_digits_are_balanced_exactly(stock):
  before, after = splits_of(stock, 'StratifiedSplitter'), splits_of(stock, 'Joined')
  targets = expected_targets(class_counts(before['train']), 0.5)
  assert len(set(targets.values())) > 1
  assert_balanced(before['train'], after['train'], targets)
  natural = {'train': before['train']}
  assert_balance_sidecar(output_of(stock, 'Joined').uri, natural, {'train': targets})


def test_copies_of_digits_are_apart_from_their_originals(stock):
  natural, apart = (Path(output_of(stock, n).uri) for n in ('StratifiedSplitter', 'Apart'))
  for name in EMPTY:
    assert all_bytes(apart / f'Split-{name}') == all_bytes(natural / f'Split-{name}')
  splits = read_splits(apart)
  whole = class_counts(splits['train'] + splits['train_augmented'])
  assert set(whole.values()) == {max(class_counts(splits['train']).values())}
  before, targets = {'train': splits['train']}, {'train': dict(whole)}
  assert_balance_sidecar(apart, before, targets, 'train_augmented')


@pytest.mark.parametrize('node', ['Joined', 'Apart', 'BalancedInputGen'])
def test_statistics_gen_agrees_with_the_counts(stock, node):
  uri, splits = (
    output_of(stock, f'Statistics{node}', 'ExampleStatistics').uri,
    splits_of(stock, node),
  )
  assert {'eval', 'test', 'spare', 'train'} <= set(splits)
  for name, records in splits.items():
    (found,) = tfdv.load_stats_binary(f'{uri}/Split-{name}/FeatureStats.pb').datasets
    assert found.num_examples == len(records)
    counted = {
      bucket.label.encode(): int(bucket.sample_count)
      for feature in found.features
      if feature.path.step == ['label']
      for bucket in feature.string_stats.rank_histogram.buckets
    }
    assert counted == class_counts(records)


def test_transform_reads_every_split(stock):
  found, splits = read_splits(transformed(stock).uri), splits_of(stock, 'Apart')
  assert {name: class_counts(records) for name, records in found.items()} == {
    name: class_counts(records) for name, records in splits.items()
  }
  assert set(splits) == {'train_augmented', *EMPTY}


def number_of(artifact, name):
  """Returns a span or a version, which ExampleGen writes as a property, or as a custom one."""
  value = artifact.custom_properties.get(name) or artifact.properties[name]
  return value.int_value or int(value.string_value)


NAMES = ('payload_format', 'file_format', 'span', 'version')


@pytest.mark.parametrize(
  ('node', 'more'),
  [('StratifiedSplitter', []), ('Joined', []), ('Apart', ['train_augmented'])],
  ids=['splitter', 'joined', 'apart'],
)
def test_the_properties_of_example_gens_output_are_carried_over(stock, node, more):
  # The nearest peer drops them.
  before, after = output_of(stock, 'ImportExampleGen'), output_of(stock, node)
  for kind in ('properties', 'custom_properties'):
    carried = {name: getattr(before, kind)[name] for name in NAMES if name in getattr(before, kind)}
    found = {name: getattr(after, kind)[name] for name in NAMES if name in getattr(after, kind)}
    assert found == carried
  assert set(NAMES) <= set(before.properties) | set(before.custom_properties)
  assert after.custom_properties['payload_format'].string_value == 'FORMAT_TF_EXAMPLE'
  assert after.custom_properties['file_format'].string_value == 'tfrecords_gzip'
  assert [number_of(after, name) for name in ('span', 'version')] == [3, 2]
  names = artifact_utils.decode_split_names(after.properties['split_names'].string_value)
  assert sorted(names) == sorted([*EMPTY, *more])


def test_what_transform_wrote_is_laid_out(stock):
  before = transformed(stock)
  assert 'payload_format' not in before.custom_properties  # Transform drops it
  splits = read_splits(before.uri)
  uri = output_of(stock, 'BalancedInputGen').uri
  merged = {name: splits[name] for name in ('train', 'train_augmented')}
  plan = assert_laid_out(uri, merged, 'class_id')
  assert plan['natural']['train_augmented'][0] == 0  # the largest class, of which are no copies
  for name in ('eval', 'test', 'spare'):
    assert all_bytes(f'{uri}/Split-{name}') == all_bytes(f'{before.uri}/Split-{name}')
  names = output_of(stock, 'BalancedInputGen').properties['split_names'].string_value
  assert sorted(artifact_utils.decode_split_names(names)) == sorted(EMPTY)


@pytest.mark.parametrize('node', ['WithPlan', 'WithoutPlan'])
def test_a_trainer_gets_exact_batches(stock, node):
  found = told(stock, node)
  assert found['has_plan'] == (node == 'WithPlan')
  for labels in found['balanced']:
    assert len(labels) == stock_code.BATCH
    assert set(Counter(labels).values()) == {2, 3}
    assert set(labels) == set(range(10))
  drawn = Counter(n for labels in found['balanced'] for n in labels)
  assert set(drawn.values()) == {stock_code.BATCH * stock_code.STEPS // 10}
  assert found['natural'] == read_plan(output_of(stock, 'BalancedInputGen').uri)['natural']
  assert found['evaluated'] == len(splits_of(stock, 'StratifiedSplitter')['eval']) > 30


def test_a_trainer_gets_the_same_batches_with_the_plan_and_without(stock):
  assert told(stock, 'WithPlan')['balanced'] == told(stock, 'WithoutPlan')['balanced']


def test_the_stock_reader_gets_one_class_after_another(stock):
  # The README warns of it: who trains on this order, unshuffled, gets batches of one class.
  labels = told(stock, 'WithPlan')['stock']
  assert [value for value, _ in groupby(labels)] == list(range(10))
  assert Counter(labels) == class_counts(splits_of(stock, 'BalancedInputGen')['train'], 'class_id')


def test_the_plan_is_the_hyperparameters(stock):
  (path,) = Path(output_of(stock, 'BalancedInputGen', 'HyperParameters').uri).iterdir()
  assert path.name == 'best_hyperparameters.txt'  # as the Tuner has it
  assert json.loads(path.read_text()) == read_plan(output_of(stock, 'BalancedInputGen').uri)
