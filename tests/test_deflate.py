"""What is compressed depends on the content alone."""

import zlib

import numpy as np
import pytest
from tfx_balance.deflate import Compressor


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
