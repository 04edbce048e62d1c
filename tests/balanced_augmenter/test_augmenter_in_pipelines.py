"""The augmenter between stock components, run by LocalDagRunner."""

import csv
from collections import Counter
from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
import tfx.v1 as tfx
from tfx.types import artifact_utils, channel_utils
from tfx_balance import BalancedAugmenter
from tfx_balance.augment import ImageAugment, Smote
from tfx_balance.errors import ConfigError, DataError

from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  class_counts,
  expected_targets,
  tabular,
)
from tests.balanced_augmenter.helpers_data import data_file, digits
from tests.helpers_examples import (
  all_bytes,
  in_shards,
  read_splits,
  value_of,
  write_tfrecords,
)
from tests.helpers_pipeline import (
  WORKER_PROCESSES,
  Published,
  importer,
  input_artifact,
  run_pipeline,
)

FUNCTIONS = 'tests.balanced_augmenter.functions'
HERE = Path(__file__).parent
IMAGE = ImageAugment('pixels', rotation=10, shape=(8, 8, 1), value_range=(0, 16))


def output_of(published, node='BalancedAugmenter'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node)
  return artifact


def splits_of(published, node='BalancedAugmenter'):
  return read_splits(output_of(published, node).uri)


def only_file(folder, source, name):
  """Links a file into a folder of its own, as file based ExampleGens want it."""
  folder.mkdir()
  (folder / name).symlink_to(source)
  return str(folder)


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
  """Runs digits through ExampleGen, two augmenters, StatisticsGen, SchemaGen and Transform."""
  folder = tmp_path_factory.mktemp('stock')
  records = digits()
  for i, (name, shard) in enumerate({'train': records[30:], 'eval': records[:30]}.items()):
    write_tfrecords(folder / 'data' / 'span-3' / 'v2' / name / f'part-{i}', shard)
  splits = [
    tfx.proto.Input.Split(name=name, pattern=f'span-{{SPAN}}/v{{VERSION}}/{name}/*')
    for name in ('train', 'eval')
  ]
  gen = tfx.components.ImportExampleGen(
    input_base=str(folder / 'data'), input_config=tfx.proto.Input(splits=splits)
  )
  examples = gen.outputs['examples']
  joined = BalancedAugmenter(examples=examples, sampling_strategy=0.5).with_id('Joined')
  apart = BalancedAugmenter(
    examples=examples, augment_fn=IMAGE, augmented_split='train_augmented'
  ).with_id('Apart')
  statistics = [
    tfx.components.StatisticsGen(examples=one.outputs['examples']).with_id(f'Statistics{one.id}')
    for one in (joined, apart)
  ]
  schema = tfx.components.SchemaGen(statistics=statistics[1].outputs['statistics'])
  transform = tfx.components.Transform(
    examples=apart.outputs['examples'],
    schema=schema.outputs['schema'],
    preprocessing_fn='tests.balanced_augmenter.preprocessing.preprocessing_fn',
    disable_statistics=True,
    disable_analyzer_cache=True,
    splits_config=tfx.proto.SplitsConfig(
      analyze=['train'], transform=['train', 'train_augmented', 'eval']
    ),
  )
  return run_pipeline(folder, [gen, joined, apart, *statistics, schema, transform])


def test_digits_are_balanced_exactly(stock):
  before, after = splits_of(stock, 'ImportExampleGen'), splits_of(stock, 'Joined')
  targets = expected_targets(class_counts(before['train']), 0.5)
  assert len(set(targets.values())) > 1
  assert_balanced(before['train'], after['train'], targets)
  assert_balance_sidecar(output_of(stock, 'Joined').uri, before_train(before), {'train': targets})


def before_train(splits):
  return {'train': splits['train']}


def test_copies_of_digits_are_apart_from_their_originals(stock):
  gen, apart = (Path(output_of(stock, node).uri) for node in ('ImportExampleGen', 'Apart'))
  for name in ('train', 'eval'):
    assert all_bytes(apart / f'Split-{name}') == all_bytes(gen / f'Split-{name}')
  splits = read_splits(apart)
  whole = class_counts(splits['train'] + splits['train_augmented'])
  assert set(whole.values()) == {max(class_counts(splits['train']).values())}
  targets = dict(whole)
  assert_balance_sidecar(apart, before_train(splits), {'train': targets}, 'train_augmented')


@pytest.mark.parametrize('node', ['Joined', 'Apart'])
def test_statistics_gen_agrees_with_the_counts(stock, node):
  (artifact,) = stock.of_node(f'Statistics{node}', 'ExampleStatistics')
  for name, records in splits_of(stock, node).items():
    path = Path(artifact.uri) / f'Split-{name}' / 'FeatureStats.pb'
    (statistics,) = tfdv.load_stats_binary(str(path)).datasets
    assert statistics.num_examples == len(records)
    (label,) = (f for f in statistics.features if f.path.step == ['label'])
    buckets = label.string_stats.rank_histogram.buckets
    assert {b.label.encode(): int(b.sample_count) for b in buckets} == class_counts(records)


