"""The files of splits, made of what was spilled: each record once, in its split, mixed."""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.split_plan import SplitPlan
from tfx_balance.scan import scan
from tfx_balance.scan.scan import ScanFile, SpillWriter
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle import output_layout, ranges
from tfx_balance.shuffle.output_layout import OutputLayout
from tfx_balance.shuffle.ranges import ASSIGNED_ROW, GatherRanges, SpillRanges, all_files
from tfx_balance.stratified_splitter import job as split_job
from tfx_balance.stratified_splitter.job import SplitJob
from tfx_balance.tfrecord import files as records

from tests.helpers_checks import assert_mixed
from tests.helpers_examples import example, in_shards, labelled, read_tfrecords, value_of
from tests.helpers_split import input_files, split_request

LARGE = 1 << 20


def make_small(monkeypatch, block_bytes, chunk_bytes=100):
  """Has blocks spilled once they have so many bytes, and files read in chunks of so many."""
  monkeypatch.setattr(scan, 'BLOCK_BYTES', block_bytes)
  monkeypatch.setattr(records.read_frames, '__defaults__', (chunk_bytes,))


def job_of(folder, n_files, n_inputs, n_chunks=1, suffix='', seed=0):
  """Returns a job that writes so many files for each split, each in so many chunks."""
  layouts = [
    OutputLayout(tuple(f'out/Split-s{part}/f{i}{suffix}' for i in range(n)), n_chunks)
    for part, n in enumerate(n_files)
  ]
  names = tuple(f's{part}' for part in range(len(n_files)))
  plan = SplitPlan((), (), names, (), ())
  request = split_request(Path(folder), seed=seed)
  quotas = np.empty((0, len(n_files)), np.int64)
  totals = Totals(n_files=n_inputs)
  return SplitJob(request, tuple(layouts), (0,) * len(n_files), quotas, totals, plan)


@dataclass
class Assigned:
  """A spilled file whose records were assigned by chance, each with its split."""

  spilled: scan.SpilledFile
  path: str
  tables: list
  records: list[tuple[bytes, int]]

  def ranges(self, job):
    found = SpillRanges(self.spilled, self.path, job.layouts, job.totals.n_files)
    for table in self.tables:
      found.add(table)
    return list(found.by_file())


def assign(folder, shards, parts, buckets=16):
  """Returns the spilled shards, whose records go to any of these splits."""
  keep = partial(SpillWriter, n_buckets=buckets, seed_key=1)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'drop', str(folder), keep=keep)
  return [
    _deal_file(spilled, parts)
    for file in input_files(Path(folder), shards)
    for spilled in step.process(file)
  ]


def _deal_file(spilled, parts):
  blocks = list(spilled.blocks())
  chosen = np.random.default_rng(spilled.file.rank).choice(parts, sum(spilled.chunks))
  rows = np.empty(len(chosen), ASSIGNED_ROW)
  rows['output'] = chosen
  rows['size'] = np.concatenate([*(index['size'] for index, _ in blocks), []])
  path = f'{spilled.file.path}-assigned'
  Path(path).write_bytes(rows.tobytes())
  held = zip(read_tfrecords(spilled.spill_path), chosen.tolist(), strict=True)
  return Assigned(spilled, path, [table for _, table in blocks], list(held))


def gather(job, assigned):
  """Returns the work file of each output file, by its final path."""
  found = {number: [nothing] for number, nothing in all_files(job.layouts)}
  for each in assigned:
    for number, mine in each.ranges(job):
      found[number].append(mine)
  gather = GatherRanges(job.request.work_dir, job.request.parameters.seed)
  files = [file for item in found.items() for file in gather.process(item, job.layouts)]
  by_path = {file.final_path: file for file in files}
  assert len(by_path) == len(files)
  assert set(by_path) == {path for layout in job.layouts for path in layout.paths}
  return by_path


def read(files):
  """Returns the records of each file, which are as many as it says."""
  found = {path: read_tfrecords(file.work_path) for path, file in files.items()}
  for path, file in files.items():
    assert (file.records, file.n_bytes) == (len(found[path]), sum(map(len, found[path])))
  return found


def bytes_of(files):
  return {path: Path(file.work_path).read_bytes() for path, file in files.items()}


def varied(n, n_sizes=7):
  """Returns records of several sizes that all differ, some without a label."""
  return [example(label=i % 5 or None, id=i, text='x' * (i * i % n_sizes)) for i in range(n)]


