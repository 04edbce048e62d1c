"""BalancedInputGen between stock components, run by LocalDagRunner."""

import json
from collections import Counter
from itertools import groupby
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tfx.v1 as tfx
from tfx.types import artifact_utils, channel_utils
from tfx_balance import BalancedAugmenter, BalancedInputGen
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.balanced_augmenter.helpers_data import data_file, digits
from tests.balanced_input_gen import training
from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, class_counts, read_plan
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  in_shards,
  labelled,
  read_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import (
  WORKER_PROCESSES,
  Published,
  execute,
  importer,
  input_artifact,
  run_pipeline,
)

HERE = 'tests.balanced_input_gen'


def output_of(published, node='BalancedInputGen', type_name='Examples'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node, type_name)
  return artifact


def only_file(folder, source):
  """Links a file into a folder of its own, as file based ExampleGens want it."""
  folder.mkdir()
  (folder / source.name).symlink_to(source)
  return str(folder)


def later(name, ptype, default):
  return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
  """Runs digits through the whole way to two Trainers, with the plan and without."""
  folder = tmp_path_factory.mktemp('stock')
  records = digits()
  # The last ones are of the frequent classes.
  for name, shard in {'train': records[:-30], 'eval': records[-30:]}.items():
    write_tfrecords(folder / 'data' / name / 'part', shard)
  splits = [tfx.proto.Input.Split(name=n, pattern=f'{n}/*') for n in ('train', 'eval')]
  gen = tfx.components.ImportExampleGen(
    input_base=str(folder / 'data'), input_config=tfx.proto.Input(splits=splits)
  )
  augmenter = BalancedAugmenter(
    examples=gen.outputs['examples'], sampling_strategy=0.2, augmented_split='train_augmented'
  )
  statistics = tfx.components.StatisticsGen(examples=gen.outputs['examples'])
  schema = tfx.components.SchemaGen(statistics=statistics.outputs['statistics'])
  transform = tfx.components.Transform(
    examples=augmenter.outputs['examples'],
    schema=schema.outputs['schema'],
    preprocessing_fn=f'{HERE}.preprocessing.preprocessing_fn',
    disable_statistics=True,
    disable_analyzer_cache=True,
    splits_config=tfx.proto.SplitsConfig(
      analyze=['train'], transform=['train', 'train_augmented', 'eval']
    ),
  )
  input_gen = BalancedInputGen(
    examples=transform.outputs['transformed_examples'],
    label='class_id',
    train_splits=['train', 'train_augmented'],
    seed=3,
  )
  after = tfx.components.StatisticsGen(examples=input_gen.outputs['examples']).with_id('After')
  trainers = [
    tfx.components.Trainer(
      run_fn=f'{HERE}.training.run_fn',
      examples=input_gen.outputs['examples'],
      transform_graph=transform.outputs['transform_graph'],
      **more,
    ).with_id(node)
    for node, more in {
      'WithPlan': {'hyperparameters': input_gen.outputs['hyperparameters']},
      'WithoutPlan': {},
    }.items()
  ]
  nodes = [gen, augmenter, statistics, schema, transform, input_gen, after, *trainers]
  return run_pipeline(folder, nodes)


def transformed(stock):
  (artifact,) = (a for a in stock.of_node('Transform') if 'transformed_examples' in a.uri)
  return artifact


def told(stock, node):
  """Returns what a Trainer read."""
  folder = Path(output_of(stock, node, 'Model').uri)
  (path,) = folder.rglob(training.TOLD)
  return json.loads(path.read_text())


def test_what_transform_wrote_is_laid_out(stock):
  before = transformed(stock)
  assert 'payload_format' not in before.custom_properties  # Transform drops it
  splits = read_splits(before.uri)
  uri = output_of(stock).uri
  merged = {name: splits[name] for name in ('train', 'train_augmented')}
  plan = assert_laid_out(uri, merged, 'class_id')
  assert plan['natural']['train_augmented'][0] == 0  # the largest class, of which are no copies
  assert all_bytes(f'{uri}/Split-eval') == all_bytes(f'{before.uri}/Split-eval')
  names = output_of(stock).properties['split_names'].string_value
  assert artifact_utils.decode_split_names(names) == ['train', 'eval']


