"""Records on their way from input files to output files: each once, mixed, in flat memory."""

import tempfile
from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.shuffle import output_layout
from tfx_balance.shuffle import scatter as shuffle
from tfx_balance.shuffle.output_layout import OutputLayout
from tfx_balance.shuffle.scatter import GatherFile, Scatterer
from tfx_balance.tfrecord import files as records

from tests.helpers_checks import assert_mixed
from tests.helpers_examples import example, in_shards, read_tfrecords, value_of, write_tfrecords
from tests.helpers_memory import kilobyte_records, peak_bytes


@pytest.fixture
def small_buffers(monkeypatch):
  """Makes memory so small that a few records fill it."""
  make_buffers_small(monkeypatch)


def make_buffers_small(monkeypatch, n_bytes=2000):
  monkeypatch.setattr(output_layout, 'BUCKET_BYTES', n_bytes)
  monkeypatch.setattr(shuffle, 'SCATTER_BYTES', n_bytes)
  monkeypatch.setattr(shuffle, 'SEGMENT_BYTES', 1)


def scatter(folder, layouts, shards, outputs, key=1, chunk_bytes=records.CHUNK_BYTES):
  """Returns the segments of each output file."""
  segments = {path: [] for layout in layouts for path in layout.paths}
  for rank, (shard, chosen) in enumerate(zip(shards, outputs, strict=True)):
    path = write_tfrecords(folder / f'in-{rank}', shard)
    scatterer = Scatterer(layouts, rank, len(shards), key, str(folder))
    at = 0
    for frames in records.read_frames(path, chunk_bytes):
      scatterer.add(frames, np.array(chosen[at : at + len(frames)], np.int64))
      at += len(frames)
    for output_path, mine in scatterer.segments():
      segments[output_path].append(mine)
  return segments


def gather(folder, segments):
  """Returns the work file of each output file."""
  step = GatherFile(str(folder))
  return {path: file.work_path for item in segments.items() for path, file in [*_named(step, item)]}


def _named(step, item):
  for file in step.process(item):
    assert file.final_path == item[0]
    assert len(read_tfrecords(file.work_path)) == file.records
    yield item[0], file


def layout_of(name, n_files, n_buckets, suffix=''):
  return OutputLayout(tuple(f'{name}/f{i}{suffix}' for i in range(n_files)), n_buckets)


@given(
  data=st.data(),
  shards=st.lists(st.lists(st.binary(max_size=30), max_size=30), min_size=1, max_size=4),
  layouts=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3),
  scatter_bytes=st.sampled_from([1, 100, 1 << 20]),
  chunk_bytes=st.sampled_from([20, 300, 1 << 20]),
)
def test_every_frame_goes_to_its_output_once(data, shards, layouts, scatter_bytes, chunk_bytes):
  layouts = [layout_of(f'out{i}', *sizes) for i, sizes in enumerate(layouts)]
  choice = st.integers(-1, len(layouts) - 1)
  outputs = [[data.draw(choice) for _ in shard] for shard in shards]
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
    monkeypatch.setattr(shuffle, 'SCATTER_BYTES', scatter_bytes)
    monkeypatch.setattr(shuffle, 'SEGMENT_BYTES', 1)
    segments = scatter(Path(folder), layouts, shards, outputs, chunk_bytes=chunk_bytes)
    found = {path: read_tfrecords(file) for path, file in gather(folder, segments).items()}
  for i, layout in enumerate(layouts):
    mine = Counter(record for path in layout.paths for record in found[path])
    assert mine == Counter(
      record
      for shard, chosen in zip(shards, outputs, strict=True)
      for record, output in zip(shard, chosen, strict=True)
      if output == i
    )


def test_a_file_that_gets_nothing_is_written_too(tmp_path):
  layouts = [layout_of('a', 1, 1, '.gz'), layout_of('b', 2, 2)]
  segments = scatter(tmp_path, layouts, [[b'x', b'y']], [[-1, -1]])
  assert all(segments[path] == [] for path in segments)
  files = gather(tmp_path, {path: [None] for path in segments})
  assert [read_tfrecords(file) for file in files.values()] == [[], [], []]


@pytest.mark.usefixtures('small_buffers')
def test_the_same_spills_give_the_same_bytes_in_whatever_order_they_come(tmp_path):
  payloads = [b'%d' % i * 3 for i in range(900)]
  shards, layouts = in_shards(payloads, 3), [layout_of('a', 2, 3, '.gz')]
  outputs = [[0] * len(shard) for shard in shards]
  first = gather(tmp_path, scatter(tmp_path, layouts, shards, outputs))
  segments = scatter(tmp_path, layouts, shards, outputs)
  second = gather(tmp_path, {path: [None, *found[::-1]] for path, found in segments.items()})
  for path, file in first.items():
    assert Path(file).read_bytes() == Path(second[path]).read_bytes()


def test_another_key_gives_another_order(tmp_path):
  payloads, layouts = [b'%d' % i for i in range(200)], [layout_of('a', 1, 1)]
  orders = []
  for key in (1, 2):
    (file,) = gather(tmp_path, scatter(tmp_path, layouts, [payloads], [[0] * 200], key)).values()
    orders.append(read_tfrecords(file))
  assert orders[0] != orders[1]
  assert sorted(orders[0]) == sorted(orders[1])


