"""The same records and the same seed give the same bytes, however the records come in."""

import gzip

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.options.pipeline_options import PipelineOptions
from tfx_balance.augment import Smote
from tfx_balance.balanced_augmenter.transform import BalancedAugment
from tfx_balance.balanced_input_gen.output_plan import ShardContext
from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.balanced_input_gen.transform import ClassShards
from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord.reading import READ_DEFAULTS
from tfx_balance.writer import write_outputs

from tests.balanced_augmenter.helpers_balance import augment_context
from tests.helpers_examples import all_bytes, example, in_shards, write_tfrecords
from tests.helpers_pipeline import WORKER_PROCESSES
from tests.helpers_split import request_target, split_context
from tests.list_runner import write_on_lists


def unlike():
  """Returns records that all differ, of classes of unequal size."""
  return [
    example(label=min(int(i**0.25), 6), id=i, group=i // 3, text='x' * (i % 90), x=[i * 0.5, -1.0])
    for i in range(2500)
  ]


def copies():
  """Returns records that are there 1 to 12 times, 100 times, and one that is a third of them."""
  records = [
    example(label=i % 3, id=i, group=i % 40, text='', x=[0.1 * i, 1.0]) for i in range(200)
  ]
  times = [600, *[100] * 4, *(1 + i % 12 for i in range(195))]
  return [r for r, n in zip(records, times, strict=True) for _ in range(n)]


RECORDS = {'unlike': unlike, 'copies': copies}


def jitter(features, seed):
  return {**features, 'x': features['x'] + tf.random.stateless_uniform([2], seed)}


def split(folder, **arguments):
  return StratifiedSplit(split_context(folder, {'train': 0.7, 'eval': 0.3}, **arguments))


def augment(folder, augment_fn=None, **arguments):
  load = None if augment_fn is None else lambda: augment_fn
  return BalancedAugment(augment_context(folder, **arguments), load)


def lay_out(folder, **arguments):
  (folder / 'hyper').mkdir(parents=True)
  target = request_target(folder, arguments)
  parameters = InputGenParameters(('label',), ('train',), 0, 'error', READ_DEFAULTS)
  return ClassShards(ShardContext(parameters, hyperparameters_uri=str(folder / 'hyper'), **target))


CASES = {
  'split': lambda folder, **kw: split(folder, output_files={'train': 5, 'eval': 2}, **kw),
  'split by key': lambda folder, **kw: split(folder, key='group', **kw),
  'split by values': lambda folder, **kw: split(folder, identity='values', **kw),
  'split by group': lambda folder, **kw: split(folder, group_by='group', **kw),
  'split by time': lambda folder, **kw: split(folder, order_by='group', **kw),
  'split in bins': lambda folder, **kw: split(folder, stratify_by='group', bins=3, **kw),
  'split stable': lambda folder, **kw: split(folder, mode='stable', **kw),
  'copies': lambda folder, **kw: augment(folder, **kw),
  'copies apart': lambda folder, **kw: augment(folder, augmented_split='more', **kw),
  'fewer': lambda folder, **kw: augment(folder, undersample=True, **kw),
  'augmented': lambda folder, **kw: augment(folder, jitter, **kw),
  'pools': lambda folder, **kw: augment(folder, Smote(['x']), **kw),
  'input': lay_out,
}


# Several blocks in an input file, several files of a class, and chunks of a file.
SMALL = Sizes(
  block_bytes=30_000,
  gather_bytes=20_000,
  shard_bytes=60_000,
  shared_file_bytes=30_000,
  least_file_bytes=30_000,
)


def write_on_workers(transform, files):
  """Does as `write_on_lists`, by two worker processes of Beam."""
  with beam.Pipeline(options=PipelineOptions(list(WORKER_PROCESSES))) as pipeline:
    write_outputs(pipeline, files, transform, (), (), transform.context.work_dir)


def run(folder, case, shards, write=write_on_lists, suffix='.gz', sizes=SMALL):
  paths = [write_tfrecords(folder / 'in' / f'{i}', shard) for i, shard in enumerate(shards)]
  files = [InputFile(path, i, '' if 'split' in case else 'train') for i, path in enumerate(paths)]
  transform = CASES[case](folder, n_files=len(files), suffix=suffix, sizes=sizes)
  write(transform, files)
  found = all_bytes(folder / 'out')
  return {path: data for path, data in found.items() if path.startswith('Split-')}


@pytest.mark.parametrize('kind', RECORDS)
@pytest.mark.parametrize('case', CASES)
def test_files_are_the_same_for_any_order_and_number_of_input_files(tmp_path, case, kind):
  records = RECORDS[kind]()
  found = []
  for n in (1, 7, 200 if case in ('split', 'copies', 'input') else 20):
    order = np.random.default_rng(n).permutation(len(records))
    found.append(run(tmp_path / str(n), case, in_shards([records[i] for i in order], n)))
  assert len(found[0]) > 1 or case == 'fewer'
  for other in found[1:]:
    assert other == found[0]


@pytest.mark.parametrize('case', ['split', 'copies', 'input'])
def test_worker_processes_write_the_same_files(tmp_path, case):
  shards = in_shards(copies(), 5)
  here, there = (
    run(tmp_path / name, case, shards, write, sizes=SIZES)
    for name, write in (('here', write_on_lists), ('there', write_on_workers))
  )
  assert here == there


def test_plain_files_are_the_compressed_ones_decompressed(tmp_path):
  plain, packed = (
    run(tmp_path / f'files{suffix}', 'split', [unlike()], suffix=suffix) for suffix in ('', '.gz')
  )
  assert {f'{path}.gz': data for path, data in plain.items()} == {
    path: gzip.decompress(data) for path, data in packed.items()
  }
