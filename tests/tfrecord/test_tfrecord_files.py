"""TFRecord frames, against TensorFlow's own reader and writer."""

import errno
import gzip
import itertools
import os
import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord import files, frames, reading

from tests.helpers_examples import read_tfrecords, write_tfrecords

MIXED = [b'', b'a', b'', b'b' * 5000, *[b'c%03d' % i for i in range(200)], b'd' * 70, b'']
SUFFIXES = ['', '.gz']


def read(path, chunk_bytes=SIZES.chunk_bytes):
  """Returns the records that `read_frames` finds."""
  found = files.read_frames(str(path), chunk_bytes=chunk_bytes)
  return [record for frames in found for record in frames.payloads()]


@given(
  payloads=st.lists(
    st.one_of(st.binary(max_size=40), st.sampled_from([b'same size', b'equal one']))
    | st.integers(0, 5000).map(bytes),
    max_size=12,
  ),
  repeat=st.sampled_from([1, 1, 80]),
  chunk_bytes=st.integers(1, 6000),
  suffix=st.sampled_from(SUFFIXES),
)
def test_reads_any_records_at_any_chunk_size(
  tmp_path_factory, payloads, repeat, chunk_bytes, suffix
):
  payloads = [record for record in payloads for _ in range(repeat)]
  path = write_tfrecords(tmp_path_factory.mktemp('any') / f'in{suffix}', payloads)
  assert read(path, chunk_bytes) == payloads


@pytest.mark.parametrize('payloads', [MIXED, []], ids=['mixed', 'none'])
@pytest.mark.parametrize('suffix', SUFFIXES)
def test_tensorflow_reads_what_is_written(tmp_path, suffix, payloads):
  path = str(tmp_path / f'out{suffix}')
  with files.create_compressed(path) as out:
    out.write(frames.frame(payloads).data)
  assert read_tfrecords(path) == read(path) == payloads


@pytest.mark.parametrize('payloads', [MIXED, [b''], []], ids=['mixed', 'empty record', 'none'])
def test_new_frames_are_the_bytes_that_tensorflow_writes(tmp_path, payloads):
  write_tfrecords(tmp_path / 'in', payloads)
  made = frames.frame(payloads)
  assert bytes(made.data) == (tmp_path / 'in').read_bytes()
  assert [bytes(r) for r in made.payloads()] == payloads


@given(data=st.data(), payloads=st.lists(st.binary(max_size=20), max_size=10))
def test_take_gives_the_frames_at_the_positions(tmp_path_factory, data, payloads):
  path = write_tfrecords(tmp_path_factory.mktemp('take') / 'in', [*payloads, b'one at least'])
  (frames,) = files.read_frames(path)
  order = data.draw(st.lists(st.integers(0, len(payloads)), max_size=15))
  taken = frames.take(np.array(order, np.int64))
  assert [bytes(r) for r in taken.payloads()] == [[*payloads, b'one at least'][i] for i in order]
  assert len(memoryview(taken.data)) == taken.offsets[-1]  # what is written is the frames alone


@pytest.mark.parametrize('cut', [1, 40, 99])
def test_reads_every_member_of_a_gzip_file(tmp_path, cut):
  payloads = MIXED[:4] + MIXED[-3:]
  write_tfrecords(tmp_path / 'plain', payloads)
  data = (tmp_path / 'plain').read_bytes()
  path = tmp_path / 'members.gz'
  path.write_bytes(gzip.compress(data[:cut]) + gzip.compress(data[cut:]))
  assert read(path) == read_tfrecords(path) == payloads
  path.write_bytes(gzip.compress(data[:cut]) + gzip.compress(b'') + gzip.compress(data[cut:]))
  assert read(path) == payloads  # TensorFlow stops at a member without content


def test_a_gzip_header_has_neither_time_nor_name(tmp_path, monkeypatch):
  written = []
  for name, now in (('first.gz', 1e9), ('another.gz', 2e9)):
    monkeypatch.setattr('time.time', lambda now=now: now)
    with files.create_compressed(str(tmp_path / name)) as out:
      out.write(frames.frame(MIXED).data)
    written.append((tmp_path / name).read_bytes())
  assert written[0] == written[1]
  magic, method, flags, mtime = struct.unpack_from('<HBBI', written[0])
  assert (magic, method, flags, mtime) == (0x8B1F, 8, 0, 0)


def flips(data):
  """Yields a file's bytes with one bit changed, for every bit."""
  for bit in range(8 * len(data)):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    yield bit, bytes(changed)


THREE = [b'first', b'', b'the third']


def test_every_flipped_bit_of_a_plain_file_is_found(tmp_path):
  path = tmp_path / 'in'
  write_tfrecords(path, THREE)
  for bit, data in flips(path.read_bytes()):
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf'{path} .*(checksum|truncated).*copy or write it again'):
      pytest.fail(f'bit {bit}: {read(path)}')


