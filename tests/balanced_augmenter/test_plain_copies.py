"""Plain copies: in which files they are, and where in them."""

from collections import Counter

import numpy as np
import pytest
from tfx_balance.shuffle import ranges
from tfx_balance.sizes import Sizes

from tests.balanced_augmenter.helpers_balance import balance, class_counts, tabular
from tests.helpers_examples import in_shards, read_tfrecords, value_of


@pytest.mark.parametrize('apart', [None, 'copies'])
@pytest.mark.parametrize('n_files', [1, 4])
def test_copies_of_a_record_are_in_one_file_or_shared_out(tmp_path, n_files, apart):
  # Classes of 300, 20 and 2 records: 1, 15 and 150 times each, of which 32 or more go together.
  records = tabular({'a': 300, 'b': 20, 'c': 2})
  n_bytes = sum(len(record) + 16 for record in records) * 900 // 322
  if apart:
    n_bytes = n_bytes * 578 // 900
  sizes = Sizes(file_shares=4, shard_bytes=-(-n_bytes // n_files))
  shards = in_shards(records, 2)
  balance(tmp_path, {'train': shards}, augmented_split=apart, sizes=sizes)
  folder = tmp_path / f'out/Split-{apart or "train"}'
  files = [Counter(read_tfrecords(path)) for path in sorted(folder.iterdir())]
  assert len(files) == n_files
  assert class_counts(sum(files, Counter()).elements()) == (
    {b'b': 280, b'c': 298} if apart else {b'a': 300, b'b': 300, b'c': 300}
  )
  less = int(apart is not None)
  for record in set(records) - set(tabular({'a': 300}) if apart else ()):
    times = {'a': 1, 'b': 15, 'c': 150}[value_of(record).decode()] - less
    counts = [file[record] for file in files if file[record]]
    assert sum(counts) == times
    if times < 64 or n_files == 1:
      assert counts == [times]
    else:
      assert min(counts) >= 32


def test_files_of_copies_are_as_long_as_each_other(tmp_path):
  records = tabular({'a': 2000, 'b': 100})
  n_bytes = sum(len(record) + 16 for record in records) * 4000 // 2100
  sizes = Sizes(shard_bytes=n_bytes // 4)
  balance(tmp_path, {'train': in_shards(records, 2)}, sizes=sizes)
  lengths = [len(read_tfrecords(path)) for path in (tmp_path / 'out/Split-train').iterdir()]
  assert sum(lengths) == 4000
  # Within five standard deviations of chance: a quarter of 2,000 records, and of 100 20 times each.
  assert max(abs(n - 1000) for n in lengths) <= 5 * np.sqrt(500 + 25 * 20**2)


def test_copies_of_a_record_are_far_apart(tmp_path):
  records = tabular({'a': 4000, 'b': 100})
  order = balance(tmp_path, {'train': in_shards(records, 2)})['train']
  places = {record: [] for record in records}
  for place, record in enumerate(order):
    places[record].append(place)
  gaps = np.concatenate([np.diff(counts) for counts in places.values() if len(counts) == 40])
  assert len(gaps) == 100 * 39
  assert 150 < gaps.mean() < 250  # of 8,000 records, 40 copies
  assert (gaps < 20).mean() < 0.15  # a tenth, if each place is as likely as any other


def test_a_chunk_of_copies_is_made_of_bounded_bytes(tmp_path, monkeypatch):
  # What is kept is little, what it is picked from is not: a file is gathered in chunks of that.
  records = tabular({'a': 3000, 'b': 30})
  sizes = Sizes(shard_bytes=sum(len(record) + 16 for record in records) // 5)
  chunks, read = [], ranges.Chunks.read
  monkeypatch.setattr(
    ranges.Chunks, 'read', lambda self, i: chunks.append(len(found := read(self, i))) or found
  )
  found = balance(
    tmp_path,
    {'train': [records]},
    sampling_strategy={b'a': 30, b'b': 30},
    undersample=True,
    sizes=sizes,
  )['train']
  assert class_counts(found) == {b'a': 30, b'b': 30}
  assert len(chunks) in (5, 6)
