"""Spilled files: every record once, beside what is known of it, in random order or by class."""

import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import xxhash
from hypothesis import example as explicit
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.scan.scan import InputFile, ScanFile
from tfx_balance.scan.spill import ASSIGNED_ROW, SpillWriter, new_rows
from tfx_balance.sizes import Sizes
from tfx_balance.tfrecord.frames import frame
from tfx_balance.tfrecord.storage import LocalFiles

from tests.helpers_examples import example, labelled, read_tfrecords, value_of, write_tfrecords

HEADER_AND_FOOTER = 16
LARGE = 1 << 20
BLOCK_BYTES = st.sampled_from([1, 200, 700, LARGE])
CHUNK_BYTES = st.sampled_from([1, 150, 1000, LARGE])


@st.composite
def payloads_of_a_file(draw):
  """Draws records that all differ, some without a label, of one size or of several."""
  sizes = draw(st.sampled_from([st.just(5), st.integers(0, 60)]))
  rows = draw(st.lists(st.tuples(st.sampled_from([0, 0, 1, 2, None]), sizes), max_size=40))
  return [example(label=a, id=i, text='x' * size) for i, (a, size) in enumerate(rows)]


def scan(
  folder, payloads, seed=1, missing='drop', file_number=0, suffix='', by_class=False, **sizes
):
  """Returns what is found in a file of these records."""
  path = write_tfrecords(Path(folder) / f'in-{file_number}{suffix}', payloads)
  step = ScanFile(
    ('label',),
    'FORMAT_TF_EXAMPLE',
    missing,
    str(folder),
    seed=seed,
    by_class=by_class,
    sizes=Sizes(**sizes),
  )
  (found,) = step.process(InputFile(path, file_number))
  return found


def with_a_label(payloads):
  """Returns the records that have a label."""
  return [record for record in payloads if value_of(record) is not None]


@given(payloads_of_a_file(), BLOCK_BYTES, CHUNK_BYTES, st.booleans())
@explicit([example(label=i % 2 or None, id=i) for i in range(30)], 1, 1, True)
def test_every_record_is_spilled_once_beside_its_row(payloads, block_bytes, chunk_bytes, by_class):
  sizes = {'block_bytes': block_bytes, 'chunk_bytes': chunk_bytes}
  with tempfile.TemporaryDirectory() as folder:
    found = scan(folder, payloads, by_class=by_class, **sizes)
    spilled = read_tfrecords(found.spill.frames_file) if found.spill.blocks else []
    rows = [row for block in found.spill.index() for row in block.tolist()]
    beside = [r for _, frames in found.spill.frames() for r in frames.payloads()]
  known = with_a_label(payloads)
  assert Counter(spilled) == Counter(known)
  assert beside == spilled
  assert [row[0] for row in rows] == [xxhash.xxh3_64_intdigest(r) for r in spilled]
  assert [found.strata[row[1]][0].value for row in rows] == [value_of(r) for r in spilled]
  assert [row[2] for row in rows] == [len(r) + HEADER_AND_FOOTER for r in spilled]
  assert [payloads[row[3]] for row in rows] == spilled
  assert found.counts.dropped == len(payloads) - len(known)
  counts = {stratum[0].value: n for stratum, n in zip(found.strata, found.records, strict=True)}
  assert counts == Counter(map(value_of, known))


def blocks_of(found):
  """Returns the records of each block in order."""
  return [frames.payloads() for _, frames in found.spill.frames()]


@given(payloads_of_a_file(), BLOCK_BYTES)
def test_by_class_the_rarest_class_of_a_block_comes_first(payloads, block_bytes):
  sizes = {'block_bytes': block_bytes, 'chunk_bytes': 150}
  with tempfile.TemporaryDirectory() as folder:
    mixed, by_class = (
      blocks_of(scan(folder, payloads, missing='own_stratum', by_class=how, **sizes))
      for how in (False, True)
    )
  assert [sorted(block) for block in mixed] == [sorted(block) for block in by_class]
  for before, block in zip(mixed, by_class, strict=True):
    values = [value_of(record) for record in block]
    runs = [value for i, value in enumerate(values) if i == 0 or values[i - 1] != value]
    assert len(runs) == len(set(values))  # one run of each class
    counts = [values.count(value) for value in runs]
    assert counts == sorted(counts)
    for value in runs:  # in which the order is as random as without classes
      assert [r for r in block if value_of(r) == value] == [
        r for r in before if value_of(r) == value
      ]


def test_a_block_holds_as_much_as_it_may_and_a_chunk_more_at_the_most(tmp_path):
  found = scan(tmp_path, labelled({0: 200, 1: 100}), block_bytes=2000, chunk_bytes=300)
  n_bytes = [int(index['size'].sum()) for index in found.spill.index()]
  assert len(n_bytes) > 4
  assert min(n_bytes[:-1]) >= 2000
  assert max(n_bytes) < 2000 + 300
  assert found.counts.n_bytes == sum(n_bytes)


