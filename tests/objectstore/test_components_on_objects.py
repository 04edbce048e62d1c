"""What the components write in a bucket is what they write on a disk, byte for byte."""

import math
import random
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf
from tfx.types import standard_artifacts
from tfx_balance import (
  BalancedAugmenter,
  BalancedInputGen,
  ClassDistributionValidator,
  StratifiedSplitter,
)
from tfx_balance.inputs import BalancedInputs
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.work_folder import WORK_VARIABLE

from tests.class_distribution_validator.helpers_validate import statistics_artifact, statistics_of
from tests.helpers_examples import all_bytes, example, in_shards, write_splits
from tests.helpers_pipeline import importer, run_pipeline
from tests.objectstore import helpers_objects
from tests.objectstore.helpers_objects import (
  COUNTS,
  RATES,
  SPLIT,
  SPLITS,
  execute_at,
  input_examples,
  objects,
  put_folder,
  write_input,
)

WRITERS = [pytest.param(*one, id=one[0].__name__) for one in helpers_objects.WRITERS.items()]
MODES = [
  pytest.param(StratifiedSplitter, {'group_by': 'group', 'seed': 3}, id='groups'),
  pytest.param(StratifiedSplitter, {'order_by': 'id', 'embargo': 3, 'seed': 3}, id='time'),
]
SPEC = {'id': tf.io.FixedLenFeature([], tf.int64), 'label': tf.io.FixedLenFeature([], tf.int64)}


@pytest.fixture(scope='module')
def source(tmp_path_factory):
  """Returns the folder of an input on this machine."""
  return write_input(tmp_path_factory.mktemp('source'))


@pytest.fixture(scope='module')
def statistics(tmp_path_factory):
  """Returns the statistics of the input, on this machine."""
  return statistics_artifact(tmp_path_factory.mktemp('statistics'), {SPLIT: statistics_of(COUNTS)})


@pytest.fixture(scope='module')
def on_disk(source, tmp_path_factory):
  """Returns a function from a component and its arguments to the files that it writes on a disk."""
  known = {}

  def written(component, arguments):
    key = component, str(arguments)
    if key not in known:
      folder = tmp_path_factory.mktemp('disk')
      uri = str(folder / 'out')
      execute_at(component, {'examples': input_examples(source)}, uri, folder, **arguments)
      known[key] = {place.name: all_bytes(place) for place in folder.glob('out*') if place.is_dir()}
    return known[key]

  return written


def in_bucket(bucket, component, arguments, folder, sizes=SIZES):
  """Runs a component in a bucket; returns what it wrote there, by output and name."""
  artifact = input_examples(f'{bucket.uri}/in')
  uri = f'{bucket.uri}/out'
  outputs = execute_at(component, {'examples': artifact}, uri, folder, sizes, **arguments)
  names = [each.uri.removeprefix(f'{bucket.uri}/') for each in outputs.values()]
  return {name: objects(bucket, name) for name in names}


def top(bucket):
  """Returns the folders at a bucket's root."""
  names = bucket.keys()
  return {name.split('/')[0] for name in names}


@pytest.mark.parametrize(('component', 'arguments'), [*WRITERS, *MODES])
def test_the_bytes_are_those_on_a_disk_in_fake_gcs_server(
  fake_gcs_bucket, source, on_disk, tmp_path, monkeypatch, component, arguments
):
  bucket = fake_gcs_bucket
  put_folder(bucket, source, 'in')
  monkeypatch.setenv(WORK_VARIABLE, f'{bucket.uri}/work')
  bucket.meddle()

  written = in_bucket(bucket, component, arguments, tmp_path)

  assert written == on_disk(component, arguments)
  assert top(bucket) == {'in', *written}
  assert bucket.traffic().requests['PUT'] > len(written['out'])  # with work files


@pytest.mark.parametrize(('component', 'arguments'), WRITERS)
def test_the_bytes_are_those_on_a_disk_and_the_input_is_read_once_by_few_requests(
  new_bucket, source, on_disk, tmp_path, component, arguments
):
  bucket = new_bucket('minio')
  put_folder(bucket, source, 'in')
  sizes = [len(data) for data in all_bytes(source).values()]
  bucket.meddle()

  written = in_bucket(bucket, component, arguments, tmp_path)

  assert written == on_disk(component, arguments)
  assert top(bucket) == {'in', *written}
  assert bucket.uploads() == []
  traffic = bucket.traffic()
  # XML of lists, and answers that say why, are some hundred bytes each.
  assert traffic.bytes_read['GET'] <= 1.1 * sum(sizes) + 1000 * len(sizes)
  assert traffic.requests['GET'] <= sum(math.ceil(size / (4 << 20)) + 2 for size in sizes)
  assert traffic.requests.get('HEAD', 0) <= 1, traffic.requests


@pytest.fixture(scope='module')
def with_data(tmp_path_factory):
  """Returns the folder of an input whose records take some bytes."""
  rng = random.Random(0)
  records = [example(label=i % 7 % 3, id=i, data=rng.randbytes(600)) for i in range(3000)]
  return write_splits(tmp_path_factory.mktemp('with_data'), {SPLIT: in_shards(records, 3)})


