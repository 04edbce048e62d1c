"""Records laid out by class, step by step and without a runner: milliseconds, not seconds."""

import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.balanced_input_gen.output_plan import ShardContext
from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.balanced_input_gen.transform import ClassShards
from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import Sizes
from tfx_balance.writer import publish_outputs

from tests.balanced_input_gen.helpers_input_gen import assert_laid_out, runs
from tests.helpers_examples import (
  all_bytes,
  example,
  in_shards,
  labelled,
  read_splits,
  write_tfrecords,
)
from tests.helpers_split import request_target
from tests.list_runner import run_on_lists


def context_in(folder, splits, **changes):
  for name in ('work', 'out', 'hyper'):
    (folder / name).mkdir(exist_ok=True)
  target = request_target(folder, changes)
  parameters = InputGenParameters(('label',), tuple(splits), seed=0, missing='error')
  return ShardContext(
    replace(parameters, **changes), hyperparameters_uri=str(folder / 'hyper'), **target
  )


def lay_out(folder, splits, **changes):
  """Returns what `ClassShards` puts out: the plan, the counts assigned, and the files."""
  shards = [(name, shard) for name, shards in splits.items() for shard in shards]
  files = [
    InputFile(write_tfrecords(folder / f'in-{file_number}', shard), file_number, name)
    for file_number, (name, shard) in enumerate(shards)
  ]
  context = context_in(folder, splits, n_files=len(files), **changes)
  return run_on_lists(ClassShards(context), files)


RECORDS = st.lists(st.tuples(st.integers(-2, 12), st.binary(max_size=40)), max_size=80)


@given(
  splits=st.dictionaries(
    st.sampled_from(['train', 'b', 'c']), st.lists(RECORDS, min_size=1, max_size=3), min_size=1
  ),
  file_bytes=st.sampled_from([(400, 200), (100, 90), (5000, 2000), (1 << 20, 1 << 20)]),
  block_bytes=st.sampled_from([1, 300, 1 << 20]),
  gather_bytes=st.sampled_from([60, 1 << 20]),
)
def test_every_record_is_in_a_segment_of_its_class(splits, file_bytes, block_bytes, gather_bytes):
  # Whatever is in the inputs, in whatever number of files, chunks and blocks: the recount of
  # `assert_laid_out` holds, natural counts and bytes included.
  made = {
    name: [[example(label=c, data=data) for c, data in shard] for shard in shards]
    for name, shards in splits.items()
  }
  merged = {name: [r for shard in shards for r in shard] for name, shards in made.items()}
  if not any(merged.values()):
    return
  sizes = Sizes(
    class_file_bytes=file_bytes[0],
    shared_file_bytes=file_bytes[1],
    block_bytes=block_bytes,
    chunk_bytes=min(block_bytes, 300),
    gather_bytes=gather_bytes,
  )
  with tempfile.TemporaryDirectory() as folder:
    publish_outputs(*lay_out(Path(folder), made, sizes=sizes))
    assert_laid_out(Path(folder) / 'out', merged)


def test_records_of_a_shared_file_are_shuffled_within_their_class(tmp_path):
  records = [example(label=i // 1000, id=i) for i in range(3000)]
  publish_outputs(*lay_out(tmp_path, {'train': in_shards(records, 2)}))
  found = read_splits(tmp_path / 'out')['train']
  assert runs(found) == [0, 1, 2]
  place = {record: i for i, record in enumerate(records)}
  for start in (0, 1000, 2000):
    order = [place[record] for record in found[start : start + 1000]]
    assert abs(np.corrcoef(order, np.arange(1000))[0, 1]) < 5 / np.sqrt(1000)


@pytest.mark.parametrize('lost', ['count', 'section', 'file', 'swap'])
def test_nothing_is_published_that_is_not_what_was_planned(tmp_path, lost):
  splits = {'train': [labelled({0: 10, 1: 7, 2: 30})]}
  output_plan, counts, (file,) = lay_out(tmp_path, splits)
  assert file.sections == (10, 7, 30)
  if lost == 'count':
    counts = counts - np.array([0, 1, 0])
  elif lost == 'section':
    file = replace(file, sections=(10, 7))
  elif lost == 'swap':
    file = replace(file, sections=(11, 6, 30))
  files = [] if lost == 'file' else [file]
  with pytest.raises((RuntimeError, KeyError), match=r'planned|data_tfrecord-00000'):
    publish_outputs(output_plan, counts, files)
  assert all_bytes(tmp_path / 'out') == all_bytes(tmp_path / 'hyper') == {}


def test_a_file_that_no_record_was_dealt_to_is_not_in_the_plan(tmp_path):
  sizes = Sizes(class_file_bytes=60, shared_file_bytes=60)
  records = [example(label=0, data=b'%100d' % i) for i in range(8)]  # two files for each
  publish_outputs(*lay_out(tmp_path, {'train': [records]}, sizes=sizes))
  plan = assert_laid_out(tmp_path / 'out', {'train': records})
  assert len(plan['files']) < len(list((tmp_path / 'out/Split-train').iterdir()))


SMALL = Sizes(
  block_bytes=1 << 18,
  chunk_bytes=1 << 18,
  gather_bytes=1 << 18,
  class_file_bytes=1 << 18,
  shared_file_bytes=1 << 18,
)


def peak_bytes(folder, n_records, n_classes):
  """Returns the most memory that laying out so many records of 1,000 bytes held at a time."""
  noise = np.random.default_rng(0).bytes(1 << 20)
  folder.mkdir()
  data = (example(label=i % n_classes, data=noise[i : i + 950]) for i in range(n_records))
  files = [InputFile(write_tfrecords(folder / 'in', data), 0, 'train')]
  default = pa.default_memory_pool()
  pool = pa.proxy_memory_pool(default)
  pa.set_memory_pool(pool)
  tracemalloc.start()
  try:
    _, _, written = run_on_lists(ClassShards(context_in(folder, ['train'], sizes=SMALL)), files)
    assert len(written) > 10
    return tracemalloc.get_traced_memory()[1] + pool.max_memory()
  finally:
    tracemalloc.stop()
    pa.set_memory_pool(default)


def test_memory_is_flat(tmp_path):
  small = peak_bytes(tmp_path / 'small', 4000, 5)
  assert small < 4 << 20
  # Twice, since how far a thread has read ahead is not the same in each run.
  assert peak_bytes(tmp_path / 'large', 32_000, 5) < small * 2  # for eight times the data: 32 MB
  assert peak_bytes(tmp_path / 'classes', 4000, 1000) < small * 2  # for 200 times the classes
