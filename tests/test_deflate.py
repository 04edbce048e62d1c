"""What is compressed depends on the content alone."""

import gzip
import zlib

import numpy as np
import pytest
from isal import isal_zlib
from tfx_balance.deflate import Compressor, zlib_stream


def compressed(stream, data, n_calls):
  step = -(-len(data) // n_calls)
  parts = [stream.compress(data[i : i + step]) for i in range(0, len(data), step)]
  return b''.join(parts) + stream.flush()


@pytest.mark.parametrize('window_bits', [15, 31])
@pytest.mark.parametrize('n_calls', [1, 3])
def test_equal_content_gives_equal_bytes_wherever_the_state_is(window_bits, n_calls):
  # ISA-L alone gives other bytes for some of these, as its state is at another address.
  random = np.random.default_rng(0)
  for _ in range(500):
    data = random.bytes(300) * 3
    streams = [Compressor(1, window_bits) for _ in range(64)]
    assert len({compressed(stream, data, n_calls) for stream in streams}) == 1


@pytest.mark.parametrize('size', [1, 3, 4, 15, 16, 17, 100, 70_000, 300_000])
def test_it_is_a_stream_that_zlib_reads(size):
  data = np.random.default_rng(size).integers(9, size=size, dtype=np.uint8).tobytes()
  assert zlib.decompress(compressed(Compressor(1, 15), data, 1), 15) == data
  assert zlib.decompress(compressed(Compressor(1, 31), data, 5), 31) == data


def in_pieces(data, sizes):
  stream, parts, at = Compressor(1, 31), [], 0
  for size in sizes:
    parts.append(stream.compress_piece(memoryview(data)[at : at + size]))
    at += size
  return [*parts, stream.flush()]


@pytest.mark.parametrize('sizes', [[1], [16], [17, 0, 3], [65_551, 65_535, 65_536], [200_000] * 3])
def test_pieces_are_a_stream_that_zlib_reads(sizes):
  # Every second piece is random; those between refer to what is in it.
  random = np.random.default_rng(0)
  pieces, last = [], b''
  for i, size in enumerate(sizes):
    last = (last[-1000:] * (size // 1000 + 1))[:size] if i % 2 else random.bytes(size)
    pieces.append(last)
  data = b''.join(pieces)
  assert gzip.decompress(b''.join(in_pieces(data, sizes))) == data


def test_pieces_of_which_little_would_be_saved_are_stored():
  random = np.random.default_rng(0)
  for values, stored in ((256, True), (224, True), (128, False)):  # 0.2 and 1 bit of 8 are saved
    data = random.integers(values, size=300_000, dtype=np.uint8).tobytes()
    piece = b''.join(in_pieces(data, [300_000]))
    assert (data[1000:2000] in piece) == stored
    assert len(piece) < len(data) + 100


def test_equal_pieces_give_equal_bytes():
  data = np.random.default_rng(0).integers(99, size=600_000, dtype=np.uint8).tobytes()
  assert len({b''.join(in_pieces(data, [250_000] * 3)) for _ in range(20)}) == 1


def test_equal_content_gives_equal_streams_at_once(monkeypatch):
  # ISA-L alone, without its dictionary, gives other bytes for some of these.
  kept, compressobj = [], isal_zlib.compressobj

  def keep(*args, **options):  # so that the next state is at another address
    kept.append(compressobj(*args, **options))
    return kept[-1]

  monkeypatch.setattr(isal_zlib, 'compressobj', keep)
  random = np.random.default_rng(0)
  for _ in range(500):
    data = random.bytes(300) * 3
    assert len({zlib_stream(data, 1) for _ in range(64)}) == 1
    kept.clear()


@pytest.mark.parametrize('size', [1, 2, 3, 4, 5, 16, 100, 70_000, 300_000])
def test_a_stream_at_once_is_one_that_zlib_reads(size):
  data = np.random.default_rng(size).integers(9, size=size, dtype=np.uint8)
  assert zlib.decompress(zlib_stream(data, 1)) == data.tobytes()
  assert zlib_stream(data.tobytes(), 1) == zlib_stream(data, 1)
