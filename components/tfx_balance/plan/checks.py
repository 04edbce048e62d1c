"""Checks of class distributions: a rule, what was measured, its limit, and a sentence."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter

from tfx_balance.plan.class_counts import BASELINE, ClassDomain, CountsBySplit
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distribution import fisher_p_value, imbalance_ratio, jensen_shannon

NAME_WIDTH = 60
"""Characters of a class's name that a table or a sentence shows."""


@dataclass(frozen=True)
class Check:
  """Result of one rule in one place.

  Attributes:
    rule: Name of the argument that sets its limit; 'domain' or 'schema' for a schema's rules.
    split: Name of the split that was checked.
    other: Name of what it was compared with: a split, or one of the baseline; None for nothing.
    value: Class that it is about; None for the split as a whole.
    measured: Value that was measured; inf is null in JSON.
    limit: Least or largest value that is allowed.
    passed: Whether the rule holds.
    message: Sentence for a person.
  """

  rule: str
  split: str
  other: str | None
  value: ClassValue | None = field(
    metadata={'key': 'class', 'name': lambda value: None if value is None else str(value)}
  )
  measured: float = field(
    metadata={'null': math.inf, 'write': lambda value: value if math.isfinite(value) else None}
  )
  limit: float
  passed: bool
  message: str


def failed(checks: Iterable[Check]) -> list[Check]:
  """Returns the checks that did not pass."""
  return [check for check in checks if not check.passed]


def violated_and_worst(checks: Sequence[Check]) -> Iterator[Check]:
  """Yields the checks of one rule and split that did not pass, worst first, and one that did.

  The one is what came closest to its limit: of 10,000 classes it tells what the others are like.
  """
  by_distance = sorted(checks, key=lambda check: abs(check.measured - check.limit))
  yield from reversed([check for check in by_distance if not check.passed])
  yield from [check for check in by_distance if check.passed][:1]


def short_name(value: ClassValue) -> str:
  """Returns a class's name for a sentence; of a long one the beginning and the end.

  >>> short_name(ClassValue('bytes', b'x' * 50 + b'y' * 50))
  'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…yyyyyyyyyyyyyy'
  """
  return truncate(str(value), NAME_WIDTH)


def truncate(text: str, width: int) -> str:
  """Returns a text of at most so many characters, the middle of a longer one left out."""
  if len(text) <= width:
    return text
  end = width // 4 - 1
  return f'{text[: width - end - 1]}…{text[-end:]}'


def number(value: float) -> str:
  """Returns a number as a person reads it: six digits, no exponent for whole ones.

  >>> number(0.4), number(1250000), number(math.inf)
  ('0.4', '1250000', 'infinite')
  """
  if math.isinf(value):
    return 'infinite'
  return str(int(value)) if value == int(value) else f'{value:.6g}'


def percent(share: float) -> str:
  """Returns a share in percent.

  >>> percent(0.125)
  '12.5 %'
  """
  return f'{number(round(share * 100, 10))} %'


DEFAULT_SHARE_RATIO = 2.0
LEVEL = 0.01
"""Largest probability that chance alone breaks a rule in any of all classes and comparisons."""


@dataclass(frozen=True)
class SplitPair:
  """A split, and what it is compared with."""

  split: str
  other: str


def default_l_infinity(left: int, right: int, cells: int) -> float:
  """Returns the default limit for two splits of so many records: 0.05, or what chance explains.

  Shares of a class in two samples of one distribution differ by more than
  sqrt((1 / left + 1 / right) log(2 / p) / 2) with a probability of at most p (Hoeffding 1963, the
  difference of two means); p is `LEVEL` over all cells. Where classes and totals are within one
  record of their ideal, shares differ by less: by 2 / left + 2 / right, or 1.

  >>> default_l_infinity(8000, 2000, 2), round(default_l_infinity(80, 20, 2), 3)
  (0.05, 0.433)
  """
  if not left or not right:
    return 0.05
  chance = math.sqrt((1 / left + 1 / right) * math.log(2 * cells / LEVEL) / 2)
  return max(0.05, min(chance, 1.0))


