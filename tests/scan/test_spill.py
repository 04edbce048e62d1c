"""Spilled files: every record once, beside what is known of it, in buckets that its place draws."""

import tempfile
from collections import Counter
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import example as explicit
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.scan import scan
from tfx_balance.scan.scan import INDEX_ROW, InputFile, ScanFile, SpillWriter
from tfx_balance.tfrecord import files
from tfx_balance.tfrecord.storage import LocalFiles

from tests.helpers_examples import example, labelled, read_tfrecords, value_of, write_tfrecords

HEADER_AND_FOOTER = 16
LARGE = 1 << 20
BUCKETS = st.sampled_from([1, 2, 7, 64])
BLOCK_BYTES = st.sampled_from([1, 200, 700, LARGE])
CHUNK_BYTES = st.sampled_from([1, 150, 1000, LARGE])


@st.composite
def payloads_of_a_file(draw):
  """Draws records that all differ, some without a label, of one size or of several."""
  sizes = draw(st.sampled_from([st.just(5), st.integers(0, 60)]))
  rows = draw(st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, None]), sizes), max_size=40))
  return [example(label=a, id=i, text='x' * size) for i, (a, size) in enumerate(rows)]


def spill(folder, payloads, n_buckets=8, seed_key=1, missing='drop', rank=0, suffix=''):
  """Returns what a file of these records spills."""
  path = write_tfrecords(Path(folder) / f'in-{rank}{suffix}', payloads)
  keep = partial(SpillWriter, n_buckets=n_buckets, seed_key=seed_key)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', missing, str(folder), keep=keep)
  (found,) = step.process(InputFile(path, rank))
  return found


def small(monkeypatch, block_bytes, chunk_bytes):
  """Has blocks written once they have so many bytes, and files read in chunks of so many."""
  monkeypatch.setattr(scan, 'BLOCK_BYTES', block_bytes)
  monkeypatch.setattr(files.read_frames, '__defaults__', (chunk_bytes,))


def with_a_label(payloads):
  """Returns the records that have a label."""
  return [record for record in payloads if value_of(record) is not None]


def buckets_by_id(found):
  """Returns the bucket of each spilled record."""
  buckets = [np.repeat(np.arange(found.n_buckets), table[0]) for _, table in found.blocks()]
  ids = [value_of(record, 'id') for record in read_tfrecords(found.spill_path)]
  return dict(zip(ids, np.concatenate([*buckets, []]).astype(int).tolist(), strict=True))


@given(payloads_of_a_file(), BUCKETS, BLOCK_BYTES, CHUNK_BYTES)
@explicit([example(label=i % 2 or None, id=i) for i in range(30)], 7, 1, 1)
def test_every_record_is_spilled_once_beside_its_row(payloads, n_buckets, block_bytes, chunk_bytes):
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
    small(monkeypatch, block_bytes, chunk_bytes)
    found = spill(folder, payloads, n_buckets)
    spilled = read_tfrecords(found.spill_path)
    rows = [row for block in found.index_rows() for row in block.tolist()]
  known = with_a_label(payloads)
  assert Counter(spilled) == Counter(known)
  assert [row[0] for row in rows] == [xxhash.xxh3_64_intdigest(r) for r in spilled]
  assert [found.strata[row[1]][0].value for row in rows] == [value_of(r) for r in spilled]
  assert [row[2] for row in rows] == [len(r) + HEADER_AND_FOOTER for r in spilled]
  assert found.dropped == len(payloads) - len(known)
  held = {stratum[0].value: n for stratum, n in zip(found.strata, found.records, strict=True)}
  assert held == Counter(map(value_of, known))


@given(payloads_of_a_file(), BUCKETS, BLOCK_BYTES, CHUNK_BYTES)
@explicit([example(label=1, id=i) for i in range(30)], 7, 200, 1)
def test_the_tables_cut_the_blocks_into_buckets(payloads, n_buckets, block_bytes, chunk_bytes):
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
    small(monkeypatch, block_bytes, chunk_bytes)
    found = spill(folder, payloads, n_buckets)
    blocks = list(found.blocks())
    spill_bytes = Path(found.spill_path).stat().st_size
    index_bytes = Path(found.index_path).stat().st_size
  assert tuple(len(rows) for rows, _ in blocks) == found.chunks
  assert min(found.chunks, default=1) > 0
  for rows, table in blocks:
    assert (table.shape, table.dtype) == ((2, n_buckets), np.int64)
    assert table[0].sum() == len(rows)
    in_buckets = np.split(rows['size'], np.cumsum(table[0])[:-1])
    assert [int(sizes.sum()) for sizes in in_buckets] == table[1].tolist()
  assert sum(int(table[1].sum()) for _, table in blocks) == spill_bytes
  in_tables = 2 * 4 * n_buckets * len(blocks)
  assert index_bytes == sum(found.chunks) * INDEX_ROW.itemsize + in_tables


@given(payloads_of_a_file(), BUCKETS, BLOCK_BYTES, CHUNK_BYTES, st.integers(0, 3))
def test_a_record_s_bucket_depends_on_its_place_in_the_file_alone(
  payloads, n_buckets, block_bytes, chunk_bytes, rank
):
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
    small(monkeypatch, LARGE, LARGE)
    whole = buckets_by_id(spill(folder, payloads, n_buckets, missing='own_stratum', rank=rank))
    small(monkeypatch, block_bytes, chunk_bytes)
    pieces = buckets_by_id(spill(folder, payloads, n_buckets, missing='own_stratum', rank=rank))
    kept = buckets_by_id(spill(folder, payloads, n_buckets, rank=rank))
    others = [example(label=1, id=i) for i in range(len(payloads))]
    assert buckets_by_id(spill(folder, others, n_buckets, rank=rank)) == whole
  assert pieces == whole
  assert len(whole) == len(payloads)
  assert kept == {i: whole[i] for i in kept}


