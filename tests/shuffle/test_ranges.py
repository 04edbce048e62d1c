"""Output files, made of what was spilled: each record once, in its output, mixed."""

import os
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.key_order import order_of_block
from tfx_balance.scan.scan import ScanFile, ScannedFile
from tfx_balance.scan.spill import ASSIGNED_ROW, Spill, SpillWriter, new_rows, record_keys
from tfx_balance.shuffle import ranges
from tfx_balance.shuffle.ranges import NOWHERE, FileGroup, GatherRanges, RangeFinder, all_files
from tfx_balance.sizes import Sizes, Workspace
from tfx_balance.tfrecord.frames import frame

from tests.helpers_checks import assert_mixed
from tests.helpers_examples import example, in_shards, labelled, read_tfrecords, value_of
from tests.helpers_memory import kilobyte_records, peak_bytes
from tests.helpers_split import input_files

LARGE = 1 << 20


def small(block_bytes, chunk_bytes=100):
  """Returns sizes of blocks and chunks, by name."""
  return {'block_bytes': block_bytes, 'chunk_bytes': chunk_bytes}


def groups_of(n_files, n_chunks=1, suffix='', n_together=1):
  """Returns the groups of outputs with so many files each, gathered in so many chunks."""
  layouts = [tuple(f'out/s{part}/f{i}{suffix}' for i in range(n)) for part, n in enumerate(n_files)]
  return [
    FileGroup(
      tuple((i, i + 1, paths) for i, paths in enumerate(layouts) if len(paths) == n),
      n_chunks,
      n_together,
    )
    for n in sorted(set(n_files))
  ]


def paths_of(groups):
  """Returns the paths of the files of each output."""
  return dict(sorted((first, paths) for each in groups for first, _, paths in each.outputs))


@dataclass
class Assigned:
  """A spilled file whose records were assigned by chance, each with its output."""

  scanned: ScannedFile
  path: str
  blocks: list
  records: list[tuple[bytes, int]]

  def ranges(self, groups):
    finder = RangeFinder(self.scanned.spill, self.path, groups)
    for sizes, keys in self.blocks:
      finder.add(sizes, keys)
    return finder.by_files(Workspace(work_dir=str(Path(self.path).parent)))


def assign(folder, shards, parts, seed=0, **sizes):
  """Returns the spilled shards, whose records go to any of these outputs."""
  step = ScanFile(
    ('label',), 'FORMAT_TF_EXAMPLE', 'drop', str(folder), seed=seed, sizes=Sizes(**sizes)
  )
  return [
    _deal_file(scanned, parts)
    for file in input_files(Path(folder), shards)
    for scanned in step.process(file)
  ]


def _deal_file(scanned, parts):
  spill, path = scanned.spill, f'{scanned.file.path}-assigned'
  found = [(index, frames.payloads()) for index, frames in spill.frames()]
  blocks = [(index['size'], record_keys(index, spill.key)) for index, _ in found]
  spilled = [record for _, payloads in found for record in payloads]
  chosen = np.random.default_rng(scanned.file.file_number).choice(parts, len(spilled))
  columns = [np.concatenate([*each, []]) for each in zip(*blocks, strict=True)] or [[], []]
  rows = new_rows(ASSIGNED_ROW, size=columns[0], output=chosen, key=columns[1])
  Path(path).write_bytes(rows.tobytes())
  return Assigned(scanned, path, blocks, list(zip(spilled, chosen.tolist(), strict=True)))


def gather(folder, groups, assigned):
  """Returns the work file of each output file, by its final path."""
  found = {key: [nothing] for key, nothing in all_files(groups)}
  for each in assigned:
    for key, mine in each.ranges(groups):
      found[key].append(mine)
  step = GatherRanges(str(folder))
  files = [file for item in found.items() for file in step.process(item)]
  by_path = {file.final_path: file for file in files}
  assert len(by_path) == len(files)
  assert set(by_path) == {path for paths in paths_of(groups).values() for path in paths}
  return by_path


