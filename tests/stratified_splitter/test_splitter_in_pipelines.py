"""The splitter between stock components, run by LocalDagRunner."""

import os
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tfx.v1 as tfx
from sklearn.datasets import load_digits
from tfx.types import artifact_utils, channel
from tfx_balance import StratifiedSplitter

from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar
from tests.helpers_examples import (
  all_bytes,
  as_sets,
  example,
  in_shards,
  labelled,
  read_splits,
  read_tfrecords,
  value_of,
  write_tfrecords,
)
from tests.helpers_pipeline import WORKER_PROCESSES, execute, importer, input_artifact, run_pipeline

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def digits():
  """Returns scikit-learn's digits as records."""
  data, target = load_digits(return_X_y=True)
  return [
    example(pixels=pixels, label=label, id=i)
    for i, (pixels, label) in enumerate(zip(data.tolist(), target.tolist(), strict=True))
  ]


def data_file(name):
  """Returns a file from the folder that the environment names, or skips the test."""
  folder = os.environ.get('TFX_BALANCE_DATA')
  if not folder:
    pytest.skip(f'TFX_BALANCE_DATA is not set: the split of {name} was not run')
  return Path(folder) / name


def canonical(records):
  """Returns records with their features in the order of their names; ExampleGen gives another."""
  return [
    tf.train.Example.FromString(record).SerializeToString(deterministic=True) for record in records
  ]


def output_of(published, node='StratifiedSplitter'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node)
  return artifact


def only_file(folder, source, name):
  """Links a file into a folder of its own, as file based ExampleGens want it."""
  folder.mkdir()
  (folder / name).symlink_to(source)
  return str(folder)


EMPTY = {**SPLITS, 'spare': 1e-9}  # whose share of 1,797 records is none


@pytest.fixture(scope='module')
def stock(tmp_path_factory):
  """Runs digits through ExampleGen, the splitter, StatisticsGen, SchemaGen and Transform."""
  folder = tmp_path_factory.mktemp('stock')
  for i, shard in enumerate(in_shards(digits(), 2)):
    write_tfrecords(folder / 'data' / 'span-3' / 'v2' / f'part-{i}', shard)
  pattern = tfx.proto.Input.Split(name='all', pattern='span-{SPAN}/v{VERSION}/*')
  gen = tfx.components.ImportExampleGen(
    input_base=str(folder / 'data'), input_config=tfx.proto.Input(splits=[pattern])
  )
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], splits=EMPTY)
  statistics = tfx.components.StatisticsGen(examples=splitter.outputs['examples'])
  # Without records SchemaGen sees no feature either, and marks those of the other splits as gone.
  schema = tfx.components.SchemaGen(
    statistics=statistics.outputs['statistics'], exclude_splits=['spare']
  )
  transform = tfx.components.Transform(
    examples=splitter.outputs['examples'],
    schema=schema.outputs['schema'],
    preprocessing_fn='tests.stratified_splitter.preprocessing.preprocessing_fn',
    disable_statistics=True,
    disable_analyzer_cache=True,
  )
  return run_pipeline(folder, [gen, splitter, statistics, schema, transform])


def test_digits_are_split_exactly(stock):
  splits = read_splits(output_of(stock).uri)
  assert_conserved({name: canonical(held) for name, held in splits.items()}, canonical(digits()))
  assert_exact(splits, EMPTY)
  assert splits['spare'] == []
  sidecar = assert_sidecar(output_of(stock).uri, EMPTY)
  assert any(text.startswith("split 'spare' is empty") for text in sidecar['warnings'])


def test_statistics_gen_reads_every_split(stock):
  (artifact,) = stock.of_node('StatisticsGen', 'ExampleStatistics')
  uri, splits = Path(artifact.uri), read_splits(output_of(stock).uri)
  for name, records in splits.items():
    statistics = tfdv.load_stats_binary(str(uri / f'Split-{name}' / 'FeatureStats.pb'))
    assert statistics.datasets[0].num_examples == len(records)


def test_transform_reads_every_split(stock):
  (transformed,) = (a for a in stock.of_node('Transform') if 'transformed_examples' in a.uri)
  found, splits = read_splits(transformed.uri), read_splits(output_of(stock).uri)
  assert {name: len(records) for name, records in found.items()} == {
    name: len(records) for name, records in splits.items()
  }
  for name, records in splits.items():
    assert sorted(value_of(r) for r in found[name]) == sorted(value_of(r) for r in records)


NAMES = ('payload_format', 'file_format', 'span', 'version')


