"""How an output is cut: as many files as are sensible, and chunks that fit into memory."""

import pytest
from tfx_balance.shuffle.ranges import MAX_GATHER_BYTES, SMALL_CHUNKS, OutputLayout
from tfx_balance.sizes import SIZES


@pytest.mark.parametrize(
  ('n_bytes', 'n_files', 'expected'),
  [
    pytest.param(0, None, 1, id='nothing'),
    pytest.param(1000, None, 1, id='small'),
    pytest.param(SIZES.shard_bytes, None, 1, id='one shard'),
    pytest.param(SIZES.shard_bytes + 1, None, 2, id='more than one shard'),
    pytest.param(10 * SIZES.shard_bytes, None, 10, id='ten shards'),
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
def test_a_chunk_fits_into_memory(n_bytes):
  layout = OutputLayout.of(n_bytes, 'out', '')
  chunks = len(layout.paths) * layout.n_chunks
  assert n_bytes / chunks <= MAX_GATHER_BYTES
  # Small chunks are few, and large ones come only where the small ones would be too many.
  assert chunks <= 2 * max(SMALL_CHUNKS, n_bytes // MAX_GATHER_BYTES + 1)
