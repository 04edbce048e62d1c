"""The rule on what splits may have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.plan.checks import Check, percent
from tfx_balance.plan.distance_rules import SplitPair, shown
from tfx_balance.plan.limits import SplitLimit


def describe_leakage(
  found: Mapping[str, Any], key: str, pairs: Sequence[SplitPair]
) -> dict[str, Any]:
  """Returns what pairs of splits have in common, as `class_checks.json` has it.

  Args:
    found: JSON data of all pairs, as the transform wrote it.
    key: 'records', or the name of the feature that was compared.
    pairs: to describe, in this order.

  Returns:
    JSON data. Of each pair: how many `keys` both have, and of the `records` of `split`, and of
    `other`, how many and what `share` have one of them.
  """
  by_pair = {tuple(row['splits']): row for row in found['pairs']}
  rows = []
  for pair in pairs:
    forward = (pair.split, pair.other) in by_pair
    row = by_pair[(pair.split, pair.other) if forward else (pair.other, pair.split)]
    step = 1 if forward else -1
    here, there = row['records'][::step]
    rows.append(
      {
        'split': pair.split,
        'other': pair.other,
        'keys': row['keys'],
        'records': here,
        'share': _share(here, found, pair.split),
        'records_of_other': there,
        'share_of_other': _share(there, found, pair.other),
        'examples': [
          {
            'text': example['text'],
            'split': example['places'][::step][0],
            'other': example['places'][::step][1],
          }
          for example in row['examples']
        ],
      }
    )
  return {'key': key, 'splits': dict(found['splits']), 'pairs': rows}


def check_leakage(leakage: Mapping[str, Any], limit: SplitLimit) -> list[Check]:
  """Returns whether splits have too many records in common with others."""
  checks = []
  for row in leakage['pairs']:
    most = limit.of(row['split'])
    if most is not None:
      passed = row['share'] <= most
      text = _sentence(leakage['key'], row, most)
      checks.append(
        Check('max_leakage', row['split'], row['other'], None, row['share'], most, passed, text)
      )
  return checks


def _sentence(key: str, row: Mapping[str, Any], limit: float) -> str:
  what = 'are' if key == 'records' else f'have a value of {key!r} that is'
  text = (
    f'{row["records"]} records of {shown(row["split"])} {what} in {shown(row["other"])} too: '
    f'{percent(row["share"])}, the limit is {percent(limit)}'
  )
  if row['examples']:
    first = row['examples'][0]
    text += (
      f'; such as {first["text"]}, record {first["split"]["record"]} of {first["split"]["file"]} '
      f'and record {first["other"]["record"]} of {first["other"]["file"]}'
    )
  return text


def _share(records: int, found: Mapping[str, Any], split: str) -> float:
  total = found['splits'][split]['records']
  return records / total if total else 0.0