@pytest.mark.parametrize('node', ['WithPlan', 'WithoutPlan'])
def test_a_trainer_gets_exact_batches(stock, node):
  found = told(stock, node)
  assert found['has_plan'] == (node == 'WithPlan')
  for labels in found['balanced']:
    assert len(labels) == training.BATCH
    assert set(Counter(labels).values()) == {2, 3}
    assert set(labels) == set(range(10))
  drawn = Counter(n for labels in found['balanced'] for n in labels)
  assert set(drawn.values()) == {training.BATCH * training.STEPS // 10}
  assert found['natural'] == read_plan(output_of(stock).uri)['natural']
  assert found['evaluated'] == 30


def test_a_trainer_gets_the_same_batches_with_the_plan_and_without(stock):
  assert told(stock, 'WithPlan')['balanced'] == told(stock, 'WithoutPlan')['balanced']


def test_the_stock_reader_gets_one_class_after_another(stock):
  # The README warns of it: who trains on this order, unshuffled, gets batches of one class.
  labels = told(stock, 'WithPlan')['stock']
  assert [value for value, _ in groupby(labels)] == list(range(10))
  assert Counter(labels) == class_counts(read_splits(output_of(stock).uri)['train'], 'class_id')


def test_statistics_gen_reads_every_split(stock):
  uri = output_of(stock, 'After', 'ExampleStatistics').uri
  for name, records in read_splits(output_of(stock).uri).items():
    (found,) = tfdv.load_stats_binary(f'{uri}/Split-{name}/FeatureStats.pb').datasets
    assert found.num_examples == len(records)


def test_the_plan_is_the_hyperparameters(stock):
  (path,) = Path(output_of(stock, type_name='HyperParameters').uri).iterdir()
  assert path.name == 'best_hyperparameters.txt'  # as the Tuner has it
  assert json.loads(path.read_text()) == read_plan(output_of(stock).uri)


def test_mnist_and_penguins_are_laid_out(tmp_path):
  mnist, penguins = data_file('mnist.tfrecord'), data_file('penguins_processed.csv')
  images = tfx.components.ImportExampleGen(input_base=only_file(tmp_path / 'images', mnist))
  table = tfx.components.CsvExampleGen(input_base=only_file(tmp_path / 'table', penguins))
  labels = {'image_class': images, 'species': table}
  nodes = [
    BalancedInputGen(examples=gen.outputs['examples'], label=label).with_id(label)
    for label, gen in labels.items()
  ]
  published = run_pipeline(tmp_path, [images, table, *nodes])
  for label, gen in labels.items():
    before, uri = read_splits(output_of(published, gen.id).uri), output_of(published, label).uri
    assert_laid_out(uri, {'train': before['train']}, label)
    assert read_splits(uri)['eval'] == before['eval']
    spec = {label: tf.io.FixedLenFeature([], tf.int64)}
    ((_, drawn),) = BalancedInputs.load(uri, spec).train(30).take(1)
    assert set(Counter(drawn.numpy().tolist()).values()) == {30 // len(set(drawn.numpy()))}


def test_several_spans_and_runtime_parameters(tmp_path):
  records = labelled({'a': 60, 'b': 20, 'c': 1}, 'kind')
  more = labelled({'c': 5}, 'kind')
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part], 'more': [more], 'eval': [part[:3]]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]
  input_gen = BalancedInputGen(
    examples=channel_utils.union([part.outputs['result'] for part in parts]),
    label=later('feature', str, 'kind'),
    train_splits=later('splits', str, '["train", "more"]'),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
  )
  found = output_of(run_pipeline(tmp_path, [*parts, input_gen]))
  assert_laid_out(found.uri, {'train': records, 'more': more * 2}, 'kind')
  assert len(read_splits(found.uri)['eval']) == 6
  assert read_sidecar(found.uri)['parameters'] == {
    'label': 'kind',
    'train_splits': ['train', 'more'],
    'seed': 11,
    'missing_label': 'own_stratum',
    'algorithm_version': 2,
  }
  assert [found.properties[name].int_value for name in ('span', 'version')] == [5, 2]


@pytest.mark.parametrize(
  ('arguments', 'kind', 'fault'),
  [
    pytest.param({'label': 'lable'}, DataError, "'lable' is in none of the 10 records", id='label'),
    pytest.param({'train_splits': 'tarin'}, ConfigError, "split 'tarin' is not in", id='split'),
  ],
)
def test_a_run_that_is_stopped_publishes_nothing(tmp_path, arguments, kind, fault):
  source = importer(input_artifact(tmp_path / 'in', {'train': [labelled({'a': 6, 'b': 4})]}))
  input_gen = BalancedInputGen(examples=source.outputs['result'], **arguments)
  with pytest.raises(kind, match=fault):
    run_pipeline(tmp_path, [source, input_gen])
  published = Published(tmp_path)
  for type_name in ('Examples', 'HyperParameters'):
    assert published.of_node('BalancedInputGen', type_name) == []
  assert published.files('BalancedInputGen') == []
  assert published.states() == ['COMPLETE', 'FAILED']


def test_worker_processes_give_the_same_bytes(tmp_path):
  # Two processes of their own, as Beam would have on other machines; they take 25 s to start.
  artifact = input_artifact(
    tmp_path / 'in', {'train': in_shards(labelled({0: 900, 1: 90, 2: 1}), 4), 'more': [[b'asis']]}
  )
  input_gen = BalancedInputGen(examples=(source := importer(artifact)).outputs['result'], seed=3)
  two = run_pipeline(
    tmp_path / 'two',
    [source, input_gen],
    WORKER_PROCESSES,
  )
  one = execute(BalancedInputGen, [artifact], tmp_path / 'one', seed=3)
  assert all_bytes(output_of(two).uri) == all_bytes(one.uri)
  assert len(all_bytes(one.uri)) == 4