def read(files):
  """Returns the records of each file, which are as many as it says."""
  found = {path: read_tfrecords(file.work_path) for path, file in files.items()}
  for path, file in files.items():
    assert (file.records, file.n_bytes) == (len(found[path]), sum(map(len, found[path])))
  return found


def varied(n, n_sizes=7):
  """Returns records of several sizes that all differ, some without a label."""
  return [example(label=i % 5 or None, id=i, text='x' * (i * i % n_sizes)) for i in range(n)]


@given(
  data=st.data(),
  payloads=st.builds(varied, st.integers(0, 60), st.sampled_from([1, 7])),
  n_inputs=st.integers(1, 4),
  n_files=st.lists(st.integers(1, 4), min_size=1, max_size=4),
  block_bytes=st.sampled_from([1, 300, LARGE]),
  n_chunks=st.sampled_from([1, 2, 5, 40]),
  n_together=st.integers(1, 5),
)
def test_every_record_comes_out_once_in_its_output(
  data, payloads, n_inputs, n_files, block_bytes, n_chunks, n_together
):
  parts = data.draw(st.lists(st.integers(0, len(n_files) - 1) | st.just(NOWHERE), min_size=1))
  with tempfile.TemporaryDirectory() as folder:
    groups = groups_of(n_files, n_chunks, n_together=n_together)
    assigned = assign(folder, in_shards(payloads, n_inputs), parts, **small(block_bytes))
    found = read(gather(folder, groups, assigned))
    assert found == read(gather(folder, groups_of(n_files, n_chunks), assigned))
  items = [item for each in assigned for item in each.records]
  assert len(items) == sum(value_of(record) is not None for record in payloads)
  for part, paths in paths_of(groups).items():
    mine = Counter(record for path in paths for record in found[path])
    assert mine == Counter(record for record, chosen in items if chosen == part)


SIZES = st.lists(st.lists(st.integers(17, 40), max_size=40), max_size=3)


@given(
  blocks=SIZES,
  groups=st.lists(st.tuples(st.integers(1, 9), st.integers(1, 12)), min_size=1, max_size=3),
  by_group=st.booleans(),
)
def test_the_ranges_are_all_of_a_file_by_their_keys(blocks, groups, by_group):
  groups = [
    FileGroup(((0, 1, tuple(f'g{g}/f{i}' for i in range(n))),), k)
    for g, (n, k) in enumerate(groups)
  ]
  finder = RangeFinder(Spill(3, 0, '', 'frames', ()), 'rows', groups)
  records, keys = [], []  # of each: its group, -1 for none, first and last byte, block
  at = 0
  for b, sizes in enumerate(blocks):
    mine = np.arange(len(sizes)) * (len(groups) + 1) // max(1, len(sizes)) - 1
    drawn = np.sort(np.random.default_rng(b).integers(0, 1 << 64, len(sizes), np.uint64))
    drawn = drawn[order_of_block(drawn, mine + 1 if by_group else None)]
    finder.add(np.array(sizes, np.uint32), drawn, mine if by_group else None)
    keys += drawn.tolist()
    ends = at + np.cumsum([0, *sizes])
    records += zip(mine.tolist(), pairwise(ends.tolist()), [b] * len(sizes), strict=True)
    at = int(ends[-1])
  found = [
    (key[0][2], each.parts[:, 1:]) for (key,), each in finder.by_files(Workspace(work_dir='.'))
  ]
  assert len({path for path, _ in found}) == len(found)
  for g, group in enumerate(groups):
    parts = np.concatenate(
      [np.empty((0, 5), int), *(parts for path, parts in found if path.startswith(f'g{g}/'))]
    )
    taken = sorted(i for _, first, end, _, _ in parts.tolist() for i in range(first, end))
    assert taken == [i for i, (mine, *_) in enumerate(records) if mine == g or not by_group]
    for chunk, first, end, low, high in parts.tolist():
      assert (low, high) == (records[first][1][0], records[end - 1][1][1])
      assert 0 <= chunk < group.n_chunks
    pieces = group.n_files * group.n_chunks
    for path, own in found:
      if path.startswith(f'g{g}/'):
        file = int(path.rpartition('f')[2])
        for chunk, first, end, _, _ in own.tolist():
          piece = file * group.n_chunks + chunk
          assert {(key >> 32) * pieces >> 32 for key in keys[first:end]} == {piece}


