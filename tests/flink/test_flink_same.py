"""What the components write on a Flink cluster is what they write in one process, byte for byte."""

import json
from pathlib import Path

import pytest
import tensorflow_data_validation as tfdv
import tfx.v1 as tfx
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.augment import SmoothedBootstrap

from tests.flink.helpers_flink import PORTABLE, import_files, make_files
from tests.helpers_checks import assert_conserved, assert_exact
from tests.helpers_examples import all_bytes, as_sets, read_splits
from tests.helpers_pipeline import IN_MEMORY, run_pipeline

RECORDS = 20_000
OURS = ['StratifiedSplitter', 'BalancedAugmenter', 'BalancedInputGen']
SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def components(files):
  """Returns the nodes of a pipeline with every Beam component, importer first."""
  source = import_files(files)
  splitter = StratifiedSplitter(
    source.outputs['result'], splits=SPLITS, seed=3, output_files={'train': 3}
  )
  augmenter = BalancedAugmenter(
    splitter.outputs['examples'],
    sampling_strategy={0: 9_600, 1: 4_000, 2: 1_600, 3: 1_000, 4: 1_000},
    augment_fn=SmoothedBootstrap(features=('x',)),
    augmented_split='augmented',
    seed=3,
  )
  statistics = tfx.components.StatisticsGen(examples=augmenter.outputs['examples'])
  input_gen = BalancedInputGen(
    augmenter.outputs['examples'], train_splits=('train', 'augmented'), seed=3
  )
  return [source, splitter, augmenter, statistics, input_gen]


@pytest.fixture(scope='module')
def runs(cluster, tmp_path_factory):
  """Returns what was published in memory and on Flink, the jobs that Flink ran, and the input."""
  folder = tmp_path_factory.mktemp('same')
  cluster.restore()
  files = make_files(folder / 'cache', RECORDS, 4)
  in_memory = run_pipeline(folder / 'memory', components(files), IN_MEMORY)
  before = len(cluster.jobs())
  on_flink = run_pipeline(folder / 'flink', components(files), [*PORTABLE, *cluster.beam_args])
  return in_memory, on_flink, cluster.jobs()[before:], files


def output(published, node):
  """Returns the folder of the one artifact that a node published."""
  (artifact,) = published.of_node(node)
  return Path(artifact.uri)


def test_all_components_ran_on_both_task_managers(runs):
  _, on_flink, jobs, _ = runs

  assert on_flink.states() == ['COMPLETE'] * 5
  assert [job['state'] for job in jobs] == ['FINISHED'] * 4, jobs
  assert all(job['hosts'] == 2 for job in jobs), jobs


@pytest.mark.parametrize('node', OURS)
def test_each_split_has_the_records_that_it_has_in_memory(runs, node):
  in_memory, on_flink, _, _ = runs

  assert as_sets(read_splits(output(on_flink, node))) == as_sets(
    read_splits(output(in_memory, node))
  )


@pytest.mark.parametrize('node', OURS)
def test_the_bytes_of_all_files_are_those_written_in_memory(runs, node):
  in_memory, on_flink, _, _ = runs

  assert all_bytes(output(on_flink, node)) == all_bytes(output(in_memory, node))


def test_the_split_is_exact_and_whole(runs):
  _, on_flink, _, files = runs

  splits = read_splits(output(on_flink, 'StratifiedSplitter'))
  assert_exact(splits, SPLITS)
  assert_conserved(splits, read_splits(files.folder)['all'])


def test_statistics_count_what_was_written(runs):
  _, on_flink, _, _ = runs
  written = read_splits(output(on_flink, 'BalancedAugmenter'))

  (statistics,) = on_flink.of_node('StatisticsGen', 'ExampleStatistics')

  assert set(json.loads(statistics.properties['split_names'].string_value)) == set(written)
  for split, records in written.items():
    path = f'{statistics.uri}/Split-{split}/FeatureStats.pb'
    found = tfdv.load_stats_binary(path).datasets[0].num_examples
    assert found == len(records), split