def default_pairs(splits: Sequence[str], baseline: Sequence[str]) -> list[SplitPair]:
  """Returns every pair of splits, and each split with that of the same name in the baseline.

  Of two splits, what is compared with is 'train', or else the first in the alphabet.

  >>> [(pair.split, pair.other) for pair in default_pairs(['eval', 'train'], ['train'])]
  [('eval', 'train'), ('train', 'baseline:train')]
  """
  ordered = sorted(splits, key=lambda name: (name != 'train', name))
  pairs = [SplitPair(split, other) for i, other in enumerate(ordered) for split in ordered[i + 1 :]]
  return pairs + [SplitPair(name, BASELINE + name) for name in splits if name in baseline]


def check_l_infinity(
  rule: str, counts: CountsBySplit, pair: SplitPair, limit: float, _: int
) -> Iterator[Check]:
  """Yields the check of the largest difference between the shares of a class.

  Args:
    rule: Name of the rule.
    counts: Counts of both.
    pair: Splits to compare.
    limit: Largest distance.
  """
  classes, left, right = _columns(counts, pair)
  total_left, total_right = counts.total(pair.split), counts.total(pair.other)
  scale = (total_left or 1) * (total_right or 1)
  gaps = [
    abs(a * (total_right or 1) - b * (total_left or 1)) for a, b in zip(left, right, strict=True)
  ]
  measured = max(gaps, default=0) / scale
  yield _distance_check(rule, 'L-infinity', counts, pair, classes, gaps, measured, limit)


def check_share_ratio(
  rule: str, counts: CountsBySplit, pair: SplitPair, limit: float, cells: int
) -> Iterator[Check]:
  """Yields the checks of the classes that drifted apart in two splits, and of one that did not.

  A class has drifted if all of this holds:

  - Its count is more than one record from its share of both splits: rounding does not explain it.
  - Fisher's exact test rejects at `LEVEL` over the number of all cells (Bonferroni's correction;
    Dunn 1961) that both splits are samples of one distribution: chance does not explain it.
  - The ratio of its shares, the larger one over the smaller one, is above the limit; it is infinite
    where one split lacks the class.

  Args:
    rule: Name of the rule.
    counts: Counts of both.
    pair: Splits to compare.
    limit: Largest ratio.
    cells: Number of classes in all pairs of splits that are compared, added up.
  """
  here, there = counts.total(pair.split), counts.total(pair.other)
  checks = []
  for value, n, m in zip(*_columns(counts, pair), strict=True):
    parts = n * there, m * here  # in the ratio of the shares
    if abs(parts[0] - parts[1]) <= here + there:
      continue
    ratio = max(parts) / min(parts) if min(parts) else math.inf
    text = (
      f'class {short_name(value)} has {records(n)} in {format_split(pair.split)}, its share of '
      f'both would be {number((n + m) * here / (here + there))}: {percent(n / here)} of '
      f'{format_split(pair.split)} and {percent(m / there)} of {format_split(pair.other)}; the '
      f'ratio is {number(ratio)}, the limit {number(limit)}'
    )
    p = 1.0
    if ratio > limit:
      # Statistics may count a label twice in a record, which then has more than the split.
      p = min(1.0, cells * fisher_p_value(n, max(here - n, 0), m, max(there - m, 0)))
      text += (
        f"; the p-value of Fisher's exact test, times {cells} cells, is {p:.2g}, the level {LEVEL}"
      )
    passed = p >= LEVEL
    if not passed:
      text += f'; if that is meant, pass a higher limit in {rule}=, or None'
    checks.append(Check(rule, pair.split, pair.other, value, ratio, limit, passed, text))
  if not checks:
    text = (
      f'no class of {format_split(pair.split)} is more than one record from its share of this and '
      f'{format_split(pair.other)}'
    )
    checks = [Check(rule, pair.split, pair.other, None, 1, limit, True, text)]
  yield from violated_and_worst(checks)


