"""Largest remainder and controlled rounding: exact totals, every number within one of its share."""

import hashlib
import math
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tfx_balance.plan import apportion
from tfx_balance.plan.apportion import controlled_rounding, largest_remainder, tie_break

SEEDS = st.integers(-(2**70), 2**70)


@st.composite
def weights(draw):
  """Draws integers of 0 or more, one of them above 0."""
  drawn = draw(st.lists(st.integers(0, 10**6), min_size=1, max_size=12))
  drawn[draw(st.integers(0, len(drawn) - 1))] += 1
  return drawn


@st.composite
def tables(draw, max_rows=14):
  """Draws a table whose rows sum to multiples of its denominator; returns both."""
  denominator = draw(st.sampled_from([1, 2, 3, 7, 10, 60, 2**40]))
  width = draw(st.integers(1, 6))
  cells = st.integers(0, 3 * denominator) | st.sampled_from([0, denominator])
  table = draw(st.lists(st.lists(cells, min_size=width, max_size=width), max_size=max_rows))
  for row in table:
    row[draw(st.integers(0, width - 1))] += -sum(row) % denominator
  return table, denominator


def is_rounded(value, numerator, denominator):
  return value in (numerator // denominator, -(-numerator // denominator))


def add_rows(rows, width):
  return [sum(row[j] for row in rows) for j in range(width)]


def check_rounding(rounded, table, denominator, levels=()):
  """Checks every bound that the docstring of controlled_rounding promises."""
  width = len(table[0]) if table else 0
  rounded = rounded.tolist()
  assert [len(row) for row in rounded] == [width] * len(table)
  for new, old in zip(rounded, table, strict=True):
    assert sum(new) * denominator == sum(old)
    assert all(is_rounded(n, o, denominator) for n, o in zip(new, old, strict=True))
  members = defaultdict(list)
  for level, groups in enumerate(levels):
    for i, group in enumerate(groups):
      members[level, group].append(i)
  for rows in [range(len(table)), *members.values()]:
    new, old = (add_rows([t[i] for i in rows], width) for t in (rounded, table))
    assert all(is_rounded(n, o, denominator) for n, o in zip(new, old, strict=True))


# --- tie_break


@pytest.mark.parametrize(
  ('seed', 'key', 'expected'),
  [
    pytest.param(0, ('cat',), 0x71DF144B9F7C9B97, id='text'),
    pytest.param(1, ('cat',), 0x57722FD0AC3CDCDB, id='another seed'),
    pytest.param(0, ('row', 7), 0x8AFD8B68F987C96C, id='two parts'),
  ],
)
def test_tie_break_is_the_same_everywhere(seed, key, expected):
  # Splits that people have depend on these: a change must raise ALGORITHM_VERSION.
  assert tie_break(seed, *key) == expected


@given(SEEDS, st.text())
def test_tie_break_is_a_64_bit_integer(seed, key):
  assert 0 <= tie_break(seed, key) < 2**64


def test_tie_break_tells_keys_apart():
  keys = [(1,), ('1',), (b'1',), ('a', 'b'), ('ab',), (('a', 'b'),), ('\ud800',), ()]
  assert len({tie_break(0, *key) for key in keys}) == len(keys)


# --- largest_remainder


@given(st.integers(0, 10**9), weights(), SEEDS)
@example(10**30 + 1, [1, 9], 0)
def test_shares_sum_to_the_total_and_are_within_one(total, drawn, seed):
  quotas = largest_remainder(total, drawn, seed)
  assert sum(quotas) == total
  for quota, weight in zip(quotas, drawn, strict=True):
    assert is_rounded(quota, total * weight, sum(drawn))


@given(st.integers(0, 10**6), weights(), SEEDS)
def test_what_is_left_goes_to_the_largest_remainders(total, drawn, seed):
  quotas = largest_remainder(total, drawn, seed)
  remainders = [total * weight % sum(drawn) for weight in drawn]
  up = [q > total * w // sum(drawn) for q, w in zip(quotas, drawn, strict=True)]
  served = [r for r, u in zip(remainders, up, strict=True) if u]
  passed_over = [r for r, u in zip(remainders, up, strict=True) if not u]
  assert min(served, default=math.inf) >= max(passed_over, default=-1)


def test_equal_remainders_are_served_in_an_order_that_the_seed_gives():
  winners = Counter(largest_remainder(1, [1, 1, 1, 1], seed).index(1) for seed in range(400))
  assert sorted(winners) == [0, 1, 2, 3]
  assert min(winners.values()) > 60  # 100 each, were it exact; 60 is 4.6 standard deviations away


@pytest.mark.parametrize(
  ('total', 'drawn'),
  [
    pytest.param(-1, [1], id='negative total'),
    pytest.param(1, [2, -1], id='negative weight'),
    pytest.param(1, [0, 0], id='no weight'),
    pytest.param(
      1,
      [],
      id='no weights',
    ),
  ],
)
def test_shares_that_cannot_be(total, drawn):
  with pytest.raises(ValueError, match=rf'total {total} and weights .* must be 0 or more'):
    largest_remainder(total, drawn)


# --- controlled_rounding


@given(tables(), SEEDS)
def test_every_margin_is_kept(drawn, seed):
  table, denominator = drawn
  check_rounding(controlled_rounding(table, denominator, seed=seed), table, denominator)


@given(tables(), SEEDS, st.data())
def test_nested_groups_are_kept_too(drawn, seed, data):
  table, denominator = drawn
  depth = data.draw(st.integers(1, 4))
  paths = st.tuples(*[st.sampled_from('ab')] * depth)
  drawn_paths = data.draw(st.lists(paths, min_size=len(table), max_size=len(table)))
  levels = [[path[: level + 1] for path in drawn_paths] for level in range(depth)]
  rounded = controlled_rounding(table, denominator, levels, seed=seed)
  check_rounding(rounded, table, denominator, levels)


@given(tables(), SEEDS, st.data(), st.booleans())
def test_the_order_of_the_rows_does_not_matter(drawn, seed, data, grouped):
  table, denominator = drawn
  levels = [[i % 2 for i in range(len(table))], [f'group {i % 4}' for i in range(len(table))]]
  levels = levels if grouped else []
  order = data.draw(st.permutations(range(len(table))))
  rounded = controlled_rounding(table, denominator, levels, 'key {}'.format, seed)
  shuffled = controlled_rounding(
    [table[i] for i in order],
    denominator,
    [[groups[i] for i in order] for groups in levels],
    lambda i: f'key {order[i]}',
    seed,
  )
  assert shuffled.tolist() == [rounded[i].tolist() for i in order]


def test_another_seed_gives_another_table():
  halves = [[5, 5]] * 10
  found = {str(controlled_rounding(halves, 10, seed=seed).tolist()) for seed in range(50)}
  assert len(found) > 40  # of 252


LARGE = 3 * 2**70  # as with counts=, three weights that are floats, and 100,000 records


@pytest.mark.parametrize(
  ('table', 'denominator', 'levels'),
  [
    pytest.param([[5, 5]] * 4, 10, [], id='halves'),
    pytest.param([[8, 1, 1]] * 7, 10, [], id='8-1-1'),
    pytest.param([[1, 2, 3, 4], [4, 3, 2, 1], [17, 1, 1, 1], [0, 9, 0, 1]], 10, [], id='mixed'),
    pytest.param([[8, 1, 1], [5, 4, 1], [3, 3, 4], [1, 1, 8]], 10, [list('aabb')], id='two groups'),
    pytest.param(
      [[3 * LARGE // 10, LARGE - 3 * LARGE // 10]] * 4,
      LARGE,
      [],
      id='denominator past 64 bits',
    ),
    pytest.param(
      [[LARGE // 3, LARGE - LARGE // 3], [LARGE - LARGE // 3, LARGE // 3]],
      LARGE,
      [],
      id='thirds of a denominator past 64 bits',
    ),
  ],
)
def test_over_the_seeds_every_cell_has_its_exact_value_as_mean(table, denominator, levels):
  n_seeds = 2000
  found = [controlled_rounding(table, denominator, levels, seed=seed) for seed in range(n_seeds)]
  for i, row in enumerate(table):
    for j, cell in enumerate(row):
      part = float(Fraction(cell % denominator, denominator))
      ups = sum(int(rounded[i, j]) - cell // denominator for rounded in found)
      # Four standard deviations of a coin that shows 1 with this probability.
      assert abs(ups / n_seeds - part) <= 4 * math.sqrt(part * (1 - part) / n_seeds)


@given(tables(), SEEDS)
def test_the_nearest_keep_every_margin_whatever_the_order(drawn, seed):
  table, denominator = drawn
  rounded = controlled_rounding(table, denominator, seed=seed, nearest=True)
  check_rounding(rounded, table, denominator)
  key = range(len(table))[::-1].__getitem__
  turned = controlled_rounding(table[::-1], denominator, key=key, seed=seed, nearest=True)
  assert turned[::-1].tolist() == rounded.tolist()


@given(
  st.lists(st.integers(0, 60), min_size=1, max_size=30),
  st.integers(1, 9),
  st.integers(1, 9),
  SEEDS,
  st.sampled_from([1, LARGE]),
)
def test_of_two_columns_the_nearest_integers_are_found(records, one, other, seed, scale):
  whole = one + other
  table = [[n * one * scale, n * other * scale] for n in records]
  rounded = controlled_rounding(table, whole * scale, seed=seed, nearest=True)
  parts = sorted((n * one % whole for n in records), reverse=True)

  def distances(ups):
    """Returns the least that cells and the column, and then cells, are off with so many up."""
    cells = sum(whole - part for part in parts[:ups]) + sum(parts[ups:])
    return cells + abs(sum(parts) - ups * whole), cells

  low, rest = divmod(sum(parts), whole)
  cells = sum(abs(n * one - int(x) * whole) for n, x in zip(records, rounded[:, 0], strict=True))
  column = abs(sum(records) * one - int(rounded[:, 0].sum()) * whole)
  assert (cells + column, cells) == min(map(distances, {low, low + (rest > 0)}))


def test_equal_rows_are_nearest_as_often_over_the_seeds():
  n_seeds = 1000
  found = [
    controlled_rounding([[8, 1, 1]] * 10, 10, seed=seed, nearest=True)[:, 2]
    for seed in range(n_seeds)
  ]
  # 100 each by chance, with a standard deviation of 9.5.
  assert (abs(sum(found) - 100) < 4.5 * 9.5).all()


@pytest.mark.parametrize(
  ('table', 'expected'),
  [
    pytest.param([], [], id='no rows'),
    pytest.param([[]], [[]], id='no columns'),
    pytest.param([[0, 0], [0, 0]], [[0, 0], [0, 0]], id='zeros'),
    pytest.param([[70]], [[7]], id='one cell'),
    pytest.param([[10], [30]], [[1], [3]], id='one column'),
    pytest.param([[10, 20], [30, 0]], [[1, 2], [3, 0]], id='nothing to round'),
    pytest.param([[3, 7, 0], [7, 3, 0]], None, id='column of zeros'),
    pytest.param([[1, 2, 3, 4]], None, id='one row'),
    pytest.param([[1] * 20] * 30, None, id='20 splits'),
    pytest.param([[5, 5]] + [[0, 0]] * 5, None, id='rows of zeros'),
  ],
)
def test_tables_of_extreme_shape(table, expected):
  same, own = ['same'] * len(table), list(range(len(table)))
  for levels in ([], [same], [own], [same, own]):
    rounded = controlled_rounding(table, 10, levels)
    assert rounded.tolist() == expected or expected is None
    check_rounding(rounded, table, 10, levels)


def test_thousands_of_rows_keep_every_margin():
  table = [[(i * j) % 97 for j in range(19)] for i in range(2000)]
  table = [[*row, -sum(row) % 97] for row in table]
  levels = [[i // 100 for i in range(len(table))], [i // 10 for i in range(len(table))]]
  rounded = controlled_rounding(table, 97, levels)
  check_rounding(rounded, table, 97, levels)


class CountedBytes(bytearray):
  """Bytes that count how often they are read."""

  n_reads = 0

  def __getitem__(self, index):
    self.n_reads += 1
    return super().__getitem__(index)


@pytest.mark.parametrize('grouped', [False, True])
def test_four_times_the_rows_take_four_times_the_steps(grouped):
  reads = []
  for height in (300, 1200):
    levels = [[i // 9 for i in range(height)], [i // 3 for i in range(height)]]
    network = apportion._network(np.array([[8, 1, 1]] * height), 10, levels if grouped else [])
    network.live = CountedBytes(network.live)
    network.round(0, int, range(height))
    reads.append(network.live.n_reads)
  assert 3 * reads[0] < reads[1] < 5 * reads[0]


@pytest.mark.parametrize(
  ('levels', 'expected'),
  [
    pytest.param([], '15692a2971faedc3', id='no groups'),
    pytest.param([[i % 7 for i in range(300)]], 'd897c44ff2ed4961', id='groups'),
  ],
)
def test_the_same_rows_are_rounded_up_everywhere(levels, expected):
  # Splits that people have depend on these: a change must raise ALGORITHM_VERSION.
  table = [[8 * n, n, n] for n in [1, 1, 1, 2, 3, 17] * 50]
  rounded = controlled_rounding(table, 10, levels, seed=5)
  assert hashlib.sha256(repr(rounded.tolist()).encode()).hexdigest()[:16] == expected


def test_a_row_that_does_not_sum_to_whole_records_is_an_error():
  with pytest.raises(ValueError, match=r'the sum of row \[1, 3\] must be a multiple of 5'):
    controlled_rounding([[5, 0], [1, 3]], 5)