def test_a_run_of_neighbours_is_a_random_part_of_every_block(tmp_path):
  n = 4000
  records = labelled({0: n // 2, 1: n // 2})
  found = scan(tmp_path, records, block_bytes=40_000, chunk_bytes=1000)
  assert len(found.spill.blocks) > 3
  for index in found.spill.index():
    position = index['position'].astype(float)
    assert position.max() - position.min() == len(position) - 1  # those of a part of the file
    limit = 5 / np.sqrt(len(position))
    assert abs(np.corrcoef(position, np.arange(len(position)))[0, 1]) < limit
    assert abs(np.corrcoef(position[1:], position[:-1])[0, 1]) < limit


@pytest.mark.parametrize('n_dropped', [0, 1, 40])
def test_a_file_of_which_nothing_is_kept(tmp_path, n_dropped):
  records = [example(other=i) for i in range(n_dropped)]
  found = scan(tmp_path, records, block_bytes=200, chunk_bytes=100)
  assert (found.spill.blocks, found.counts.dropped, sum(found.records)) == ((), n_dropped, 0)
  assert list(found.spill.index()) == list(found.spill.frames()) == []
  assert not Path(found.spill.rows_file).exists()  # no file for nothing


def contents(found):
  return Path(found.spill.rows_file).read_bytes(), Path(found.spill.frames_file).read_bytes()


def test_the_same_records_give_the_same_bytes(tmp_path):
  sizes = {'block_bytes': 500, 'chunk_bytes': 100}
  payloads = [example(label=i % 3 or None, id=i, text='x' * (i % 7)) for i in range(100)]
  one, again, zipped = (
    scan(tmp_path, payloads, suffix=suffix, **sizes) for suffix in ('', '', '.gz')
  )
  assert len(one.spill.blocks) > 3
  assert one.spill.frames_file != again.spill.frames_file
  assert contents(one) == contents(again) == contents(zipped)


@pytest.mark.parametrize('cut', [0, 1, 700], ids=['whole', 'end', 'middle'])
def test_the_files_are_closed_also_where_the_input_is_truncated(tmp_path, monkeypatch, cut):
  path = Path(write_tfrecords(tmp_path / 'in', labelled({0: 30})))
  path.write_bytes(path.read_bytes()[: path.stat().st_size - cut])
  opened = []

  def create(*args, create=LocalFiles.create):
    opened.append(create(*args))
    return opened[-1]

  monkeypatch.setattr(LocalFiles, 'create', create)
  sizes = Sizes(block_bytes=200, chunk_bytes=100)
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(tmp_path), sizes=sizes)
  scanned = step.process(InputFile(str(path), 0))
  if cut:
    with pytest.raises(DataError, match=f'{path} .*truncated'):
      next(scanned)
  else:
    next(scanned)
  assert [file.closed for file in opened] == [True, True]
  assert all(Path(file.name).stat().st_size for file in opened)  # it failed in the middle


def test_records_are_written_as_often_as_asked_for(tmp_path):
  frames = frame([bytes([i]) * i for i in range(10)])
  which = np.array([3, 3, 9, 0, 3, 5])
  keys = np.arange(6, dtype=np.uint64) << 60
  rows = new_rows(ASSIGNED_ROW, size=frames.sizes[which], output=np.arange(6), key=keys)
  with SpillWriter(str(tmp_path), 'some', 7, 1) as writer:
    order = writer.write(rows, frames, which)
    again = writer.write(rows, frames, which, np.array([1, 0, 0, 1, 0, 0]))
    assert not len(writer.write(rows[:0], frames, which[:0]))
  assert sorted(order.tolist()) == list(range(6))
  assert set(again[:4].tolist()) == {1, 2, 4, 5}
  assert writer.spill.blocks == (6, 6)
  written = np.fromfile(writer.spill.rows_file, ASSIGNED_ROW)
  assert written['output'].tolist() == [*order, *again]
  assert [record for record in read_tfrecords(writer.spill.frames_file)] == [
    bytes([i]) * i for i in which[written['output']]
  ]


@pytest.mark.parametrize('missing', [3, 200])
@pytest.mark.parametrize('part', ['rows_file', 'frames_file'])
def test_a_work_file_that_ends_early_is_named(tmp_path, missing, part):
  found = scan(tmp_path, labelled({0: 20, 1: 10}))
  path = Path(getattr(found.spill, part))
  path.write_bytes(path.read_bytes()[:-missing])
  with pytest.raises(OSError, match=f'{path} ends .* early'):
    list(found.spill.frames())
