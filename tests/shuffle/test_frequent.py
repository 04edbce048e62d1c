"""Copies of a record that is there very often get places of their own."""

from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.ranks import Candidates
from tfx_balance.scan.scan import ScanFile
from tfx_balance.scan.spill import record_keys
from tfx_balance.shuffle import frequent
from tfx_balance.shuffle.frequent import (
  COUNTERS,
  KeyCounts,
  KeySpreader,
  count_keys,
  count_likely,
  number_copies,
)
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_examples import example, in_shards, read_tfrecords, split_files, value_of
from tests.helpers_memory import peak_bytes
from tests.helpers_split import input_files, split_context
from tests.list_runner import write_on_lists


def scan(folder, shards, sizes=SIZES):
  (folder / 'work').mkdir(parents=True)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(folder / 'work'), sizes=sizes)
  return [found for file in input_files(folder, shards) for found in step.process(file)]


def spread_keys(scanned):
  """Returns the keys that may be frequent, and the keys of all records once they are spread."""
  counted = KeyCounts.merge(count_keys(each, len(scanned)) for each in scanned)
  found = number_copies(
    Candidates.merge([count_likely(each, counted) for each in scanned]), counted
  )
  keys = []
  for each in scanned:
    spreader = KeySpreader(found, each.file.file_number)
    for index in each.spill.index('hash'):
      keys.append(spreader.spread(record_keys(index, each.spill.key))[0])
  return counted.likely, np.sort(np.concatenate(keys))


@pytest.mark.parametrize('n', [33, 5000])
def test_copies_have_the_same_keys_for_any_files(tmp_path, n):
  often = [example(label=i, id=-1) for i in range(3) for _ in range(n)]
  records = [*often, *(example(label=0, id=i) for i in range(3000))]
  found = []
  for n_files in (1, 5):
    order = np.random.default_rng(n_files).permutation(len(records))
    shards = in_shards([records[i] for i in order], n_files)
    likely, keys = spread_keys(scan(tmp_path / str(n_files), shards, Sizes(block_bytes=1000)))
    assert len(likely) == 3
    assert len(np.unique(keys)) == len(records)
    found.append(keys.tolist())
  assert found[0] == found[1]


def test_records_that_differ_are_not_counted_again(tmp_path):
  likely, _ = spread_keys(scan(tmp_path, [[example(label=0, id=i) for i in range(20_000)]]))
  assert not len(likely)


@given(st.lists(st.lists(st.integers(0, 9), max_size=60), min_size=1, max_size=8))
def test_a_summary_misses_no_key_by_more_than_it_says(blocks):
  n, exact = sum(map(len, blocks)), Counter(key for block in blocks for key in block)
  merge = partial(KeyCounts.merge, counters=3)
  several = [merge([KeyCounts.of(np.array(block, np.uint64))]) for block in blocks]
  found = merge([merge(several[::2]), *several[1::2]])
  assert len(found) <= 3
  assert found.n == n
  assert found.lost * 4 <= n
  counts = dict(zip(found.keys.tolist(), found.counts.tolist(), strict=True))
  for key, times in exact.items():
    assert times - found.lost <= counts.get(key, 0) <= times


def test_memory_does_not_grow_with_the_copies_of_a_record():
  draw = np.random.default_rng(0)

  def peak(n_blocks):
    def blocks():
      for _ in range(n_blocks):
        yield KeyCounts.of(draw.integers(0, 1 << 63, 50_000, np.uint64) >> np.uint64(40))

    merge = frequent.MergeRows(KeyCounts.merge)
    return peak_bytes(lambda: merge.merged(blocks()))

  assert peak(64) < 1.5 * peak(16)
  assert peak(16) < 40 * 10 * COUNTERS


@pytest.mark.parametrize(
  ('n_records', 'times'), [(2000, 100), (6000, 40), (3000, 64), (1000, 33)], ids=str
)
def test_copies_are_spread_over_200_files_as_by_chance(tmp_path, n_records, times):
  draw = np.random.default_rng(0)
  records = [example(label=0, id=i) for i in range(n_records)]
  order = draw.permutation(np.repeat(np.arange(n_records), times))
  shards = in_shards([records[i] for i in order], 3)
  context = split_context(tmp_path, {'train': 1}, n_files=3, output_files={'train': 200})
  write_on_lists(StratifiedSplit(context), input_files(tmp_path, shards))
  files = [
    [value_of(r, 'id') for r in read_tfrecords(p)] for p in split_files(context.output_uri, 'train')
  ]
  assert Counter(i for numbers in files for i in numbers) == dict.fromkeys(range(n_records), times)
  sizes = np.array([*map(len, files)])
  mean = n_records * times / 200
  assert np.abs(sizes - mean).max() < 5 * np.sqrt(mean)
  # Copies in files of their own, as of so many balls in 200 boxes:
  in_files = np.bincount([i for numbers in files for i in set(numbers)], minlength=n_records)
  ideal = 200 * (1 - (1 - 1 / 200) ** times)
  assert abs(in_files.mean() - ideal) < 0.5


def test_files_are_equally_full_where_most_records_are_one(tmp_path):
  records = [example(label=0, id=max(0, i - 20_000)) for i in range(30_000)]
  context = split_context(tmp_path, {'train': 1}, n_files=3, output_files={'train': 20})
  write_on_lists(StratifiedSplit(context), input_files(tmp_path, in_shards(records, 3)))
  numbers = [
    [value_of(r, 'id') for r in read_tfrecords(p)] for p in split_files(context.output_uri, 'train')
  ]
  ones = np.array([ids.count(0) for ids in numbers])
  assert sum(ones) == 20_001
  assert np.abs(ones - 1000).max() < 5 * np.sqrt(1000)
  assert np.abs(np.array([*map(len, numbers)]) - 1500).max() < 5 * np.sqrt(1500)