@pytest.mark.usefixtures('small_buffers')
@pytest.mark.parametrize('n_files', [1, 3])
def test_a_class_sorted_shard_larger_than_the_buffers_comes_out_mixed(tmp_path, n_files):
  n = 6000
  payloads = [example(label=i * 4 // n, id=i) for i in range(n)]
  path = write_tfrecords(tmp_path / 'sorted', payloads)
  assert Path(path).stat().st_size > 50 * shuffle.SCATTER_BYTES
  layout = OutputLayout.of(Path(path).stat().st_size, 'out', '', n_files)
  assert layout.n_buckets > 20
  segments = scatter(tmp_path, [layout], [payloads], [[0] * n], chunk_bytes=1500)
  assert all(len(mine[0].segments) > 100 for mine in segments.values())
  seen = []
  for file in gather(tmp_path, segments).values():
    found = read_tfrecords(file)
    assert abs(len(found) - n / n_files) < 5 * np.sqrt(n / n_files)
    assert_mixed([value_of(record, 'id') for record in found], n)
    runs = [len(list(run)) for _, run in groupby(value_of(record) for record in found)]
    assert max(runs) < 12  # of four classes; 12 in a row has a chance of n / 4**11
    seen += found
  assert sorted(seen) == sorted(payloads)


def test_in_order_is_not_mixed():
  with pytest.raises(AssertionError):
    assert_mixed(range(1000), 1000)
  blocks = np.concatenate([np.random.default_rng(i).permutation(100) + 100 * i for i in range(10)])
  with pytest.raises(AssertionError):  # what a shuffle of each buffer on its own gives
    assert_mixed(blocks, 1000)


@pytest.mark.usefixtures('small_buffers')
def test_the_shards_of_an_input_come_out_mixed(tmp_path):
  n = 4000
  payloads = [example(id=i) for i in range(n)]
  shards = in_shards(payloads, 8)
  segments = scatter(tmp_path, [layout_of('a', 1, 16)], shards, [[0] * len(s) for s in shards])
  (file,) = gather(tmp_path, segments).values()
  assert_mixed([value_of(record, 'id') for record in read_tfrecords(file)], n)


@pytest.mark.parametrize(('n_files', 'n_inputs'), [(100, 1), (100, 2), (200, 3), (65, 70), (64, 1)])
def test_all_the_files_asked_for_are_filled(tmp_path, n_files, n_inputs):
  # An input file writes to some of the files only where there are many: none may stay empty.
  n = 100 * n_files
  shards = in_shards([b'%d' % i for i in range(n)], n_inputs)
  segments = scatter(tmp_path, [layout_of('a', n_files, 1)], shards, [[0] * len(s) for s in shards])
  sizes = [sum(int(s.segments[:, 2].sum()) for s in found) for found in segments.values()]
  assert sum(sizes) == n
  assert min(sizes) > 20
  assert max(sizes) < 300


@pytest.mark.parametrize(
  ('n_bytes', 'n_files', 'expected'),
  [
    pytest.param(0, None, 1, id='nothing'),
    pytest.param(1000, None, 1, id='small'),
    pytest.param(output_layout.SHARD_BYTES, None, 1, id='one shard'),
    pytest.param(output_layout.SHARD_BYTES + 1, None, 2, id='more than one shard'),
    pytest.param(10 * output_layout.SHARD_BYTES, None, 10, id='ten shards'),
    pytest.param(1000, 3, 3, id='asked for'),
  ],
)
def test_the_number_of_files_is_as_asked_for_or_as_is_sensible(n_bytes, n_files, expected):
  layout = OutputLayout.of(n_bytes, '/out/Split-train', '.gz', n_files)
  folder = '/out/Split-train'
  assert layout.paths == tuple(
    f'{folder}/data_tfrecord-{i:05d}-of-{expected:05d}.gz' for i in range(expected)
  )


@pytest.mark.parametrize('n_bytes', [10**7, 10**9, 10**11, 10**13])
def test_a_bucket_fits_into_memory(n_bytes):
  layout = OutputLayout.of(n_bytes, 'out', '')
  buckets = len(layout.paths) * layout.n_buckets
  assert n_bytes / buckets <= output_layout.MAX_BUCKET_BYTES
  # Small buckets are few, and large ones come only where the small ones would be too many.
  assert buckets <= 2 * max(
    output_layout.MAX_BUCKETS, n_bytes // output_layout.MAX_BUCKET_BYTES + 1
  )


def test_memory_is_flat(tmp_path, monkeypatch):
  make_buffers_small(monkeypatch, 256 << 10)

  def peak(n):
    folder = tmp_path / str(n)
    folder.mkdir()
    path = write_tfrecords(folder / 'in', kilobyte_records(n))
    layout = OutputLayout.of(Path(path).stat().st_size, str(folder), '', 1)

    def shuffled():
      with Scatterer([layout], 0, 1, 1, str(folder)) as scatterer:
        for frames in records.read_frames(path, 256 << 10):
          scatterer.add(frames, np.zeros(len(frames), np.int64))
        segments = list(scatterer.segments())
      (file,) = GatherFile(str(folder)).process((layout.paths[0], [mine for _, mine in segments]))
      assert file.records == n

    return peak_bytes(shuffled)

  small, large = peak(4000), peak(32_000)
  assert small < 4 << 20
  assert large < small * 1.5  # for eight times the data: 32 MB
