"""Thresholds in Beam's steps, against sorting all the records in one place."""

import tempfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.narrow_integers import SparseCounts
from tfx_balance.plan.ranks import ranks
from tfx_balance.scan.scan import InputFile, ScannedFile
from tfx_balance.scan.spill import INDEX_ROW, Spill
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.scan.totals import ScanCounts, Totals
from tfx_balance.shuffle.select import (
  FileAssigner,
  FileCounts,
  Selection,
  collect_candidates,
  count_ranks,
  find_file_thresholds,
  plan_search,
)
from tfx_balance.sizes import Workspace
from tfx_balance.stratified_splitter.output_plan import PURPOSE, make_output_plan, new_scan

from tests.helpers_examples import example
from tests.helpers_split import input_files, run_split, split_context
from tests.list_runner import ListPipeline


def strata_of(n):
  return StratumColumns.of(['int'], [range(n)])


class InMemory(Spill):
  """A spill whose index is in memory, in blocks of three."""

  def index(self, *names):
    index = self.rows_file
    for start in range(0, len(index), 3):
      yield index[start : start + 3]


def scanned(file_number, hashes, codes, n_strata, group=''):
  index = np.zeros(len(hashes), INDEX_ROW)
  index['hash'], index['code'] = hashes, codes
  strata = strata_of(n_strata)
  return ScannedFile(
    file=InputFile(f'f{file_number}', file_number, group),
    spill=InMemory(file_number, 0, index, '', ()),
    strata=strata,
    records=np.ones(n_strata),
    stratum_bytes=(),
    counts=ScanCounts(n_files=1),
  )


def index_of(file):
  return np.concatenate(list(file.spill.index()))


def assign(files, selection):
  """Returns rows and parts of each file by the transform's steps, and the counts."""
  lists = ListPipeline()
  with tempfile.TemporaryDirectory() as folder:
    work = Workspace(work_dir=folder, n_files=len(files))
    searched = (lists.elements(files), lists.elements([selection]), work)
    (thresholds,) = find_file_thresholds(*searched).values
  found, counts = [], []
  for file in files:
    assigner = FileAssigner(selection, thresholds, file)
    strata = selection.strata_of(file)
    counted = FileCounts(strata, selection.quotas.shape)
    codes, parts = index_of(file)['code'], []
    for index in file.spill.index():
      parts.append(assigner.assign(index))
      counted.add(index['code'], parts[-1])
    found.append([strata[codes], np.concatenate(parts)])
    counts.append(counted.sparse())
  return found, SparseCounts.merge(counts).dense()


@given(st.data())
def test_the_first_of_each_row_by_rank_go_to_part_zero(data):
  n_strata = data.draw(st.integers(1, 3))
  hashes = st.integers(0, 20) | st.integers(0, 2**64 - 1)  # with many equal ones
  files = []
  for file_number in range(data.draw(st.integers(1, 3))):
    of_file = data.draw(st.lists(hashes, min_size=1, max_size=30))
    codes = [data.draw(st.integers(0, n_strata - 1)) for _ in of_file]
    files.append(
      scanned(file_number, np.array(of_file, np.uint64), codes, n_strata, f'g{file_number % 2}')
    )
  keys = [(f'g{g}', (ClassValue('int', i),)) for g in range(2) for i in range(n_strata)]
  rows = {key: row for row, key in enumerate(keys)}
  everything = [
    (rows[file.file.input_split, file.strata[code]], int(rank), file.file.file_number, at)
    for file in files
    for at, (code, rank) in enumerate(
      zip(index_of(file)['code'], ranks(index_of(file)['hash'], 5, 'balance'), strict=True)
    )
  ]
  sizes = [sum(entry[0] == row for entry in everything) for row in range(len(rows))]
  first = [data.draw(st.integers(0, n)) for n in sizes]
  quotas = np.array([[k, n - k] for k, n in zip(first, sizes, strict=True)])
  strata = {f'g{g}': strata_of(n_strata) for g in range(2)}
  range_rows = data.draw(st.sampled_from([1, 20, 1 << 22]))
  found, counts = assign(files, Selection(strata, quotas, 5, 'balance', range_rows=range_rows))

  np.testing.assert_array_equal(counts, quotas)
  in_part_zero = {
    entry[2:]
    for row, k in enumerate(first)
    for entry in sorted(entry for entry in everything if entry[0] == row)[:k]
  }
  for file, (of_row, part) in zip(files, found, strict=True):
    for at, code in enumerate(index_of(file)['code']):
      assert of_row[at] == rows[file.file.input_split, file.strata[code]]
      assert part[at] == (0 if (file.file.file_number, at) in in_part_zero else 1)


def test_another_seed_or_purpose_selects_others():
  file = scanned(0, np.arange(400, dtype=np.uint64), np.zeros(400), 1)
  strata, quotas = {'': strata_of(1)}, np.array([[200, 200]])
  chosen = [
    set(np.flatnonzero(assign([file], Selection(strata, quotas, *key))[0][0][1] == 0))
    for key in ((0, 'balance'), (1, 'balance'), (0, 'split'))
  ]
  for one, other in ((0, 1), (0, 2), (1, 2)):
    assert 60 < len(chosen[one] & chosen[other]) < 140  # a half of 200, within six deviations


def near_the_ends(folder, records, **arguments):
  """Returns how many pairs of a split's records are near thresholds."""
  context = split_context(folder, {'train': 75, 'eval': 15, 'test': 10}, **arguments)
  (file,) = input_files(folder, [records])
  (found,) = new_scan(context).process(file)
  selection = make_output_plan({'': Totals.of(found)}, context).selection
  searches = [plan_search(n, counts, selection) for n, counts in count_ranks(found, selection, 1)]
  return sum(len(near) for _, near in collect_candidates(found, selection, searches))


@pytest.mark.parametrize('n_keys', [1, 10, 20_000])
def test_few_pairs_are_near_a_threshold_however_few_keys_there_are(tmp_path, n_keys):
  records = [example(label=0, id=i, patient=i % n_keys) for i in range(20_000)]
  # A bucket of two ends has 20,000 / 256 records, or 20,000 / 4,096 ones of the sample.
  assert near_the_ends(tmp_path, records, key='patient') < 400


def test_one_record_many_times_is_one_pair(tmp_path):
  assert near_the_ends(tmp_path, [example(label=0)] * 20_000) == 1


@pytest.mark.parametrize('order_by', [None, 'day'])
def test_records_of_one_key_keep_their_splits_in_any_file(tmp_path, order_by):
  records = [example(label=0, id=i, patient=0, day=0) for i in range(20_000)]
  context = split_context(tmp_path, key='patient')
  (found,) = new_scan(context).process(*input_files(tmp_path, [records]))
  index = np.concatenate(list(found.spill.index('content', 'position')))
  lower = ranks(index['content'], context.draw_seed, PURPOSE) >> np.uint64(63 - 23)
  order = np.argsort(lower, kind='stable')
  at = int(np.flatnonzero(np.diff(lower[order]) == 0)[0])
  pair = [
    records[i] for i in index['position'][order[at : at + 2]]
  ]  # whose ranks have 23 bits in common
  splits = {'train': 1, 'eval': 1}
  one = run_split(tmp_path / 'one', [pair[:1], pair[1:]], splits, key='patient', order_by=order_by)
  other = run_split(
    tmp_path / 'other', [pair[1:], pair[:1]], splits, key='patient', order_by=order_by
  )
  assert one == other
  assert all(len(parts) == 1 for parts in one.values())