def test_the_properties_of_example_gens_output_are_carried_over(stock):
  # The nearest peer drops them.
  before, after = output_of(stock, 'ImportExampleGen'), output_of(stock)
  assert artifact_utils.decode_split_names(after.properties['split_names'].string_value) == list(
    EMPTY
  )
  for kind in ('properties', 'custom_properties'):
    carried = {name: getattr(before, kind)[name] for name in NAMES if name in getattr(before, kind)}
    found = {name: getattr(after, kind)[name] for name in NAMES if name in getattr(after, kind)}
    assert found == carried
  assert set(NAMES) <= set(before.properties) | set(before.custom_properties)
  assert after.custom_properties['payload_format'].string_value == 'FORMAT_TF_EXAMPLE'
  assert after.custom_properties['file_format'].string_value == 'tfrecords_gzip'
  assert after.custom_properties['span'].int_value == 3
  assert after.custom_properties['version'].int_value == 2


def test_mnist_is_split_exactly(tmp_path):
  path = data_file('mnist.tfrecord')
  gen = tfx.components.ImportExampleGen(input_base=only_file(tmp_path / 'in', path, 'mnist'))
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], stratify_by='image_class')
  uri = output_of(run_pipeline(tmp_path, [gen, splitter])).uri
  splits = read_splits(uri)
  assert_conserved(
    {name: canonical(held) for name, held in splits.items()}, canonical(read_tfrecords(path))
  )
  assert_exact(splits, SPLITS, 'image_class')
  assert_sidecar(uri, SPLITS, ['image_class'])


def test_penguins_are_split_exactly(tmp_path):
  path = data_file('penguins_processed.csv')
  gen = tfx.components.CsvExampleGen(input_base=only_file(tmp_path / 'in', path, 'penguins.csv'))
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], stratify_by='species')
  published = run_pipeline(tmp_path, [gen, splitter])
  uri = output_of(published).uri
  splits = read_splits(uri)
  before = read_splits(output_of(published, 'CsvExampleGen').uri)
  assert sum(map(len, before.values())) == 334
  assert_conserved(splits, (record for held in before.values() for record in held))
  assert_exact(splits, SPLITS, 'species')
  assert_sidecar(uri, SPLITS, ['species'])


def test_several_spans_and_runtime_parameters(tmp_path):
  records = labelled({'a': 60, 'b': 20})
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]

  def later(name, ptype, default):
    return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)

  splitter = StratifiedSplitter(
    examples=channel.union([part.outputs['result'] for part in parts]),
    stratify_by=later('feature', str, 'label'),
    splits=later('splits', str, '{"train": 0.75, "eval": 0.25}'),
    counts=later('counts', str, '{"test": 20}'),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
    output_files=later('files', str, '{"train": 2}'),
    input_splits=later('input', str, '["train"]'),
  )
  found = output_of(run_pipeline(tmp_path, [*parts, splitter]))
  splits = read_splits(found.uri)
  assert_conserved(splits, records)
  assert_exact(splits, {'train': 45, 'eval': 15, 'test': 20})
  assert len(splits['test']) == 20
  sidecar = assert_sidecar(found.uri, {'train': 45, 'eval': 15, 'test': 20})
  assert sidecar['parameters']['seed'] == 11
  assert sidecar['splits']['train']['files'] == 2
  assert found.properties['span'].int_value == 5
  assert found.properties['version'].int_value == 2


def test_worker_processes_give_the_same_bytes(tmp_path):
  # Two processes of their own, as Beam would have on other machines; they take 25 s to start.
  artifact = input_artifact(
    tmp_path / 'in', {'all': in_shards(labelled({0: 900, 1: 90, 2: 1}), 4), 'more': [[b'asis']]}
  )
  arguments = {'input_splits': 'all', 'seed': 3, 'output_files': {'train': 3}}
  source = importer(artifact)
  splitter = StratifiedSplitter(examples=source.outputs['result'], **arguments)
  two = output_of(run_pipeline(tmp_path / 'two', [source, splitter], WORKER_PROCESSES)).uri
  one = execute(StratifiedSplitter, [artifact], tmp_path / 'one', **arguments).uri
  assert all_bytes(one) == all_bytes(two)
  assert_exact({name: read_splits(two)[name] for name in SPLITS}, SPLITS)


def test_two_runs_of_example_gen_give_the_same_splits(tmp_path):
  # ExampleGen writes the same files in another order each time; a split dealt by position would
  # then leak test records into train, and the nearest peer draws anew each time.
  path = write_tfrecords(tmp_path / 'data' / 'in', labelled({0: 150, 1: 21, 2: 1}))
  splits = []
  for name in ('one', 'two'):
    gen = tfx.components.ImportExampleGen(input_base=str(Path(path).parent))
    splitter = StratifiedSplitter(examples=gen.outputs['examples'])
    published = run_pipeline(tmp_path / name, [gen, splitter])
    splits.append(as_sets(read_splits(output_of(published).uri)))
  assert splits[0] == splits[1]
