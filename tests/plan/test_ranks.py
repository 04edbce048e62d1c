"""The first k of a stratum by rank: exact counts, whatever the order, the shards or the batches."""

import functools
from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from tfx_balance.plan.apportion import largest_remainder
from tfx_balance.plan.ranks import (
  Assigner,
  Candidates,
  RankHistogram,
  boundary_buckets,
  find_thresholds,
  mix,
  ranks,
  stable_order,
)

UINT64 = st.integers(0, 2**64 - 1)


@dataclass(frozen=True)
class Problem:
  """Records, each in a stratum and a shard, and the parts that they are dealt out to.

  Attributes:
    strata: int64 [n].
    hashes: uint64 [n].
    shards: int64 [n]; a shard's records are in the order in which they are here.
    quotas: int64 [strata, parts]; rows sum to the stratum's records.
  """

  strata: np.ndarray
  hashes: np.ndarray
  shards: np.ndarray
  quotas: np.ndarray

  @property
  def ranks(self):
    return ranks(self.hashes, 7, 'test')

  def chosen(self, parts):
    """Returns how often each record is in each part; records are what their hashes are."""
    columns = (self.strata.tolist(), self.hashes.tolist(), parts.tolist())
    return Counter(zip(*columns, strict=True))


def make_problem(seed, n_strata, n_records, n_hashes, n_parts, n_shards):
  """Returns random records, with about n_records / n_hashes of each hash, and random quotas."""
  rng = np.random.default_rng(seed)
  skew = rng.dirichlet(np.ones(n_strata))
  strata = rng.choice(n_strata, n_records, p=skew)
  sizes = np.bincount(strata, minlength=n_strata)
  ends = np.sort(rng.integers(0, sizes[:, None] + 1, (n_strata, n_parts - 1)), axis=1)
  ends = np.where(rng.random(ends.shape) < 0.2, 0, ends)  # parts that get nothing
  ends = np.column_stack([np.zeros(n_strata, np.int64), np.sort(ends, axis=1), sizes])
  return Problem(
    strata=strata,
    hashes=rng.integers(0, 2**64, n_hashes, np.uint64)[rng.integers(0, n_hashes, n_records)],
    shards=rng.integers(0, n_shards, n_records),
    quotas=np.diff(ends, axis=1),
  )


PROBLEMS = st.builds(
  make_problem,
  seed=st.integers(0, 2**32),
  n_strata=st.integers(1, 6),
  n_records=st.integers(0, 400),
  n_hashes=st.one_of(st.integers(1, 4), st.integers(1, 1000)),
  n_parts=st.integers(1, 6),
  n_shards=st.integers(1, 5),
)
BATCHES = st.sampled_from([1, 3, 64, 4096])


def shards_of(problem):
  return [np.flatnonzero(problem.shards == shard) for shard in np.unique(problem.shards)]


def search(problem):
  """Returns the thresholds, found as a pipeline does it: each shard on its own, then together."""
  rank, shards = problem.ranks, shards_of(problem)
  sizes = np.bincount(problem.strata, minlength=len(problem.quotas))
  layout = RankHistogram.of(sizes.tolist())
  in_bucket = [layout.buckets(problem.strata[shard], rank[shard]) for shard in shards]
  histogram = np.zeros(layout.n_buckets, np.int64)
  for buckets in in_bucket:
    histogram += np.bincount(buckets, minlength=layout.n_buckets)
  ends, positions = boundary_buckets(layout, histogram, problem.quotas)
  found = []
  for number, (shard, buckets) in enumerate(zip(shards, in_bucket, strict=True)):
    near = np.isin(buckets, ends)
    found.append(Candidates.collect(buckets[near], rank[shard][near], number))
  return find_thresholds(problem.quotas, ends, positions, Candidates.merge(found))


def deal_out(problem, batch=64):
  """Returns the part of each record: int64 [n]."""
  thresholds, rank = search(problem), problem.ranks
  parts = np.full(len(rank), -1, np.int64)
  for number, shard in enumerate(shards_of(problem)):
    assigner = Assigner(thresholds, np.arange(len(problem.quotas)), number)
    for start in range(0, len(shard), batch):
      rows = shard[start : start + batch]
      parts[rows] = assigner.assign(problem.strata[rows], rank[rows])
  return parts


def sort_and_deal_out(problem):
  """Returns the same by sorting: by stratum, rank, shard and position."""
  order = np.lexsort(
    (np.arange(len(problem.strata)), problem.shards, problem.ranks, problem.strata)
  )
  n_strata, n_parts = problem.quotas.shape
  parts = np.empty(len(order), np.int64)
  parts[order] = np.repeat(np.tile(np.arange(n_parts), n_strata), problem.quotas.ravel())
  return parts


# --- mix