@given(
  data=st.data(),
  payloads=st.builds(varied, st.integers(0, 60), st.sampled_from([1, 7])),
  n_inputs=st.integers(1, 4),
  n_files=st.lists(st.integers(1, 4), min_size=1, max_size=4),
  block_bytes=st.sampled_from([1, 300, LARGE]),
  buckets=st.sampled_from([1, 3, 16, 200]),
  n_chunks=st.sampled_from([1, 2, 5, 40]),
  fan_out=st.sampled_from([1, 2, 64]),
)
def test_every_record_comes_out_once_in_its_split(
  data, payloads, n_inputs, n_files, block_bytes, buckets, n_chunks, fan_out
):
  parts = data.draw(st.lists(st.integers(0, len(n_files) - 1), min_size=1))
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
    make_small(monkeypatch, block_bytes)
    monkeypatch.setattr(output_layout, 'FAN_OUT', fan_out)
    job = job_of(folder, n_files, n_inputs, n_chunks)
    assigned = assign(folder, in_shards(payloads, n_inputs), parts, buckets)
    files = gather(job, assigned)
    found = read(files)
  held = [item for each in assigned for item in each.records]
  assert len(held) == sum(value_of(record) is not None for record in payloads)
  for part, layout in enumerate(job.layouts):
    mine = Counter(record for path in layout.paths for record in found[path])
    assert mine == Counter(record for record, chosen in held if chosen == part)


@given(
  blocks=st.integers(0, 3),
  buckets=st.integers(1, 40),
  n_files=st.lists(st.integers(1, 9), min_size=1, max_size=3),
  n_chunks=st.integers(1, 12),
  even=st.booleans(),
)
def test_the_ranges_are_all_of_a_file_in_chunks(blocks, buckets, n_files, n_chunks, even):
  rng = np.random.default_rng(blocks + buckets)
  counts = rng.integers(even, 2 if even else 3, (blocks, buckets))
  n_bytes = counts * rng.integers(16, 30, counts.shape)
  with tempfile.TemporaryDirectory() as folder:
    (found,) = assign(folder, [[]], [0], buckets)
    job = job_of(folder, n_files, 1, n_chunks)
    ranges = replace(found, tables=list(np.stack([counts, n_bytes], axis=1))).ranges(job)
  assert len({number for number, _ in ranges}) == len(ranges)
  assert all(np.ptp(each.records, axis=1).any() for _, each in ranges)  # none without records
  for files in n_files:
    mine = [each for (number, _), each in ranges if number == files]
    assert all(each.records.shape == each.n_bytes.shape == (blocks, n_chunks + 1) for each in mine)
    for edges, whole in (
      ([each.records for each in mine], counts),
      ([each.n_bytes for each in mine], n_bytes),
    ):
      pieces = sorted(pair for rows in edges for row in rows.tolist() for pair in pairwise(row))
      pieces = [(low, high) for low, high in pieces if low < high]
      assert [0, *(high for _, high in pieces)] == [*(low for low, _ in pieces), whole.sum()]
    if even and blocks:  # a record in each bucket
      sizes = [np.diff(each.records, axis=1) for each in mine]
      assert all(np.ptp(size) <= 1 for size in sizes)
      held = [size.sum() for size in sizes]
      assert max(held) - min(held) <= blocks