@pytest.mark.parametrize(('component', 'arguments'), WRITERS)
def test_work_files_in_a_bucket_are_read_once_and_by_few_requests(
  new_bucket, with_data, tmp_path, monkeypatch, component, arguments
):
  # Three blocks of each file, several files of each of three classes.
  sizes = Sizes(block_bytes=200_000, least_file_bytes=100_000, shared_file_bytes=100_000)
  (tmp_path / 'temp').mkdir()
  monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'temp'))
  disk = str(tmp_path / 'disk')
  examples = input_examples(with_data)
  execute_at(component, {'examples': examples}, disk, tmp_path, sizes, **arguments)
  bucket = new_bucket()
  put_folder(bucket, with_data, 'in')
  monkeypatch.setenv(WORK_VARIABLE, f'{bucket.uri}/work')
  bucket.meddle()

  written = in_bucket(bucket, component, arguments, tmp_path, sizes)

  traffic = bucket.traffic()
  assert written['out'] == all_bytes(disk)
  assert top(bucket) == {'in', *written}
  assert not [path for path in (tmp_path / 'temp').rglob('*') if path.is_file()]
  assert traffic.bytes_read['GET'] <= 2.2 * sum(map(len, all_bytes(with_data).values()))
  # Of each input file three work files, of these the keys once, to count them, and two ranges for
  # each output file, or for all the small files of a class.
  n_outputs = sum(name.endswith('.gz') for name in written['out'])
  groups = n_outputs // len(SPLITS) if component is StratifiedSplitter else n_outputs
  if component is BalancedInputGen:
    assert n_outputs > 15
    groups = 3
  assert (
    traffic.requests['GET'] <= 3 * (2 + 4 + 1 + 2 * 2 * groups) + 1
  )  # the keys that are frequent


@pytest.mark.parametrize('scheme', ['s3', 'gs'])
def test_the_validator_reads_and_writes_in_a_bucket(new_bucket, source, tmp_path, scheme):
  bucket = new_bucket(scheme)
  put_folder(bucket, source, 'in')
  statistics_artifact(tmp_path / 'statistics', {SPLIT: statistics_of(COUNTS)})
  statistics = put_folder(bucket, tmp_path / 'statistics', 'statistics')
  given = standard_artifacts.ExampleStatistics()
  given.uri, given.split_names = statistics, f'["{SPLIT}"]'
  examples = input_examples(f'{bucket.uri}/in')

  outputs = execute_at(
    ClassDistributionValidator,
    {'statistics': given, 'examples': examples},
    f'{bucket.uri}/out',
    tmp_path,
    label='label',
    report_dir=f'{bucket.uri}/report/',
  )

  name = outputs['anomalies'].uri.removeprefix(f'{bucket.uri}/')
  written = {f'Split-{SPLIT}/SchemaDiff.pb', 'class_checks.json'}
  assert written <= set(objects(bucket, name))
  assert {*written, 'violations.txt'} == set(objects(bucket, 'report'))


def test_a_pipeline_runs_with_its_root_in_a_bucket(new_bucket, source, statistics, tmp_path):
  bucket = new_bucket()
  put_folder(bucket, source, 'in')

  def components(uri):
    examples = importer(input_examples(uri))
    statistics_node = importer(statistics, 'Statistics')
    splitter = StratifiedSplitter(
      examples.outputs['result'], **helpers_objects.WRITERS[StratifiedSplitter]
    )
    augmenter = BalancedAugmenter(
      splitter.outputs['examples'], label='label', augmented_split='more', seed=3
    )
    input_gen = BalancedInputGen(
      augmenter.outputs['examples'], label='label', train_splits=('train', 'more'), seed=3
    )
    validator = ClassDistributionValidator(
      statistics_node.outputs['result'], label='label', examples=examples.outputs['result']
    )
    return [examples, statistics_node, splitter, augmenter, input_gen, validator]

  local = run_pipeline(tmp_path / 'local', components(str(source)))
  remote = run_pipeline(
    tmp_path / 'remote', components(f'{bucket.uri}/in'), root=f'{bucket.uri}/root'
  )

  assert remote.states() == local.states() == ['COMPLETE'] * 6
  expected = {
    name: data
    for name, data in all_bytes(tmp_path / 'local' / 'root').items()
    if '.system' not in name and 'class_checks' not in name
  }
  found = objects(bucket, 'root')
  assert {name: data for name, data in found.items() if 'class_checks' not in name} == expected
  assert bucket.uploads() == []
  (artifact,) = remote.of_node('BalancedInputGen')
  (same,) = local.of_node('BalancedInputGen')
  batches = [
    next(iter(BalancedInputs.load(uri).train(100, feature_spec=SPEC, seed=5)))
    for uri in (artifact.uri, same.uri)
  ]
  for there, here in zip(*batches, strict=True):
    tf.nest.map_structure(np.testing.assert_array_equal, there, here)


FAULTY_RUNS = 2
"""Runs of each component on each kind of storage, 12 in all."""


@pytest.mark.parametrize('scheme', ['s3', 'gs'])
@pytest.mark.parametrize(('component', 'arguments'), WRITERS)
def test_faults_neither_lose_nor_leave_anything(
  new_bucket, source, on_disk, impatient, tmp_path, component, arguments, scheme
):
  met: Counter[str] = Counter()
  for seed in range(FAULTY_RUNS):
    bucket = new_bucket(scheme)
    put_folder(bucket, source, 'in')
    bucket.meddle(rates=RATES, seed=seed, stall=2)

    written = in_bucket(bucket, component, arguments, tmp_path / str(seed))

    met += Counter(bucket.traffic().faults)  # a run of a dozen requests may meet none
    assert written == on_disk(component, arguments)
    assert top(bucket) == {'in', *written}
    assert bucket.uploads() == []
  assert met.total() >= FAULTY_RUNS, met