def test_transform_reads_every_split(stock):
  (transformed,) = (a for a in stock.of_node('Transform') if 'transformed_examples' in a.uri)
  found, splits = read_splits(transformed.uri), splits_of(stock, 'Apart')
  assert {name: class_counts(records) for name, records in found.items()} == {
    name: class_counts(records) for name, records in splits.items()
  }
  assert set(splits) == {'train', 'eval', 'train_augmented'}


def number_of(artifact, name):
  """Returns a span or a version, which ExampleGen writes as a property, or as a custom one."""
  value = artifact.custom_properties.get(name) or artifact.properties[name]
  return value.int_value or int(value.string_value)


NAMES = ('payload_format', 'file_format', 'span', 'version')


@pytest.mark.parametrize('node', ['Joined', 'Apart'])
def test_the_properties_of_example_gens_output_are_carried_over(stock, node):
  # The nearest peer drops them.
  before, after = output_of(stock, 'ImportExampleGen'), output_of(stock, node)
  for kind in ('properties', 'custom_properties'):
    carried = {name: getattr(before, kind)[name] for name in NAMES if name in getattr(before, kind)}
    found = {name: getattr(after, kind)[name] for name in NAMES if name in getattr(after, kind)}
    assert found == carried
  assert after.custom_properties['payload_format'].string_value == 'FORMAT_TF_EXAMPLE'
  assert [number_of(after, name) for name in ('span', 'version')] == [3, 2]
  names = artifact_utils.decode_split_names(after.properties['split_names'].string_value)
  assert set(names) == {'train', 'eval', *(['train_augmented'] if node == 'Apart' else [])}


def test_mnist_is_balanced_exactly(tmp_path):
  path = data_file('mnist.tfrecord')
  gen = tfx.components.ImportExampleGen(input_base=only_file(tmp_path / 'in', path, 'mnist'))
  asked = {
    'Most': {},
    'Median': {'sampling_strategy': 'median', 'undersample': True},
    'Factors': {'factors': {5: 3}},
  }
  nodes = [
    BalancedAugmenter(examples=gen.outputs['examples'], label='image_class', **one).with_id(node)
    for node, one in asked.items()
  ]
  published = run_pipeline(tmp_path, [gen, *nodes])
  before = splits_of(published, 'ImportExampleGen')
  for node, arguments in asked.items():
    splits = splits_of(published, node)
    targets = expected_targets(class_counts(before['train'], 'image_class'), **arguments)
    assert_balanced(before['train'], splits['train'], targets, 'image_class')
    assert splits['eval'] == before['eval']
    assert_balance_sidecar(
      output_of(published, node).uri,
      before_train(before),
      {'train': targets},
      label='image_class',
    )


def test_penguins_are_balanced_exactly(tmp_path):
  path = data_file('penguins_processed.csv')
  with path.open() as file:
    numeric = [name for name in next(csv.reader(file)) if name != 'species']
  gen = tfx.components.CsvExampleGen(input_base=only_file(tmp_path / 'in', path, 'penguins.csv'))
  asked = {'Smote': {'augment_fn': Smote(numeric)}, 'Power': {'sampling_strategy': 'power:0.5'}}
  nodes = [
    BalancedAugmenter(examples=gen.outputs['examples'], label='species', **one).with_id(node)
    for node, one in asked.items()
  ]
  published = run_pipeline(tmp_path, [gen, *nodes])
  before = splits_of(published, 'CsvExampleGen')
  for node, arguments in asked.items():
    strategy = {k: v for k, v in arguments.items() if k != 'augment_fn'}
    targets = expected_targets(class_counts(before['train'], 'species'), **strategy)
    after = splits_of(published, node)['train']
    assert_balanced(before['train'], after, targets, 'species', plain=node != 'Smote')
    if node == 'Smote':
      made = Counter(after) - Counter(before['train'])
      assert all(-0.01 <= value_of(r, name) <= 1.01 for r in made for name in numeric)
      assert made.total() == len(after) - len(before['train'])


def later(name, ptype, default):
  return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)