def check_jensen_shannon(
  rule: str, counts: CountsBySplit, pair: SplitPair, limit: float, _: int
) -> Iterator[Check]:
  """Yields the check of the Jensen-Shannon divergence in bits; names the class that adds most.

  An empty split has no class in common with any other: 1.
  """
  classes, left, right = _columns(counts, pair)
  total_left, total_right = sum(left), sum(right)
  parts = [
    _contribution(a / (total_left or 1), b / (total_right or 1))
    for a, b in zip(left, right, strict=True)
  ]
  if total_left and total_right:
    measured = jensen_shannon(left, right)
  else:
    measured = 1.0 if total_left or total_right else 0.0
  yield _distance_check(rule, 'Jensen-Shannon', counts, pair, classes, parts, measured, limit)


def _columns(
  counts: CountsBySplit, pair: SplitPair
) -> tuple[list[ClassValue], list[int], list[int]]:
  classes = counts.classes([pair.split, pair.other])
  return classes, counts.column(pair.split, classes), counts.column(pair.other, classes)


def _contribution(p: float, q: float) -> float:
  """Returns the term of a class in the Jensen-Shannon divergence."""
  middle = (p + q) / 2
  return sum(x * math.log2(x / middle) for x in (p, q) if x) / 2


def _distance_check(
  rule: str,
  name: str,
  counts: CountsBySplit,
  pair: SplitPair,
  classes: Sequence[ClassValue],
  parts: Sequence[float],
  measured: float,
  limit: float,
) -> Check:
  """Returns the check of a distance; names the class that has the largest part in it."""
  _, value = max(zip(parts, classes, strict=True), key=itemgetter(0), default=(0, None))
  text = (
    f'the {name} distance of {format_split(pair.split)} from {format_split(pair.other)} is '
    f'{number(measured)}, the limit {number(limit)}'
  )
  if value is not None:
    here, there = counts.share(pair.split, value), counts.share(pair.other, value)
    text += (
      f'; the class that differs most is {short_name(value)}: {percent(here)} of '
      f'{format_split(pair.split)}, {percent(there)} of {format_split(pair.other)}'
    )
  return Check(rule, pair.split, pair.other, value, measured, limit, measured <= limit, text)


def format_split(split: str) -> str:
  """Returns the name of a split in a sentence.

  >>> format_split('eval'), format_split('baseline:train')
  ("split 'eval'", "the baseline's split 'train'")
  """
  if split.startswith(BASELINE):
    return f"the baseline's split {split.removeprefix(BASELINE)!r}"
  return f'split {split!r}'