@pytest.mark.parametrize('n_inputs', [1, 2, 7, 300])
def test_all_the_files_of_every_output_are_filled(tmp_path, n_inputs):
  n_files, shards = (20, 20, 8, 3), in_shards(labelled({0: 4000}), n_inputs)
  groups = groups_of(n_files, n_chunks=2)
  assigned = assign(tmp_path, shards, range(4))
  files = gather(tmp_path, groups, assigned)
  assert sum(file.records for file in files.values()) == 4000
  for paths in paths_of(groups).values():
    share = 1000 / len(paths)
    assert all(abs(files[path].records - share) < 5 * np.sqrt(share) for path in paths)


def test_what_was_spilled_is_read_once_for_each_number_of_files(tmp_path, monkeypatch):
  assigned = assign(tmp_path, in_shards(varied(300), 3), [0, 1, 2], **small(700))
  n_read = Counter()

  def fill(stream, array, path, fill=ranges.fill):
    n_read[path] += array.nbytes
    fill(stream, array, path)

  monkeypatch.setattr(ranges, 'fill', fill)
  for n_files, times in (((2, 2, 2), 1), ((2, 4, 2), 2)):
    n_read.clear()
    gather(tmp_path, groups_of(n_files, n_chunks=4), assigned)
    paths = [path for each in assigned for path in (each.path, each.scanned.spill.frames_file)]
    assert n_read == {path: Path(path).stat().st_size * times for path in paths}


def test_another_seed_gives_another_order(tmp_path):
  orders = []
  for seed in (0, 1):
    assigned = assign(tmp_path, [labelled({0: 100})], [0], seed)
    orders += read(gather(tmp_path, groups_of((1,)), assigned)).values()
  assert orders[0] != orders[1]
  assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('n_records', [0, 3], ids=['no records', 'few records'])
def test_a_file_that_gets_nothing_is_written_for_each_output(tmp_path, suffix, n_records):
  groups = groups_of((20, 20, 2), n_chunks=2, suffix=suffix)
  assigned = assign(tmp_path, [labelled({0: n_records}), varied(1)], [0])  # the only one is dropped
  files = gather(tmp_path, groups, assigned)
  assert all(file.work_path.endswith(suffix) for file in files.values())
  found = read(files)
  assert sum(map(len, found.values())) == n_records
  assert not any(found[path] for part in (1, 2) for path in paths_of(groups)[part])


def test_several_outputs_share_a_file_in_order(tmp_path):
  assigned = assign(tmp_path, in_shards(labelled({0: 300}), 2), [0, 2, 3], **small(700))
  (file,) = gather(tmp_path, [FileGroup(((0, 5, ('shared',)),), 1)], assigned).values()
  chosen = {record: part for each in assigned for record, part in each.records}
  parts = [chosen[record] for record in read_tfrecords(file.work_path)]
  assert parts == sorted(parts)
  assert file.sections == tuple(parts.count(part) for part in range(5))
  order = [value_of(record, 'id') for record in read_tfrecords(file.work_path)]
  assert abs(np.corrcoef(order[: file.sections[0]], range(file.sections[0]))[0, 1]) < 0.5


@pytest.mark.parametrize('short', ['spill', 'assigned'])
def test_a_work_file_that_is_short_is_named(tmp_path, short):
  (assigned,) = assign(tmp_path, [labelled({0: 40})], [0, 1])
  path = assigned.path if short == 'assigned' else assigned.scanned.spill.frames_file
  os.truncate(path, Path(path).stat().st_size - 1)
  with pytest.raises(OSError, match=f'{path} ends 1 bytes early'):
    gather(tmp_path, groups_of((2, 2)), [assigned])


