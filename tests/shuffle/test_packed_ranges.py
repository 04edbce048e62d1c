"""Packed work files: the bytes that come of them are those of work files of this machine."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.scan import ScanFile
from tfx_balance.scan.spill import ASSIGNED_ROW, FramesReader, new_rows, record_keys
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.ranges import FileGroup, GatherRanges, RangeFinder
from tfx_balance.shuffle.select import Selection, count_ranks
from tfx_balance.sizes import Sizes, Workspace
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord.frames import ScratchBuffer
from tfx_balance.tfrecord.work_files import create_as_is, new_work_file, scratch_folder

from tests.helpers_examples import all_bytes, example, in_shards
from tests.helpers_split import input_files, run_split, split_context
from tests.list_runner import write_on_lists
from tests.tfrecord.test_packed import use_folder

WORK = 's3://bucket/work'
SMALL = Sizes(block_bytes=1500, chunk_bytes=300, unit_bytes=200)
N_FILES = (3, 1, 2)  # of each output
RECORDS = [example(label=i % 7 % 3, id=i, text='x' * (i % 5)) for i in range(600)]


@pytest.fixture(autouse=True)
def asked(tmp_path, monkeypatch):
  """Returns the ranges that are asked for of packed files."""
  monkeypatch.setattr('tempfile.tempdir', str(tmp_path))
  return use_folder(monkeypatch, tmp_path / 'buckets')


def scan(folder, work_dir, by_class=False, purpose='', time=''):
  step = ScanFile(
    ('label',),
    'FORMAT_TF_EXAMPLE',
    'drop',
    work_dir,
    seed=3,
    by_class=by_class,
    purpose=purpose,
    n_files=3,
    time=time,
    sizes=SMALL,
  )
  files = input_files(folder, in_shards(RECORDS, 3))
  return [scanned for file in files for scanned in step.process(file)]


def assign(scanned, work_dir, by_class, n_together, inline=SMALL.inline_bytes):
  """Returns the ranges of each output file, which records get to by class or by position."""
  names = [tuple(f'out/s{i}/f{j}' for j in range(n)) for i, n in enumerate(N_FILES)]
  groups = [
    FileGroup(((0 if by_class else i, i + 1, each),), 2, n_together) for i, each in enumerate(names)
  ]
  sizes = replace(SMALL, inline_bytes=inline, largest_unit_bytes=500 + inline)
  work = Workspace(work_dir=work_dir, sizes=sizes)
  found = {}
  for each in scanned:
    with scratch_folder(work_dir) as folder:
      path = new_work_file(folder, 'assigned')
      finder = RangeFinder(each.spill, path, groups)
      with create_as_is(path) as file:
        for index in each.spill.index('hash', 'code', 'size', 'position'):
          keys = record_keys(index, each.spill.key)
          groups_of: Ints = index['code'].astype(np.int64)
          outputs = groups_of * 0 if by_class else index['position'] % len(N_FILES)
          rows = new_rows(ASSIGNED_ROW, size=index['size'], output=outputs, key=keys)
          file.write(rows.view(np.uint8).data)
          finder.add(index['size'], keys, groups_of if by_class else None)
      for key, mine in finder.by_files(work):
        found.setdefault(key, []).append(mine)
  return found, work_dir


def written(found, work_dir, folder, monkeypatch):
  """Returns the bytes of the output files by their paths."""
  step = GatherRanges(work_dir)
  monkeypatch.setattr(
    'tfx_balance.shuffle.ranges.new_output_file', lambda _, path: f'{folder}/{path}'
  )
  files = [file for item in found.items() for file in step.process(item)]
  return {file.final_path: Path(file.work_path).read_bytes() for file in files}


@pytest.mark.parametrize('inline', [0, 1 << 20])
@pytest.mark.parametrize('n_together', [1, 2, 5])
@pytest.mark.parametrize('by_class', [False, True])
def test_the_bytes_are_those_of_local_work_files(
  tmp_path, asked, monkeypatch, by_class, n_together, inline
):
  here = scan(tmp_path, f'{tmp_path}/here', by_class)
  there = scan(tmp_path, WORK, by_class)
  assert all(len(each.spill.blocks) > 3 for each in there)
  local = written(*assign(here, f'{tmp_path}/here', by_class, 1), tmp_path / 'a', monkeypatch)
  assert not asked
  found, work_dir = assign(there, WORK, by_class, n_together, inline)
  asked.clear()
  assert written(found, work_dir, tmp_path / 'b', monkeypatch) == local
  # Files that are gathered one after another take a range of the frames of each input file
  # together, and one of rows if they are many.
  assert len(found) == sum(-(-n // n_together) for n in N_FILES)
  assert len(asked) == (1 if inline else 2) * len(found) * len(there)
  assert [path for path in tmp_path.glob('tfx-balance-*/*')] == []


@pytest.mark.parametrize(('by_class', 'time'), [(False, ''), (True, ''), (False, 'id')])
def test_a_packed_spill_is_what_was_spilled(tmp_path, by_class, time):
  for here, there in zip(
    *(scan(tmp_path, at, by_class, time=time) for at in (f'{tmp_path}/here', WORK)), strict=True
  ):
    assert [block.tobytes() for block in there.spill.index()] == [
      block.tobytes() for block in here.spill.index()
    ]
    local, remote = (list(each.spill.frames('size')) for each in (here, there))
    assert [rows['size'].tolist() for rows, _ in local] == [
      rows['size'].tolist() for rows, _ in remote
    ]
    assert local[-1][1].payloads() == remote[-1][1].payloads()


def test_some_frames_are_read_without_the_others(tmp_path, asked):
  one, *_ = scan(tmp_path, WORK, by_class=True)
  whole = sum(end - start for start, end in one.spill.frames_file.units.tolist())
  rows, frames = next(one.spill.frames('size'))
  expected = frames.payloads()[:2]
  asked.clear()
  with FramesReader(one.spill) as reader:
    for _ in range(2):  # from what was fetched, the second time
      assert reader.read(0, rows['size'][:2], ScratchBuffer()).payloads() == expected
  assert 0 < sum(end - start for start, end in asked) < whole
  assert len(asked) == 1


@pytest.mark.parametrize('n_more', [0, 10_000])
def test_ranks_that_were_counted_while_scanning_are_not_read(tmp_path, asked, n_more):
  here, there = (scan(tmp_path, at, purpose='split') for at in (f'{tmp_path}/here', WORK))
  counted = Totals()
  for each in here:
    counted.merge(Totals.of(each))
  strata = counted.strata()
  quotas = np.stack([strata.records, strata.records * n_more], axis=1)  # as if in other files
  selection = Selection({'': strata.strata}, quotas, 3, 'split')
  asked.clear()
  for local, packed_one in zip(here, there, strict=True):
    (found,) = count_ranks(packed_one, selection, 3)
    (expected,) = count_ranks(local, selection, 3)
    assert found[0] == expected[0]
    assert found[1].cells.tolist() == expected[1].cells.tolist()
    assert found[1].counts.tolist() == expected[1].counts.tolist()
  # With as many more records elsewhere, finer buckets are needed than those that were counted.
  n_read = sum(end - start for start, end in asked)
  assert (n_read < 8 * len(RECORDS)) == (n_more == 0)


@pytest.mark.parametrize(
  'arguments',
  [
    {},
    {'group_by': 'id'},
    {'group_by': 'id', 'identity': 'values'},
    {'group_by': 'text', 'order_by': 'id'},
    {'order_by': 'id', 'key': 'text', 'embargo': 2},
    {'stratify_by': 'id', 'bins': 3},
  ],
  ids=['plain', 'groups', 'groups, values', 'groups in time', 'time', 'bins'],
)
def test_a_split_by_packed_work_files_is_that_by_local_ones(tmp_path, arguments):
  shards, splits = in_shards(RECORDS, 3), {'a': 3, 'b': 1}
  run_split(tmp_path / 'here', shards, splits, sizes=SMALL, **arguments)
  context = split_context(
    tmp_path / 'there',
    splits,
    n_files=len(shards),
    sizes=SMALL,
    work_dir=WORK,
    output_uri='s3://bucket/out',
    **arguments,
  )
  write_on_lists(StratifiedSplit(context), input_files(tmp_path / 'there', shards))
  assert all_bytes(tmp_path / 'buckets' / 'out') == all_bytes(tmp_path / 'here' / 'out')
