"""Counts of classes out of `class_distribution.json`, where it has them for what is asked.

A sidecar is believed of files that have the names and the sizes that it tells, and no others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.document import REMEDY
from tfx_balance.plan.sidecar import FileSizes


def tallies_from_sidecar(
  data: Mapping[str, Any], label: str, splits: Sequence[str]
) -> dict[str, dict[ClassValue, int]] | None:
  """Returns, of each split, class to records; None where the sidecar does not tell all of it.

  Args:
    data: the sidecar, whole.
    label: the feature that holds the class; one of several that strata are made of will do.
    splits: to have counts of.
  """
  parameters = data['parameters']
  features = list(parameters.get('stratify_by') or [parameters.get('label')])
  known = data['splits']
  if label not in features or any(split not in known for split in splits):
    return None
  at = features.index(label)
  tallies: dict[str, dict[ClassValue, int]] = {split: {} for split in splits}
  for row in data['strata']:
    value = ClassValue.from_json(row['stratum'][at])
    for split in splits:
      n = row['splits'].get(split, {}).get('records', 0)
      tallies[split][value] = tallies[split].get(value, 0) + n
  for split, tally in tallies.items():  # a split left as it was may hold records without a class
    rest = known[split]['records'] - sum(tally.values())
    tally[MISSING] = tally.get(MISSING, 0) + rest
  return tallies


def told_files(data: Mapping[str, Any], splits: Sequence[str]) -> FileSizes | None:
  """Returns the files that a sidecar tells of, with their sizes; None in one of an older version.

  Args:
    data: the sidecar.
    splits: that it tells the counts of.
  """
  sizes = {split: data['splits'][split].get('file_bytes') for split in splits}
  return None if None in sizes.values() else sizes


def check_files(told: FileSizes, found: FileSizes, source: str) -> None:
  """Checks that the files there are those that a sidecar describes.

  Args:
    told: by the sidecar.
    found: beside it.
    source: the path of the sidecar.

  Raises:
    DataError: if one is gone, has come, or has another size; names it.
  """
  for split in told:
    for name in sorted({*told[split], *found.get(split, {})}):
      size, is_there = told[split].get(name), found.get(split, {}).get(name)
      if size != is_there:
        raise DataError(
          f'Split-{split}/{name} {_has(is_there)}, and {source} tells that it {_has(size)}: the '
          f'files are not those that were published with it; {REMEDY}'
        )


def _has(size: int | None) -> str:
  return 'is not there' if size is None else f'has {size} bytes'
