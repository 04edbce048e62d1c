"""Copies of a record that is there very often get places of their own."""

import numpy as np
import pytest
from tfx_balance.plan.ranks import Candidates
from tfx_balance.scan.scan import ScanFile
from tfx_balance.scan.spill import record_keys
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.frequent import KeySpreader, collect_crowded, find_crowded, number_copies
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_examples import example, in_shards, read_tfrecords, split_files, value_of
from tests.helpers_split import input_files, split_request
from tests.list_runner import write_on_lists


def scan(folder, shards):
  (folder / 'work').mkdir(parents=True)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(folder / 'work'))
  return [found for file in input_files(folder, shards) for found in step.process(file)]


def spread_keys(scanned):
  """Returns the crowded ranges, and the keys of all records once they are spread."""
  totals = Totals()
  for each in scanned:
    totals.merge(Totals.of(each))
  crowded = find_crowded({'': totals})
  frequent = number_copies(
    Candidates.merge([collect_crowded(each, crowded) for each in scanned]), crowded
  )
  keys = []
  for each in scanned:
    spreader = KeySpreader(frequent, each.file.rank)
    for index in each.spill.index('hash'):
      keys.append(spreader.spread(record_keys(index, each.spill.key))[0])
  return crowded, np.sort(np.concatenate(keys))


@pytest.mark.parametrize('n', [33, 5000])
def test_copies_have_the_same_keys_for_any_files(tmp_path, monkeypatch, n):
  monkeypatch.setattr('tfx_balance.scan.scan.BLOCK_BYTES', 1000)
  often = [example(label=i, id=-1) for i in range(3) for _ in range(n)]
  records = [*often, *(example(label=0, id=i) for i in range(3000))]
  found = []
  for n_files in (1, 5):
    order = np.random.default_rng(n_files).permutation(len(records))
    shards = in_shards([records[i] for i in order], n_files)
    crowded, keys = spread_keys(scan(tmp_path / str(n_files), shards))
    assert len(crowded.cells) == 3
    assert len(np.unique(keys)) == len(records)
    found.append(keys.tolist())
  assert found[0] == found[1]


def test_records_that_differ_are_not_looked_at(tmp_path):
  crowded, _ = spread_keys(scan(tmp_path, [[example(label=0, id=i) for i in range(20_000)]]))
  assert not len(crowded.cells)


def test_files_are_equally_full_where_most_records_are_one(tmp_path):
  records = [example(label=0, id=max(0, i - 20_000)) for i in range(30_000)]
  request = split_request(tmp_path, {'train': 1}, n_files=3, output_files={'train': 20})
  write_on_lists(StratifiedSplit(request), input_files(tmp_path, in_shards(records, 3)))
  held = [
    [value_of(r, 'id') for r in read_tfrecords(p)] for p in split_files(request.output_uri, 'train')
  ]
  ones = np.array([ids.count(0) for ids in held])
  assert sum(ones) == 20_001
  assert np.abs(ones - 1000).max() < 5 * np.sqrt(1000)
  assert np.abs(np.array([*map(len, held)]) - 1500).max() < 5 * np.sqrt(1500)
