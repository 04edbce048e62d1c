"""What is in several splits, against sets in plain Python; in runs and parts of any size."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.class_distribution_validator.leakage import check_leakage
from tfx_balance.documents.class_checks import (
  CommonExample,
  CommonRecords,
  Leakage,
  RecordPlace,
)
from tfx_balance.plan.checks import failed
from tfx_balance.plan.common_keys import (
  BUCKETS,
  EXAMPLES,
  KEY_ROW,
  CommonKeys,
  compare_keys,
  count_parts,
  join_runs,
  make_run,
)
from tfx_balance.plan.distribution_rules import DistributionRules, PerSplit
from tfx_balance.sizes import SIZES

N_SPLITS = 3
TOP = 2**64 - 1
# Hashes that share a half, or lie at the edges of the buckets, as real ones hardly ever do.
HASHES = st.tuples(
  st.sampled_from([0, 1, 2**54 - 1, 2**54, 2**63, TOP]), st.sampled_from([0, 1, TOP])
)
FILES = st.lists(st.tuples(st.integers(0, N_SPLITS - 1), st.lists(HASHES, max_size=12)), max_size=6)


def run_of(hashes):
  digests = np.array(hashes, np.uint64).reshape(-1, 2)
  return make_run(digests, np.arange(len(hashes), dtype=np.int64))


def compare(files, n_parts, **block):
  """Returns what files have in common, compared in so many parts."""
  runs = [(run_of(hashes), split, file_number) for file_number, (split, hashes) in enumerate(files)]
  width = BUCKETS // n_parts
  found = CommonKeys.nothing(N_SPLITS)
  for i in range(n_parts):
    keys = join_runs(
      (rows[edges[i * width] : edges[(i + 1) * width]], split, file_number)
      for (rows, edges), split, file_number in runs
    )
    found = found.merge(compare_keys(keys, N_SPLITS, **block))
  return found


@given(FILES, st.sampled_from([1, 2, 64, BUCKETS]))
def test_all_that_splits_have_in_common_is_found(files, n_parts):
  found = compare(files, n_parts)
  keys_of = [
    Counter(h for s, hashes in files if s == split for h in hashes) for split in range(N_SPLITS)
  ]
  for a in range(N_SPLITS):
    for b in range(N_SPLITS):
      common = set(keys_of[a]) & set(keys_of[b]) if a != b else set()
      assert found.keys[a, b] == len(common)
      assert found.records[a, b] == sum(keys_of[a][key] for key in common)
      if a < b:
        shown = found.examples.get((a, b), [])
        assert [(key.high, key.low) for key in shown] == sorted(common)[:EXAMPLES]
        for key in shown:
          for place, split in ((key.left, a), (key.right, b)):
            assert files[place.file][0] == split
            assert files[place.file][1][place.position] == (key.high, key.low)


def test_blocks_of_common_keys_add_up():
  files = [(0, [(i, i) for i in range(50)]), (2, [(i, i) for i in range(10, 90)] * 2)]
  whole = compare(files, 1)
  parts = compare(files, 1, block_keys=7)
  assert (whole.records == parts.records).all()
  assert whole.records[0, 2] == 40
  assert whole.records[2, 0] == 80
  assert whole.examples == parts.examples


def test_a_run_has_each_key_once_and_its_first_record():
  rows, edges = run_of([(5, 1), (TOP, 0), (5, 1), (5, 0)])
  assert rows.tolist() == [(5, 0, 1, 3), (5, 1, 2, 0), (TOP, 0, 1, 1)]
  assert rows.dtype == KEY_ROW
  assert (edges[0], edges[1], edges[BUCKETS - 1], edges[BUCKETS]) == (0, 2, 2, 3)


@pytest.mark.parametrize('n', [0, 1, SIZES.part_keys, SIZES.part_keys + 1, 10**9])
def test_parts_are_small_and_divide_the_buckets(n):
  parts = count_parts(n)
  assert BUCKETS % parts == 0
  assert parts * SIZES.part_keys >= n or parts == BUCKETS


PLACES = RecordPlace('e', 0), RecordPlace('t', 9)
COMMON = CommonRecords('eval', 'train', 4, 5, 0.05, 40, 0.04, (CommonExample('id=1', *PLACES),))


def leakage_limit(most):
  return DistributionRules({'max_leakage': PerSplit(most)})


def test_the_limit_is_of_the_share_of_the_split_and_the_first_example_is_shown():
  leakage = Leakage('records', {}, (COMMON,))
  assert failed(check_leakage(leakage, leakage_limit(0.05))) == []
  (fault,) = failed(check_leakage(leakage, leakage_limit(0.0499)))
  assert (fault.rule, fault.split, fault.other) == ('max_leakage', 'eval', 'train')
  assert 'such as id=1, record 0 of e and record 9 of t' in fault.message
  assert check_leakage(leakage, leakage_limit(None)) == []
  (fault,) = check_leakage(Leakage('patient', {}, (COMMON,)), leakage_limit(0.0))
  assert (
    "5 records of split 'eval' have a value of 'patient' that is in split 'train' too: 5 %"
    in (fault.message)
  )