def unmix(mixed, key):
  """Returns the value that was mixed: SplitMix64's finalizer, backwards."""

  def unshift(z, bits):
    x = z
    for _ in range(64 // bits):
      x = z ^ (x >> bits)
    return x

  z = unshift(mixed, 31) * pow(0x94D049BB133111EB, -1, 2**64) % 2**64
  z = unshift(z, 27) * pow(0xBF58476D1CE4E5B9, -1, 2**64) % 2**64
  return (unshift(z, 30) - 0x9E3779B97F4A7C15) % 2**64 ^ key


@given(st.lists(UINT64, max_size=20), UINT64)
def test_mix_is_a_bijection_under_every_key(values, key):
  mixed = mix(np.array(values, np.uint64), key)
  assert mixed.dtype == np.uint64
  assert [unmix(value, key) for value in mixed.tolist()] == values


def test_mix_gives_the_published_numbers():
  # The first outputs of SplitMix64 with seed 0, as in the test vectors of its ports.
  states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
  expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
  assert mix(states, 0).tolist() == expected


# --- ranks


def test_ranks_are_the_same_everywhere():
  # Splits that people have depend on these: a change must raise ALGORITHM_VERSION.
  hashes = np.array([0, 1, 2**64 - 1], np.uint64)
  assert ranks(hashes, 0, 'split').tolist() == [
    0x5D474B54E451619F,
    0x35F108AA9D1CE8B8,
    0x1C919F2AF5C75100,
  ]


@given(st.lists(UINT64), st.integers(), st.text())
def test_ranks_are_below_two_to_the_63rd(hashes, seed, purpose):
  found = ranks(np.array(hashes, np.uint64), seed, purpose)
  assert found.dtype == np.uint64
  assert all(rank < 2**63 for rank in found.tolist())


def test_ranks_are_uniform_also_of_hashes_in_a_row():
  found = ranks(np.arange(64_000, dtype=np.uint64), 0, 'split')
  shares = np.bincount((found >> np.uint64(57)).astype(np.int64))
  assert len(shares) == 64
  chi_squared = ((shares - 1000) ** 2 / 1000).sum()
  assert 30 < chi_squared < 110  # 63 by chance, with a standard deviation of 11


@pytest.mark.parametrize(
  ('seed', 'purpose'),
  [pytest.param(0, 'copies', id='purpose'), pytest.param(1, 'split', id='seed')],
)
def test_ranks_are_independent_between(seed, purpose):
  hashes = np.arange(20_000, dtype=np.uint64)
  first, second = ranks(hashes, 0, 'split').argsort()[:2000], ranks(hashes, seed, purpose).argsort()
  # 200 of a tenth are in another tenth by chance, with a standard deviation of 13.
  assert 140 < len(np.intersect1d(first, second[:2000])) < 260


# --- RankHistogram


@pytest.mark.parametrize('n', [4, 15, 16, 31, 32, 1000, 5000, 2**20 - 1, 2**20, 10**12])
def test_a_stratum_has_about_its_root_in_buckets(n):
  n_buckets = RankHistogram.of([n]).n_buckets
  assert n**0.5 <= n_buckets <= 2 * n**0.5


def test_many_strata_need_few_counters():
  assert RankHistogram.of([5000] * 10_000).n_buckets == 1_280_000


@given(st.lists(st.integers(0, 10**7), min_size=1, max_size=20), st.data())
def test_a_bucket_holds_a_range_of_one_stratum_in_order(records, data):
  layout = RankHistogram.of(records)
  places = st.tuples(st.integers(0, len(records) - 1), st.integers(0, 2**63 - 1))
  drawn = sorted(data.draw(st.lists(places, min_size=1)))
  drawn = [(0, 0), *drawn, (len(records) - 1, 2**63 - 1)]
  strata, rank = np.array([s for s, _ in drawn]), np.array([r for _, r in drawn], np.uint64)
  buckets = layout.buckets(strata, rank)
  assert (np.diff(buckets) >= 0).all()
  assert buckets[0] == 0
  assert buckets[-1] == layout.n_buckets - 1
  assert (layout.offsets[strata] <= buckets).all()
  assert (buckets < layout.offsets[strata + 1]).all()


# --- who gets which part


@given(PROBLEMS, BATCHES)
def test_it_is_what_a_sort_of_all_the_records_gives(problem, batch):
  assert deal_out(problem, batch).tolist() == sort_and_deal_out(problem).tolist()


@given(PROBLEMS, st.integers(0, 2**32), st.integers(1, 6))
def test_order_and_shards_do_not_matter(problem, seed, n_shards):
  rng = np.random.default_rng(seed)
  order = rng.permutation(len(problem.strata))
  other = replace(
    problem,
    strata=problem.strata[order],
    hashes=problem.hashes[order],
    shards=rng.integers(0, n_shards, len(order)),
  )
  assert other.chosen(deal_out(other)) == problem.chosen(deal_out(problem))


@given(PROBLEMS)
def test_only_equal_records_are_cut(problem):
  # A cut costs time for every record of its shard.
  copies = Counter(zip(problem.strata.tolist(), problem.ranks.tolist(), strict=True))
  thresholds = search(problem)
  ties, n_ends = thresholds.ties.tolist(), thresholds.ends.shape[1]
  assert ties == sorted(set(ties))
  for i, end in enumerate(ties):
    rank = int(thresholds.ends[divmod(end, n_ends)])
    assert 0 < thresholds.taken[thresholds.of_tie == i].sum() < copies[end // n_ends, rank]


def test_distinct_records_are_not_cut_wherever_a_part_ends():
  n = 300  # in 4 buckets, at whose edges ends are found too
  hashes = np.arange(n, dtype=np.uint64)
  problem = Problem(np.zeros(n, np.int64), hashes, np.zeros(n, np.int64), np.array([[n, 0]]))
  for end in range(n + 1):
    thresholds = search(replace(problem, quotas=np.array([[end, n - end]])))
    assert len(thresholds.ties) == 0
    assert (problem.ranks < thresholds.ends[0, 0]).sum() == end


@given(PROBLEMS, st.integers(0, 5))
def test_one_record_more_in_a_quota_moves_one_record(problem, stratum):
  # So a small change of weights moves few records.
  stratum %= len(problem.quotas)
  quotas = problem.quotas.copy()
  givers = np.flatnonzero(quotas[stratum])
  assume(len(givers) and givers[-1] > 0)
  quotas[stratum, givers[-1]] -= 1
  quotas[stratum, givers[-1] - 1] += 1
  moved = deal_out(problem) != deal_out(replace(problem, quotas=quotas))
  assert moved.sum() == 1


@pytest.mark.parametrize(
  ('n_records', 'n_hashes', 'quotas'),
  [
    pytest.param(100, 1, [[30, 60, 10]], id='all are equal'),
    pytest.param(100, 1, [[0, 100, 0]], id='all are equal, one part gets all'),
    pytest.param(100, 1, [[30, 0, 0, 70]], id='all are equal, parts get nothing'),
    pytest.param(100, 2, [[1, 1, 1, 97]], id='several parts end among the same records'),
    pytest.param(100, 100, [[100]], id='one part'),
    pytest.param(1, 1, [[0, 1, 0]], id='one record'),
    pytest.param(0, 1, [[0, 0, 0]], id='no records'),
    pytest.param(50, 20, [[0, 0], [25, 25], [0, 0]], id='strata without records'),
  ],
)
@pytest.mark.parametrize('n_shards', [1, 3])
def test_extreme_quotas(n_records, n_hashes, quotas, n_shards):
  rng = np.random.default_rng(0)
  problem = Problem(
    strata=np.full(n_records, len(quotas) // 2),
    hashes=rng.integers(0, n_hashes, n_records).astype(np.uint64),
    shards=rng.integers(0, n_shards, n_records),
    quotas=np.array(quotas),
  )
  for batch in (1, 7, 4096):
    assert deal_out(problem, batch).tolist() == sort_and_deal_out(problem).tolist()


@pytest.mark.parametrize(
  'n_hashes', [pytest.param(2**40, id='distinct'), pytest.param(3000, id='duplicates')]
)
def test_many_records_in_many_buckets(n_hashes):
  rng = np.random.default_rng(1)
  sizes = [150_000, 40_000, 9_000, 900, 90, 9, 1]
  n = sum(sizes)
  problem = Problem(
    strata=rng.permutation(np.repeat(np.arange(len(sizes)), sizes)),
    hashes=rng.integers(0, n_hashes, n).astype(np.uint64),
    shards=rng.integers(0, 16, n),
    quotas=np.array([largest_remainder(size, [8, 1, 1]) for size in sizes]),
  )
  assert np.array_equal(deal_out(problem, 4096), sort_and_deal_out(problem))


# --- Candidates


@given(PROBLEMS, st.permutations(range(5)))
def test_candidates_merge_in_any_order_and_grouping(problem, order):
  # Combiners of a runner merge what is merged already.
  buckets = problem.strata.astype(np.int64)
  parts = [
    Candidates.collect(buckets[inside], problem.ranks[inside], shard)
    for shard in range(5)
    for inside in [problem.shards == shard]
  ]
  at_once = Candidates.merge(parts)
  in_steps = functools.reduce(lambda a, b: Candidates.merge([a, b]), [parts[i] for i in order])
  for one, other in zip(in_steps.columns, at_once.columns, strict=True):
    assert one.tolist() == other.tolist()
  rows = list(zip(buckets.tolist(), problem.ranks.tolist(), problem.shards.tolist(), strict=True))
  merged = zip(
    at_once.buckets.tolist(), at_once.ranks.tolist(), at_once.shards.tolist(), strict=True
  )
  assert dict(zip(merged, at_once.counts.tolist(), strict=True)) == Counter(rows)
  assert len(at_once.counts) == len(set(rows))


def test_no_candidates_merge_to_none():
  assert len(Candidates.merge([]).counts) == 0


@given(st.lists(st.integers(0, 3) | st.integers(65_530, 65_540)))
def test_groups_are_ordered_as_by_a_stable_sort(values):
  numbers = np.array(values, np.int64)
  assert stable_order(numbers).tolist() == np.argsort(numbers, kind='stable').tolist()