def order_of(file):
  return [value_of(record, 'id') for record in read_tfrecords(file.work_path)]


@pytest.mark.parametrize('n_files', [(1, 1), (3, 1)], ids=str)
def test_a_class_sorted_file_of_many_blocks_comes_out_mixed(tmp_path, n_files):
  n = 8000
  payloads = [example(label=i * 4 // n, id=i) for i in range(n)]
  assigned = assign(tmp_path, [payloads], [0, 1], **small(2000, 500))
  assert len(assigned[0].blocks) > 50
  for file in gather(tmp_path, groups_of(n_files, n_chunks=10), assigned).values():
    assert file.records > 1000
    assert_mixed(order_of(file), n)
    runs = [len(list(run)) for _, run in groupby(i * 4 // n for i in order_of(file))]
    assert max(runs) < 12  # of four classes; 12 in a row has a chance of n / 4**11


@pytest.mark.parametrize('n_chunks', [1, 16])
def test_the_files_of_an_input_come_out_mixed(tmp_path, n_chunks):
  n = 4000
  assigned = assign(tmp_path, in_shards([example(label=0, id=i) for i in range(n)], 8), [0])
  (file,) = gather(tmp_path, groups_of((1,), n_chunks), assigned).values()
  assert_mixed(order_of(file), n)


def test_in_order_is_not_mixed():
  with pytest.raises(AssertionError):
    assert_mixed(range(1000), 1000)
  blocks = np.concatenate([np.random.default_rng(i).permutation(100) + 100 * i for i in range(10)])
  with pytest.raises(AssertionError):  # what a shuffle of each buffer on its own gives
    assert_mixed(blocks, 1000)


def test_a_bundle_that_is_killed_and_tried_again_leaves_the_whole_file(tmp_path, monkeypatch):
  (assigned,) = assign(tmp_path, [labelled({0: 300})], [0])
  ((key, mine),) = assigned.ranges(groups_of((1,), n_chunks=6, suffix='.gz'))
  step, fill_chunk = GatherRanges(str(tmp_path)), ranges.Chunks.read

  def breaks(self, i):
    if i == 3:
      raise OSError('the worker was killed')
    return fill_chunk(self, i)

  with monkeypatch.context() as patch:
    patch.setattr(ranges.Chunks, 'read', breaks)
    with pytest.raises(OSError, match='killed'):
      list(step.process((key, [mine])))
  (first,), (second,) = (list(step.process((key, [mine]))) for _ in range(2))
  assert first.work_path != second.work_path
  assert Path(first.work_path).read_bytes() == Path(second.work_path).read_bytes()
  assert sorted(read_tfrecords(second.work_path)) == sorted(labelled({0: 300}))


def test_memory_is_flat(tmp_path):
  def peak(n):
    payloads = frame(list(kilobyte_records(1024)))
    with SpillWriter(str(tmp_path), str(n), 0, 1) as writer:
      finder = RangeFinder(writer.spill, str(writer.spill.rows_file), groups_of((1,), n // 1024))
      for i in range(n // 1024):
        keys = np.random.default_rng(i).integers(0, 1 << 64, 1024, np.uint64)
        rows = new_rows(ASSIGNED_ROW, size=payloads.sizes, output=0, key=keys)
        rows = rows[writer.write(rows, payloads)]
        finder.add(rows['size'], rows['key'])

    def gathered():
      ((key, mine),) = finder.by_files(Workspace(work_dir=str(tmp_path)))
      (file,) = GatherRanges(str(tmp_path)).process((key, [mine]))
      assert file.records == n

    return peak_bytes(gathered)

  small, large = peak(4096), peak(32_768)
  assert small < 4 << 20
  assert large < small * 1.5  # for eight times the data: 32 MB
