"""Whether the features that a person named can be classes, once the records are counted."""

from __future__ import annotations

from collections.abc import Sequence

from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING
from tfx_balance.transforms.labels import MissingLabel
from tfx_balance.transforms.totals import Totals


def check_features(
  totals: Totals, features: Sequence[str], missing: MissingLabel, argument: str
) -> None:
  """Checks that the features can be classes.

  Args:
    totals: of what was read.
    features: by which the records were counted.
    missing: what becomes of records without a class.
    argument: by which a person named the features.

  Raises:
    DataError: if there are no records, or if a feature does not exist, is missing in records and
      must not be, or has several types.
  """
  read = totals.n_records + totals.dropped
  if not read:
    raise DataError('the input holds no records; give at least one')
  for i, feature in enumerate(features):
    kinds = {stratum[i].kind for stratum in totals.records}
    absent = sum(n for stratum, n in totals.records.items() if stratum[i] == MISSING)
    if kinds <= {'missing'} and feature not in totals.feature_names:
      known = ', '.join(sorted(totals.feature_names)) or 'none'
      raise DataError(
        f'feature {feature!r} is in none of the {read} records; {argument}= takes one of: {known}'
      )
    if absent and missing == 'error':
      path, position = totals.missing_in[feature]
      raise DataError(
        f'feature {feature!r} has no value in {absent} of {read} records, the first of them record '
        f"{position} of {path}; pass missing_label='own_stratum' or 'drop', or fill it in"
      )
    if len(kinds - {'missing'}) > 1:
      raise DataError(
        f'feature {feature!r} has values of types {sorted(kinds - {"missing"})}; '
        f'give it one type in all files'
      )
  if not totals.n_records:
    raise DataError(f'all {read} records lack a class and missing_label drops them; fill it in')
