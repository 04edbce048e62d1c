"""Files of classes: none too large, few, and the same for the same bytes."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.class_files import assign_files

SIZES = st.lists(st.one_of(st.integers(1, 100), st.integers(1, 9)), min_size=1, max_size=60)


@given(SIZES, st.integers(8, 40), st.integers(2, 8))
def test_every_class_is_placed_once_and_no_file_is_too_large(sizes, most, shared):
  groups = assign_files(sizes, most, shared)
  assert sorted(i for group in groups for i in group.classes) == list(range(len(sizes)))
  firsts = [group.classes[0] for group in groups]
  assert firsts == sorted(firsts)
  for group in groups:
    assert list(group.classes) == sorted(group.classes)
    n_bytes = sum(sizes[i] for i in group.classes)
    assert group.n_files == -(-n_bytes // most)
    if len(group.classes) > 1:
      assert n_bytes <= shared
      assert all(2 * sizes[i] <= shared for i in group.classes)


@given(SIZES, st.integers(8, 40), st.integers(2, 8))
def test_files_are_few(sizes, most, shared):
  groups = assign_files(sizes, most, shared)
  assert sum(group.n_files for group in groups) <= 2 * sum(sizes) / min(most, shared) + 1
  small = [sum(sizes[i] for i in g.classes) for g in groups if 2 * sizes[g.classes[0]] <= shared]
  assert sum(2 * n_bytes < shared for n_bytes in small) <= 1


@given(SIZES)
def test_small_classes_are_together(sizes):
  groups = [g for g in assign_files(sizes, 40, 8) if 2 * sizes[g.classes[0]] <= 8]
  spans = sorted((min(s), max(s)) for s in ([sizes[i] for i in g.classes] for g in groups))
  assert all(high <= low for (_, high), (low, _) in itertools.pairwise(spans))


@pytest.mark.parametrize(
  ('n_classes', 'each', 'n_files'),
  [
    (5, 1 << 20, 1),
    (5, 20 << 20, 5),
    (5, 100 << 20, 20),
    (10_000, 7_500, 9),
    (10_000, 1 << 20, 1250),
    (10_000, 5 << 20, 10_000),
  ],
)
def test_the_number_of_files_is_sensible(n_classes, each, n_files):
  assert sum(group.n_files for group in assign_files([each] * n_classes)) == n_files