def check_min_count(
  rule: str, counts: CountsBySplit, split: str, classes: Sequence[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields the checks of the classes that have too few records in a split."""
  checks = []
  for value in classes:
    n = counts.count(split, value)
    least = number(limit)
    text = (
      f'class {short_name(value)} has {records(n)} in {format_split(split)}, the least is {least}'
    )
    checks.append(Check(rule, split, None, value, n, limit, n >= limit, text))
  yield from violated_and_worst(checks)


def check_min_share(
  rule: str, counts: CountsBySplit, split: str, classes: Sequence[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields the checks of the classes that have too small a share of a split."""
  checks = []
  for value in classes:
    share = counts.share(split, value)
    text = (
      f'class {short_name(value)} is {percent(share)} of {format_split(split)}, '
      f'the least is {percent(limit)}'
    )
    checks.append(Check(rule, split, None, value, share, limit, share >= limit, text))
  yield from violated_and_worst(checks)


def check_imbalance(
  rule: str, counts: CountsBySplit, split: str, classes: Sequence[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields the check that the largest class is not too many times the smallest.

  The smallest has no record in the split where another split, but no baseline, has the class: the
  ratio is inf then.
  """
  seen = set(counts.classes(name for name in counts.splits if not name.startswith(BASELINE)))
  classes = [value for value in classes if value in seen]
  column = counts.column(split, classes)
  ratio = imbalance_ratio(column)
  if math.isnan(ratio):
    return  # nothing to compare
  least = classes[column.index(min(column))]
  most = classes[column.index(max(column))]
  text = (
    f'the largest class of {format_split(split)}, {short_name(most)} with {records(max(column))}, '
    f'is {number(ratio)} times the smallest, {short_name(least)} with {min(column)}; '
    f'the limit is {number(limit)}'
  )
  yield Check(rule, split, None, least, ratio, limit, ratio <= limit, text)


def check_expected_share(
  counts: CountsBySplit, split: str, value: ClassValue, expected: float, tolerance: float
) -> Check:
  """Returns whether a class has the share of a split that a person expects."""
  share = counts.share(split, value)
  off = round(abs(share - expected), 12)
  text = (
    f'class {short_name(value)} is {percent(share)} of {format_split(split)}, expected are '
    f'{percent(expected)}; the difference may be {percent(tolerance)}'
  )
  return Check('expected_shares', split, None, value, off, tolerance, off <= tolerance, text)


def check_missing_classes(
  counts: CountsBySplit,
  split: str,
  classes: Iterable[ClassValue],
  partners: Sequence[str],
  allow_too_small: bool,
) -> Iterator[Check]:
  """Yields the checks of the classes without a record in a split that are not too small for one.

  A class is too small when its fair share of the split, by what it has in the splits compared with
  it, is below one record. A split whose records were dealt out in proportion, each class and the
  whole rounded up or down, then never lacks a class that is not.

  Args:
    counts: Counts of all the splits.
    split: Name of the split to check.
    classes: Classes that there are.
    partners: Names of the splits that it is compared with.
    allow_too_small: Whether a class that is too small may be absent.
  """
  checks = []
  whole = counts.total(split) + sum(counts.total(name) for name in partners)
  for value in classes:
    if counts.count(split, value):
      continue
    elsewhere = sum(counts.count(name, value) for name in partners)
    fair = elsewhere * counts.total(split) / whole if whole else 0.0
    small = elsewhere * (counts.total(split) - 1) < whole
    text = (
      f'class {short_name(value)} has no record in {format_split(split)}; it has '
      f'{records(elsewhere)} in what this is compared with, so its fair share here is '
      f'{number(fair)}'
    )
    passed = allow_too_small and small
    checks.append(Check('missing_classes', split, None, value, 0, 1, passed, text))
  yield from (check for check in checks if not check.passed)
  excused = [check.value for check in checks if check.passed and check.value]
  if excused:
    text = (
      f'{len(excused)} classes, such as {short_name(excused[0])}, have no record in '
      f'{format_split(split)}: too small to reach it'
    )
    yield Check('missing_classes', split, None, excused[0], 0, 1, True, text)


def check_domain(counts: CountsBySplit, split: str, domain: ClassDomain) -> Iterator[Check]:
  """Yields the checks of the classes of a split that are not in the schema's domain."""
  limit, total = round(1 - domain.min_mass, 12), counts.total(split)
  outside = [value for value in counts.classes([split]) if value not in domain]
  share = sum(counts.count(split, value) for value in outside) / total if total else 0.0
  passed = share <= limit
  if passed:
    text = (
      f"{percent(share)} of {format_split(split)} are of classes that are not in the schema's "
      f'domain, the limit is {percent(limit)}'
    )
    yield Check('domain', split, None, None, share, limit, True, text)
    return
  for value in sorted(outside, key=lambda value: -counts.count(split, value)):
    text = (
      f"class {short_name(value)} is not in the schema's domain: "
      f'{records(counts.count(split, value))} of {format_split(split)}; all of them are '
      f'{percent(share)}, the limit is {percent(limit)}'
    )
    yield Check('domain', split, None, value, counts.share(split, value), limit, False, text)


def check_missing_labels(
  rule: str, counts: CountsBySplit, split: str, _: Sequence[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields the check that not too many records of a split have no class."""
  absent = counts.missing[split]
  every = absent + counts.total(split)
  share = absent / every if every else 0.0
  text = (
    f'{records(absent)} of {every} in {format_split(split)} have no class: {percent(share)}, '
    f'the limit is {percent(limit)}'
  )
  yield Check(rule, split, None, None, share, limit, share <= limit, text)


def records(n: int) -> str:
  """Returns a number of records in words.

  >>> records(1), records(2)
  ('1 record', '2 records')
  """
  return f'{n} record{"" if n == 1 else "s"}'