def test_several_spans_and_runtime_parameters(tmp_path):
  records = tabular({'a': 60, 'b': 20, 'c': 1})
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part], 'eval': [part[:3]]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]
  examples = channel_utils.union([part.outputs['result'] for part in parts])
  joined = BalancedAugmenter(
    examples=examples,
    label=later('feature', str, 'label'),
    sampling_strategy=later('strategy', str, '{"a": 50, "b": 55, "c": 40}'),
    splits=later('splits', str, '["train"]'),
    max_copies=later('most', int, 30),
    undersample=later('under', int, 1),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
    allow_evaluation_splits=later('evaluation', int, 1),
    provenance=later('told', int, 1),
  ).with_id('Joined')
  apart = BalancedAugmenter(
    examples=examples,
    factors=later('factors', str, '{"b": 2}'),
    augmented_split=later('apart', str, 'more'),
  ).with_id('Apart')
  published = run_pipeline(tmp_path, [*parts, joined, apart])

  found = output_of(published, 'Joined')
  splits, targets = read_splits(found.uri), {b'a': 50, b'b': 55, b'c': 30}
  assert class_counts(splits['train']) == targets
  copies = [value_of(record, 'tfx_balance_copy') for record in splits['train']]
  assert copies.count(None) == 50 + 20 + 1  # the originals that stay
  assert {number for number in copies if number} == set(range(1, 30))
  sidecar = assert_balance_sidecar(found.uri, {'train': records}, {'train': targets})
  assert sidecar['parameters']['seed'] == 11
  assert len(sidecar['warnings']) == 1
  assert len(splits['eval']) == 6

  found = output_of(published, 'Apart')
  splits = read_splits(found.uri)
  assert Counter(splits['train']) == Counter(records)
  assert class_counts(splits['more']) == {b'b': 20}
  for node in ('Joined', 'Apart'):
    assert [number_of(output_of(published, node), name) for name in ('span', 'version')] == [5, 2]


def test_a_module_file_and_a_dotted_path(tmp_path):
  source = importer(input_artifact(tmp_path / 'in', {'train': [tabular({'a': 9, 'b': 4})]}))
  examples = source.outputs['result']
  module_file = tmp_path / 'of_a_user.py'
  module_file.write_text((HERE / 'module_file.py').read_text())
  asked = {
    'Module': {'module_file': str(module_file), 'augmented_split': 'more'},
    'Named': {
      'module_file': str(module_file),
      'augment_fn': 'augment_fn',
      'augmented_split': 'more',
    },
    'Path': {
      'augment_fn': 'tests.balanced_augmenter.module_file.augment_fn',
      'augmented_split': 'more',
    },
  }
  nodes = [BalancedAugmenter(examples=examples, **one).with_id(n) for n, one in asked.items()]
  published = run_pipeline(tmp_path, [source, *nodes])
  found = {node: splits_of(published, node)['more'] for node in asked}
  assert list((tmp_path / 'root' / '_wheels').glob('*.whl'))  # which is what workers install
  assert class_counts(found['Module']) == {b'b': 5}
  assert found['Module'] == found['Named'] == found['Path']
  originals = {value_of(r, 'id'): value_of(r, 'x') for r in tabular({'a': 9, 'b': 4})}
  factors = {value_of(r, 'x')[2] / originals[value_of(r, 'id')][2] for r in found['Module']}
  assert len(factors) == 5
  assert all(0.5 <= factor < 1.5 for factor in factors)


@pytest.mark.parametrize(
  ('arguments', 'kind', 'fault'),
  [
    pytest.param(
      {'augment_fn': f'{FUNCTIONS}.changes_label'},
      DataError,
      r'functions\.changes_label .*changed the label .*of record 7 of .*, of class b',
      id='function',
    ),
    pytest.param(
      {'sampling_strategy': {'z': 9}},
      ConfigError,
      "'z' is not a class; the classes are: a, b",
      id='class',
    ),
  ],
)
def test_a_run_that_is_stopped_publishes_nothing(tmp_path, arguments, kind, fault):
  source = importer(input_artifact(tmp_path / 'in', {'train': [tabular({'a': 6, 'b': 4})]}))
  augmenter = BalancedAugmenter(examples=source.outputs['result'], **arguments)
  with pytest.raises(kind, match=fault):
    run_pipeline(tmp_path, [source, augmenter])
  published = Published(tmp_path)
  assert published.of_node('BalancedAugmenter') == []
  assert published.files('BalancedAugmenter') == []
  assert published.states() == ['COMPLETE', 'FAILED']


def test_worker_processes_give_the_same_bytes(tmp_path):
  # Two processes of their own, as Beam would have on other machines; they take 25 s to start.
  artifact = input_artifact(
    tmp_path / 'in', {'train': in_shards(tabular({'a': 900, 'b': 90, 'c': 1}), 4), 'm': [[b'asis']]}
  )

  # They find the function in the wheel that TFX makes of a module file.
  def run(name, *beam_args):
    source = importer(artifact)
    augmenter = BalancedAugmenter(
      examples=source.outputs['result'],
      module_file=str(HERE / 'module_file.py'),
      seed=3,
      provenance=True,
    )
    return output_of(run_pipeline(tmp_path / name, [source, augmenter], *beam_args)).uri

  one = run('one')
  two = run('two', WORKER_PROCESSES)
  assert all_bytes(one) == all_bytes(two)
  assert class_counts(read_splits(two)['train']) == {b'a': 900, b'b': 900, b'c': 900}