@pytest.mark.parametrize(
  ('at', 'what'),
  [
    pytest.param(0, 'the length of a record', id='length'),
    pytest.param(7, 'the length of a record', id='high byte of the length'),
    pytest.param(8, 'the length of a record', id='checksum of the length'),
    pytest.param(12, 'a record', id='data'),
    pytest.param(-4, 'a record', id='checksum of the data'),
  ],
)
@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_corrupted_frame_is_named_by_file_and_place(tmp_path, at, what, suffix):
  write_tfrecords(tmp_path / 'plain', [b'before'])
  before = (tmp_path / 'plain').read_bytes()
  write_tfrecords(tmp_path / 'plain', [b'x' * 30])
  frame = bytearray((tmp_path / 'plain').read_bytes())
  frame[at] ^= 0x80
  path = tmp_path / f'in{suffix}'
  path.write_bytes((gzip.compress if suffix else bytes)(before + bytes(frame)))
  fault = rf'{path} is corrupted.*: {what} does not match its checksum at byte {len(before)} of'
  with pytest.raises(DataError, match=fault):
    read(path)


def test_a_flipped_bit_of_a_gzip_file_is_found_or_harmless(tmp_path):
  path = tmp_path / 'in.gz'
  write_tfrecords(path, THREE)
  faults = []
  for _, data in flips(path.read_bytes()):
    path.write_bytes(data)
    try:
      assert read(path) == THREE
    except DataError as error:
      faults.append(str(error))
  assert len(faults) > 300  # but for time, system and flags in the header, all of them
  assert {fault.split()[0] for fault in faults} == {str(path)}


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_truncated_file_is_found_wherever_it_ends(tmp_path, suffix):
  path = tmp_path / f'in{suffix}'
  write_tfrecords(path, THREE)
  data = path.read_bytes()
  whole = [] if suffix else [0, 21, 37]  # between records nothing tells
  for end in range(1, len(data)):
    path.write_bytes(data[:end])
    if end in whole:
      assert read(path) == THREE[: whole.index(end)]
      continue
    with pytest.raises(DataError, match=rf'{path} .*truncated.*copy or write it again'):
      pytest.fail(f'{end} bytes: {read(path)}')