@pytest.mark.parametrize('n_inputs', [1, 2, 3, 7])
def test_all_the_files_of_every_split_are_filled(tmp_path, monkeypatch, n_inputs):
  # An input file writes to some of the files only where there are many: none may stay empty.
  monkeypatch.setattr(output_layout, 'FAN_OUT', 3)
  monkeypatch.setattr(split_job, 'BUCKETS', 1)  # so that there are as many as the files need
  n_files, shards = (20, 20, 8, 3), in_shards(labelled({0: 4000}), n_inputs)
  job = job_of(tmp_path, n_files, n_inputs, n_chunks=2)
  buckets = split_job.n_buckets(dict(enumerate(n_files)))
  assigned = assign(tmp_path, shards, range(4), buckets)
  for each in assigned:
    to = Counter(files for (files, _), _ in each.ranges(job))
    assert to == {files: min(files, max(3, -(-files // n_inputs))) for files in n_files}
  files = gather(job, assigned)
  assert sum(file.records for file in files.values()) == 4000
  for layout in job.layouts:
    share = 1000 / len(layout.paths)
    held = [files[path].records for path in layout.paths]
    assert min(held) > share / 3
    assert max(held) < share * 3


def test_every_file_of_a_split_is_as_full_as_the_others(tmp_path, monkeypatch):
  make_small(monkeypatch, 5000)
  job = job_of(tmp_path, (5, 7), n_inputs=2)
  files = gather(job, assign(tmp_path, in_shards(labelled({0: 3000}), 2), [0, 1], 1024))
  for layout in job.layouts:
    share = 1500 / len(layout.paths)
    assert all(abs(files[p].records - share) < 5 * np.sqrt(share) for p in layout.paths)


def test_files_are_named_by_how_many_a_split_has(tmp_path):
  assert Counter(all_files(job_of(tmp_path, (2, 3, 2), 1).layouts)) == {
    ((n, i), None): 1 for n in (2, 3) for i in range(n)
  }


def test_what_was_spilled_is_read_once_for_each_number_of_files(tmp_path, monkeypatch):
  make_small(monkeypatch, 700)
  assigned = assign(tmp_path, in_shards(varied(300), 3), [0, 1, 2])
  n_read = Counter()

  def fill(stream, array, path, fill=records.fill):
    n_read[path] += array.nbytes
    fill(stream, array, path)

  monkeypatch.setattr(ranges, 'fill', fill)
  for n_files, times in (((2, 2, 2), 1), ((2, 4, 2), 2)):
    n_read.clear()
    gather(job_of(tmp_path, n_files, 3, n_chunks=4), assigned)
    paths = [path for each in assigned for path in (each.path, each.spilled.spill_path)]
    assert n_read == {path: Path(path).stat().st_size * times for path in paths}


@pytest.mark.parametrize('mix', [ranges.mix, lambda places, _: 0 * places])
def test_the_same_spills_give_the_same_bytes_in_any_order(tmp_path, monkeypatch, mix):
  make_small(monkeypatch, 700)
  monkeypatch.setattr(ranges, 'mix', mix)
  one, two = (assign(tmp_path / name, in_shards(varied(400), 4), [0, 1, 2]) for name in 'ab')
  job = job_of(tmp_path, (2, 2, 3), 4, n_chunks=3, suffix='.gz')
  first, second = bytes_of(gather(job, one)), bytes_of(gather(job, two[::-1]))
  assert first == second
  assert all(each.startswith(b'\x1f\x8b') for each in first.values())


def test_another_seed_gives_another_order(tmp_path):
  assigned = assign(tmp_path, [labelled({0: 100})], [0])
  orders = []
  for seed in (0, 1):
    orders += read(gather(job_of(tmp_path, (1,), 1, seed=seed), assigned)).values()
  assert orders[0] != orders[1]
  assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('n_records', [0, 3], ids=['no records', 'few records'])
def test_a_file_that_gets_nothing_is_written_for_each_split(tmp_path, suffix, n_records):
  job = job_of(tmp_path, (20, 20, 2), 2, n_chunks=2, suffix=suffix)
  assigned = assign(tmp_path, [labelled({0: n_records}), varied(1)], [0])  # the only one is dropped
  files = gather(job, assigned)
  assert all(file.work_path.endswith(suffix) for file in files.values())
  found = read(files)
  assert sum(map(len, found.values())) == n_records
  assert not any(found[path] for layout in job.layouts[1:] for path in layout.paths)


@pytest.mark.parametrize('short', ['spill', 'assigned'])
def test_a_work_file_that_is_short_is_named(tmp_path, short):
  (assigned,) = assign(tmp_path, [labelled({0: 40})], [0, 1])
  path = assigned.path if short == 'assigned' else assigned.spilled.spill_path
  os.truncate(path, Path(path).stat().st_size - 1)
  with pytest.raises(OSError, match=f'{path} ends 1 bytes early'):
    gather(job_of(tmp_path, (2, 2), 1), [assigned])


def order_of(file):
  return [value_of(record, 'id') for record in read_tfrecords(file.work_path)]


@pytest.mark.parametrize('n_files', [(1, 1), (3, 1)], ids=str)
def test_a_class_sorted_file_of_many_blocks_comes_out_mixed(tmp_path, monkeypatch, n_files):
  make_small(monkeypatch, 2000, 500)
  n = 8000
  payloads = [example(label=i * 4 // n, id=i) for i in range(n)]
  assigned = assign(tmp_path, [payloads], [0, 1], 64)
  assert len(assigned[0].tables) > 50
  job = job_of(tmp_path, n_files, 1, n_chunks=10)
  for file in gather(job, assigned).values():
    assert file.records > 1000
    assert_mixed(order_of(file), n)
    runs = [len(list(run)) for _, run in groupby(i * 4 // n for i in order_of(file))]
    assert max(runs) < 12  # of four classes; 12 in a row has a chance of n / 4**11


@pytest.mark.parametrize('n_chunks', [1, 16])
def test_the_files_of_an_input_come_out_mixed(tmp_path, n_chunks):
  n = 4000
  assigned = assign(tmp_path, in_shards([example(label=0, id=i) for i in range(n)], 8), [0], 64)
  (file,) = gather(job_of(tmp_path, (1,), 8, n_chunks), assigned).values()
  assert_mixed(order_of(file), n)
