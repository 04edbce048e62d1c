"""Counts of classes out of `class_distribution.json`, where it has them for what is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.sidecar import SIDECAR_FORMAT, SIDECAR_VERSION


def tallies_from_sidecar(
  data: Mapping[str, Any], label: str, splits: Sequence[str]
) -> dict[str, dict[ClassValue, int]] | None:
  """Returns, of each split, class to records; None where the sidecar does not tell all of it.

  Args:
    data: the sidecar.
    label: the feature that holds the class; one of several that strata are made of will do.
    splits: to have counts of.
  """
  if data.get('format') != SIDECAR_FORMAT:
    return None
  if data.get('version') != SIDECAR_VERSION:
    return None
  parameters = data.get('parameters', {})
  features = list(parameters.get('stratify_by') or [parameters.get('label')])
  known = data.get('splits', {})
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
