"""Rules on the classes of one split: how many records, what share, which ones."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from tfx_balance.plan.checks import Check, number, percent, short_name, violated_and_worst
from tfx_balance.plan.class_counts import ClassCounts
from tfx_balance.plan.class_domain import ClassDomain
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distance_rules import shown
from tfx_balance.plan.distribution import imbalance_ratio


def check_min_count(
  counts: ClassCounts, split: str, classes: Iterable[ClassValue], limit: int
) -> Iterator[Check]:
  """Yields which classes have too few records in a split."""
  yield from violated_and_worst(
    [
      Check('min_count', split, None, value, n, limit, n >= limit, _few(split, value, n, limit))
      for value in classes
      for n in [counts.count(split, value)]
    ]
  )


def _few(split: str, value: ClassValue, n: int, limit: int) -> str:
  return f'class {short_name(value)} has {records(n)} in {shown(split)}, the least is {limit}'


def check_min_share(
  counts: ClassCounts, split: str, classes: Iterable[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields which classes have too small a share of a split."""
  checks = []
  for value in classes:
    share = counts.share(split, value)
    text = (
      f'class {short_name(value)} is {percent(share)} of {shown(split)}, '
      f'the least is {percent(limit)}'
    )
    checks.append(Check('min_share', split, None, value, share, limit, share >= limit, text))
  yield from violated_and_worst(checks)


def check_imbalance(
  counts: ClassCounts, split: str, classes: Sequence[ClassValue], limit: float
) -> Iterator[Check]:
  """Yields whether the largest class is too many times the smallest; inf where one is absent."""
  column = counts.column(split, classes)
  ratio = imbalance_ratio(column)
  if math.isnan(ratio):
    return  # nothing to compare
  least = classes[column.index(min(column))]
  most = classes[column.index(max(column))]
  text = (
    f'the largest class of {shown(split)}, {short_name(most)} with {records(max(column))}, is '
    f'{number(ratio)} times the smallest, {short_name(least)} with {min(column)}; '
    f'the limit is {number(limit)}'
  )
  yield Check('max_imbalance_ratio', split, None, least, ratio, limit, ratio <= limit, text)


def check_expected_share(
  counts: ClassCounts, split: str, value: ClassValue, expected: float, tolerance: float
) -> Check:
  """Returns whether a class has the share of a split that a person expects."""
  share = counts.share(split, value)
  off = round(abs(share - expected), 12)
  text = (
    f'class {short_name(value)} is {percent(share)} of {shown(split)}, expected are '
    f'{percent(expected)}; the difference may be {percent(tolerance)}'
  )
  return Check('expected_shares', split, None, value, off, tolerance, off <= tolerance, text)


def check_missing_classes(
  counts: ClassCounts,
  split: str,
  classes: Iterable[ClassValue],
  partners: Sequence[str],
  allow_too_small: bool,
) -> Iterator[Check]:
  """Yields which classes have no record in a split, and whether they are too small to reach it.

  A class is too small when its fair share of the split, by what it has in the splits compared with
  it, is below one record. A split whose records were dealt out in proportion, each class and the
  whole rounded up or down, then never lacks a class that is not.

  Args:
    counts: of all the splits.
    split: to check.
    classes: that there are.
    partners: the splits that it is compared with.
    allow_too_small: whether a class that is too small may be absent.
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
      f'class {short_name(value)} has no record in {shown(split)}; it has {records(elsewhere)} in '
      f'what this is compared with, so its fair share here is {number(fair)}'
    )
    passed = allow_too_small and small
    checks.append(Check('missing_classes', split, None, value, 0, 1, passed, text))
  yield from (check for check in checks if not check.passed)
  excused = [check.value for check in checks if check.passed and check.value]
  if excused:
    text = (
      f'{len(excused)} classes, such as {short_name(excused[0])}, have no record in '
      f'{shown(split)}: too small to reach it'
    )
    yield Check('missing_classes', split, None, excused[0], 0, 1, True, text)


def check_domain(counts: ClassCounts, split: str, domain: ClassDomain) -> Iterator[Check]:
  """Yields which classes of a split are not in the schema's domain."""
  limit, total = domain.max_outside, counts.total(split)
  outside = [value for value in counts.classes([split]) if value not in domain]
  share = sum(counts.count(split, value) for value in outside) / total if total else 0.0
  passed = share <= limit
  if passed:
    text = (
      f"{percent(share)} of {shown(split)} are of classes that are not in the schema's domain, "
      f'the limit is {percent(limit)}'
    )
    yield Check('domain', split, None, None, share, limit, True, text)
    return
  for value in sorted(outside, key=lambda value: -counts.count(split, value)):
    text = (
      f"class {short_name(value)} is not in the schema's domain: "
      f'{records(counts.count(split, value))} of {shown(split)}; all of them are {percent(share)}, '
      f'the limit is {percent(limit)}'
    )
    yield Check('domain', split, None, value, counts.share(split, value), limit, False, text)


def check_missing_labels(counts: ClassCounts, split: str, limit: float) -> Check:
  """Returns whether too many records of a split have no class."""
  absent = counts.missing[split]
  every = absent + counts.total(split)
  share = absent / every if every else 0.0
  text = (
    f'{records(absent)} of {every} in {shown(split)} have no class: {percent(share)}, '
    f'the limit is {percent(limit)}'
  )
  return Check('max_missing', split, None, None, share, limit, share <= limit, text)


def records(n: int) -> str:
  """Returns a number of records in words.

  >>> records(1), records(2)
  ('1 record', '2 records')
  """
  return f'{n} record{"" if n == 1 else "s"}'
