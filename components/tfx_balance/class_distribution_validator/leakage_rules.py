"""The rule on what splits may have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.documents.class_checks import (
  CommonExample,
  CommonRecords,
  KeyedRecords,
  Leakage,
  RecordPlace,
)
from tfx_balance.plan.checks import Check, SplitPair, percent, shown
from tfx_balance.plan.distribution_rules import SplitLimit


def describe_leakage(found: Mapping[str, Any], key: str, pairs: Sequence[SplitPair]) -> Leakage:
  """Returns what pairs of splits have in common, as `class_checks.json` has it.

  Args:
    found: JSON data of all pairs, as the transform wrote it.
    key: 'records', or the name of the feature that was compared.
    pairs: Pairs to describe, in this order.
  """
  by_pair = {tuple(row['splits']): row for row in found['pairs']}
  rows = []
  for pair in pairs:
    forward = (pair.split, pair.other) in by_pair
    row = by_pair[(pair.split, pair.other) if forward else (pair.other, pair.split)]
    step = 1 if forward else -1
    here, there = row['records'][::step]
    rows.append(
      CommonRecords(
        pair.split,
        pair.other,
        row['keys'],
        here,
        _share(here, found, pair.split),
        there,
        _share(there, found, pair.other),
        tuple(
          CommonExample(
            example['text'], *(RecordPlace(**place) for place in example['places'][::step])
          )
          for example in row['examples']
        ),
      )
    )
  splits = {name: KeyedRecords(**told) for name, told in found['splits'].items()}
  return Leakage(key, splits, tuple(rows))


def check_leakage(leakage: Leakage, limit: SplitLimit) -> list[Check]:
  """Returns whether splits have too many records in common with others."""
  checks = []
  for pair in leakage.pairs:
    most = limit.of(pair.split)
    if most is not None:
      text, passed = _sentence(leakage.key, pair, most), pair.share <= most
      checks.append(
        Check('max_leakage', pair.split, pair.other, None, pair.share, most, passed, text)
      )
  return checks


def _sentence(key: str, pair: CommonRecords, limit: float) -> str:
  what = 'are' if key == 'records' else f'have a value of {key!r} that is'
  text = (
    f'{pair.records} records of {shown(pair.split)} {what} in {shown(pair.other)} too: '
    f'{percent(pair.share)}, the limit is {percent(limit)}'
  )
  if pair.examples:
    first = pair.examples[0]
    text += (
      f'; such as {first.text}, record {first.split.record} of {first.split.file} '
      f'and record {first.other.record} of {first.other.file}'
    )
  return text


def _share(records: int, found: Mapping[str, Any], split: str) -> float:
  total = found['splits'][split]['records']
  return records / total if total else 0.0