def test_a_block_holds_as_much_as_it_may_and_a_chunk_more_at_the_most(tmp_path, monkeypatch):
  small(monkeypatch, 2000, 300)
  found = spill(tmp_path, labelled({0: 200, 1: 100}))
  n_bytes = [int(table[1].sum()) for _, table in found.blocks()]
  assert len(n_bytes) > 4
  assert min(n_bytes[:-1]) >= 2000
  assert max(n_bytes) < 2000 + 300
  assert found.n_bytes == sum(n_bytes)


def test_a_bucket_is_a_random_part_of_every_block(tmp_path, monkeypatch):
  small(monkeypatch, 40_000, 1000)
  n, n_buckets = 4000, 8
  found = spill(tmp_path, labelled({0: n // 2, 1: n // 2}), n_buckets)
  tables = [table for _, table in found.blocks()]
  assert len(tables) > 3
  for table in tables:
    share = table[0].sum() / n_buckets
    assert (abs(table[0] - share) < 5 * np.sqrt(share)).all()
  buckets = buckets_by_id(found)
  drawn = [buckets[i] for i in range(n)]
  assert abs(np.corrcoef(drawn, np.arange(n))[0, 1]) < 5 / np.sqrt(n)
  assert abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 5 / np.sqrt(n)


@pytest.mark.parametrize('n_dropped', [0, 1, 40])
def test_a_file_of_which_nothing_is_kept(tmp_path, monkeypatch, n_dropped):
  small(monkeypatch, 200, 100)
  found = spill(tmp_path, [example(other=i) for i in range(n_dropped)])
  assert (found.chunks, found.dropped, sum(found.records)) == ((), n_dropped, 0)
  assert list(found.blocks()) == list(found.index_rows()) == []
  assert read_tfrecords(found.spill_path) == []
  assert Path(found.index_path).read_bytes() == b''


def contents(found):
  return Path(found.index_path).read_bytes(), Path(found.spill_path).read_bytes()


def test_the_same_records_give_the_same_bytes(tmp_path, monkeypatch):
  small(monkeypatch, 500, 100)
  payloads = [example(label=i % 3 or None, id=i, text='x' * (i % 7)) for i in range(100)]
  one, again, zipped = (spill(tmp_path, payloads, suffix=suffix) for suffix in ('', '', '.gz'))
  assert len(one.chunks) > 3
  assert one.spill_path != again.spill_path
  assert contents(one) == contents(again) == contents(zipped)


@pytest.mark.parametrize('other', [{'seed_key': 2}, {'rank': 1}], ids=['seed key', 'rank'])
def test_another_key_and_another_file_give_another_order(tmp_path, other):
  payloads = labelled({0: 100, 1: 100})
  one, two = (read_tfrecords(spill(tmp_path, payloads, **how).spill_path) for how in ({}, other))
  assert one != two
  assert sorted(one) == sorted(two) == sorted(payloads)


def test_the_order_is_not_that_of_the_file(tmp_path):
  payloads = labelled({0: 200})
  ids = [value_of(r, 'id') for r in read_tfrecords(spill(tmp_path, payloads, 64).spill_path)]
  assert abs(np.corrcoef(ids, np.arange(200))[0, 1]) < 5 / np.sqrt(200)


@pytest.mark.parametrize('cut', [0, 1, 700], ids=['whole', 'end', 'middle'])
def test_the_files_are_closed_also_where_the_input_is_truncated(tmp_path, monkeypatch, cut):
  small(monkeypatch, 200, 100)
  path = Path(write_tfrecords(tmp_path / 'in', labelled({0: 30})))
  path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
  opened = []

  def create(*args, create=LocalFiles.create):
    opened.append(create(*args))
    return opened[-1]

  monkeypatch.setattr(LocalFiles, 'create', create)
  keep = partial(SpillWriter, n_buckets=8, seed_key=1)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(tmp_path), keep=keep)
  scanned = step.process(InputFile(str(path), 0))
  if cut:
    with pytest.raises(DataError, match=f'{path} .*truncated'):
      next(scanned)
  else:
    next(scanned)
  assert [file.closed for file in opened] == [True, True]
  assert all(Path(file.name).stat().st_size for file in opened)  # it failed in the middle


def test_frames_are_those_of_the_spill_beside_their_rows(tmp_path, monkeypatch):
  small(monkeypatch, 700, 150)
  found = spill(tmp_path, labelled({0: 20, 1: 10}))
  hashes = [
    (int(row['hash']), xxhash.xxh3_64_intdigest(record))
    for rows, frames in found.frames()
    for row, record in zip(rows, frames.payloads(), strict=True)
  ]
  assert len(hashes) == 30
  assert all(known == seen for known, seen in hashes)


@pytest.mark.parametrize('missing', [3, 200])
def test_an_index_that_ends_early_is_named(tmp_path, missing):
  found = spill(tmp_path, labelled({0: 20, 1: 10}))
  Path(found.index_path).write_bytes(Path(found.index_path).read_bytes()[:-missing])
  with pytest.raises(OSError, match=f'{found.index_path} ends .* early'):
    list(found.blocks())
