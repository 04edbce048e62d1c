"""Packed files: whatever parts of a file are asked for, they come back to their places."""

import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from obstore.store import LocalStore
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord import object_store, packed
from tfx_balance.tfrecord.packed import PackedWriter, local_copy

N = 5000
DATA = np.random.default_rng(0).integers(0, 4, N, np.uint8).tobytes()
PATH = 's3://bucket/work/a'
EDGES = st.lists(st.integers(0, N), min_size=1, max_size=20)


def use_folder(patch, folder):
  """Has every bucket in a folder; returns the ranges that are asked for."""
  patch.setattr(object_store, '_bucket', lambda *_: LocalStore(folder, mkdir=True))
  asked = []

  def read(path, ranges, read=object_store.read_ranges):
    asked.extend(ranges)
    return read(path, ranges)

  patch.setattr(packed, 'read_ranges', read)
  return asked


def write(folder, groups, most=SIZES.largest_unit_bytes):
  """Packs parts of DATA, group by group, in units of so many bytes; returns the writer."""
  source = Path(folder, 'source')
  source.write_bytes(DATA)
  with source.open('rb') as file, PackedWriter(PATH, most) as writer:
    for parts in groups:
      writer.add_parts(file, np.array(parts, np.int64).reshape(-1, 2))
  return writer


def fetch(file, **limits):
  with local_copy() as copy:
    file.fetch(copy, **limits)
    copy.seek(0)
    return copy.read().ljust(N, b'\0')


@settings(max_examples=25)
@given(edges=EDGES, data=st.data(), most=st.sampled_from([7, 300, 1 << 20]))
def test_what_has_some_ranges_has_their_bytes(edges, data, most):
  edges = sorted({0, N, *edges})
  parts = data.draw(st.permutations(list(pairwise(edges))))
  cut = data.draw(st.integers(0, len(parts)))
  ranges = data.draw(st.lists(st.tuples(st.integers(0, N), st.integers(0, N)), max_size=4))
  ranges = np.array([sorted(each) for each in ranges], np.int64).reshape(-1, 2)
  with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
    use_folder(patch, folder)
    file = write(folder, [parts[:cut], parts[cut:]], most).packed()
    assert fetch(file) == DATA
    some = file.having(ranges)
    found = fetch(some)
    rest = fetch(file.without(some.units))
  for low, high in ranges.tolist():
    assert found[low:high] == DATA[low:high]
  assert (some.parts[:, 1] - some.parts[:, 0]).max(initial=0) <= most
  joined = bytes(map(max, zip(found, rest, strict=True)))
  assert joined == DATA


def test_neighbors_are_read_by_one_request_up_to_its_limit(tmp_path, monkeypatch):
  asked = use_folder(monkeypatch, tmp_path)
  far = [[(i * 1000, (i + 1) * 1000)] for i in (3, 0, 4, 1, 2)]
  file = write(tmp_path, far).packed()
  assert fetch(file) == DATA
  assert asked == [(0, int(file.units[-1, 1]))]

  asked.clear()
  some = file.having(np.array([[3000, 3001], [4500, 5000], [2000, 2001]]))
  fetch(some, gap_bytes=0)
  assert asked == [tuple(each) for each in some.units.tolist()]

  asked.clear()
  # Of the five, no more than three.
  assert fetch(file, gap_bytes=0, range_bytes=1200) == DATA
  assert len(asked) == 2


def test_units_that_were_written_after_one(tmp_path, monkeypatch):
  use_folder(monkeypatch, tmp_path)
  writer = write(tmp_path, [[(0, 100)], [(700, 900), (100, 200)]])
  found = fetch(writer.packed(first=1))
  assert (found[100:200], found[700:900]) == (DATA[100:200], DATA[700:900])
  assert not any(found[:100])