def test_a_large_gzip_file_that_is_truncated_is_found(tmp_path):
  path = tmp_path / 'in.gz'
  noise = np.random.default_rng(0).bytes(3 << 20)
  write_tfrecords(path, [noise[i : i + 1000] for i in range(0, len(noise), 1000)])
  data = path.read_bytes()
  path.write_bytes(data[: len(data) * 2 // 3])
  with pytest.raises(DataError, match=rf'{path} .*truncated'):
    read(path)


@pytest.mark.parametrize(
  ('suffix', 'named', 'fault'),
  [
    ('', 'in.gz', 'is not a whole gzip file.*should not end in .gz'),
    ('.gz', 'in', 'is corrupted, or not a TFRecord file'),
  ],
)
def test_a_name_that_tells_the_wrong_compression_is_found(tmp_path, suffix, named, fault):
  write_tfrecords(tmp_path / f'in{suffix}', THREE)
  path = (tmp_path / f'in{suffix}').rename(tmp_path / named)
  with pytest.raises(DataError, match=rf'{path} {fault}'):
    read(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
  with pytest.raises(DataError, match='nowhere cannot be opened; check that it exists'):
    read(tmp_path / 'nowhere')


def header(length):
  """Returns the head of a frame that claims a record of so many bytes."""
  lengths = np.array([length], '<u8')
  return lengths.tobytes() + frames.masked(frames.length_crcs(lengths)).tobytes()


@pytest.mark.parametrize('claimed', [2**31, 12 * 10**9, 10**12, 2**64 - 1])
@pytest.mark.parametrize('suffix', SUFFIXES)
def test_a_record_that_claims_too_much_is_refused(tmp_path, suffix, claimed):
  path = tmp_path / f'in{suffix}'
  before = frames.frame([b'before']).data
  path.write_bytes((gzip.compress if suffix else bytes)(before + header(claimed) + bytes(1000)))
  fault = (
    f'^{path} claims a record of {claimed} bytes at byte {len(before)} of .*'
    'max_record_bytes=2147483647 allows no more: TensorFlow cannot parse more; write'
  )
  with pytest.raises(DataError, match=fault):
    read(path)


@pytest.mark.parametrize(('largest', 'fits'), [(40, True), (39, False)])
def test_the_limit_holds_for_records_that_are_there(tmp_path, largest, fits):
  path = write_tfrecords(tmp_path / 'in', [b'a', b'b' * 40, b'c'])
  reading = files.read_frames(path, max_record_bytes=largest)
  if fits:
    assert sum(map(len, reading)) == 3
  else:
    fault = r'claims a record of 40 bytes at byte 17 .*=39 allows no more: raise it, up to 2147'
    with pytest.raises(DataError, match=fault):
      list(reading)


@given(
  payloads=st.lists(st.integers(0, 900).map(lambda n: bytes([n % 256]) * n), max_size=30),
  chunk_bytes=st.integers(frames.HEADER, 2000),
  block_bytes=st.integers(1, 4000),
)
def test_a_block_is_the_chunks_that_reach_its_size(
  tmp_path_factory, payloads, chunk_bytes, block_bytes
):
  path = write_tfrecords(tmp_path_factory.mktemp('blocks') / 'in', payloads)
  sizes, buffer = [0], frames.ScratchBuffer()
  for chunk in files.read_frames(path, chunk_bytes=chunk_bytes):
    sizes[-1] += len(chunk.data)
    if sizes[-1] >= block_bytes:
      sizes.append(0)
  read = files.read_frames(path, chunk_bytes=chunk_bytes, block_bytes=block_bytes, buffer=buffer)
  found = [(len(block.data), block.payloads()) for block in read]
  assert [n for n, _ in found] == [n for n in sizes if n]
  assert [record for _, records in found for record in records] == payloads


def test_the_first_bad_record_is_told_whichever_is_met_first():
  bad = reading.BadRecords('a file', skips=True, most=3)
  for position in (700, 30, 1000):
    bad.add(position, DataError(f'wrong {position}'))
  assert (bad.positions, bad.first) == ([700, 30, 1000], 'record 30 of a file: wrong 30')


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_no_memory_is_taken_for_what_a_length_claims(tmp_path, suffix):
  path = tmp_path / f'in{suffix}'
  path.write_bytes((gzip.compress if suffix else bytes)(header(10**9) + bytes(1000)))
  tracemalloc.start()
  try:
    with pytest.raises(DataError, match='ends in the middle of a record, 1012 bytes after byte 0'):
      read(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
  finally:
    tracemalloc.stop()


def test_a_record_larger_than_a_piece_is_read(tmp_path):
  payloads = [b'a', bytes(range(256)) * 140_000, b'b' * 1000, b'']
  path = write_tfrecords(tmp_path / 'in.gz', payloads)
  for chunk_bytes in (100, 20 << 20):
    assert read(path, chunk_bytes) == payloads


class Full:
  """A buffered file on a disk that is full, and the storage that it is in."""

  def create(self, path):
    return self

  def write(self, data):
    if len(data) > 100:
      self.flush()

  def flush(self):
    raise OSError(errno.ENOSPC, 'No space left on device')

  def close(self):
    self.flush()


def write_two(suffix, n_writes, fault=None):
  """Writes two files at a time."""
  with files.create_compressed(f'a{suffix}') as a, files.create_compressed(f'b{suffix}') as b:
    for _ in range(n_writes):
      a.write(bytes(1 << 20))
      b.write(bytes(1 << 20))
    if fault:
      raise fault


@pytest.mark.parametrize('suffix', SUFFIXES)
@pytest.mark.parametrize('n_writes', [0, 1, 20], ids=['by closing', 'one write', 'by writing'])
def test_no_error_of_a_full_disk_leads_to_itself(monkeypatch, suffix, n_writes):
  # `ExitStack` follows what led to an error to its end, and never comes back from a cycle.
  monkeypatch.setattr(files, 'storage_of', lambda path: Full())
  with pytest.raises(OSError, match='No space left on device') as found:
    write_two(suffix, n_writes)
  assert found.value.filename in (f'a{suffix}', f'b{suffix}')
  links, link = [], found.value
  while link is not None and link not in links:
    links.append(link)
    link = link.__context__
  assert link is None


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_an_error_beside_the_writing_is_the_one_that_is_told(monkeypatch, suffix):
  monkeypatch.setattr(files, 'storage_of', lambda path: Full())
  with pytest.raises(DataError, match=r'^the data$'):
    write_two(suffix, 0, DataError('the data'))


@pytest.mark.parametrize('sizes', [[50] * 9, [0, 7, 50, 7, 0]], ids=['equal', 'of several lengths'])
def test_any_records_that_do_not_match_are_found(sizes):
  whole = frames.frame([bytes([i]) * n for i, n in enumerate(sizes)])

  def match(data: bytearray) -> bool:
    before = bytes(data)
    found = reading._all_match(frames.Frames(data, whole.offsets))
    assert data == before  # put back what was changed
    return found

  assert match(bytearray(whole.data))
  for wrong in itertools.combinations(range(len(sizes)), 2):
    data = bytearray(whole.data)
    for i in wrong:
      data[int(whole.offsets[i + 1]) - 3] ^= 4  # the same change, at the same place
    assert not match(data)
    data[int(whole.offsets[wrong[0] + 1]) - 3] ^= 4
    assert not match(data)


def test_what_is_written_may_change_after_the_next_call(tmp_path):
  buffers, expected = [bytearray(3 << 20), bytearray(3 << 20)], b''
  with files.create_compressed(str(tmp_path / 'out.gz')) as out:
    for i in range(6):
      buffers[i % 2][:] = os.urandom(1000) * 3145 + bytes(728)
      expected += bytes(buffers[i % 2])
      out.write(buffers[i % 2])
  assert gzip.decompress((tmp_path / 'out.gz').read_bytes()) == expected
