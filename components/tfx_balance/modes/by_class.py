"""Splits by class: every class at its exact share in every split. Other modes build on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tfx_balance.argument_readers import Argument, json_of, optional_text
from tfx_balance.modes.mode import Mode
from tfx_balance.plan.split_shares import DEFAULT_SPLITS, SplitShares

ARGUMENTS = {
  'splits': Argument(str, json_of(Mapping)),
  'counts': Argument(str, json_of(Mapping)),
  'rest': Argument(str, optional_text),
}
SHARES = ('splits', 'counts', 'rest', 'split_by', 'split_values', 'folds', 'mode')
"""Arguments that are checked together, for each has a say in the shares of the splits."""


def parse_shares(given: Mapping[str, Any], modes: Iterable[Mode]) -> SplitShares:
  """Returns the checked shares of the splits, for those records whose split is not predefined.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  chosen = list(modes)
  defaults = [mode.default_splits for mode in chosen if mode.default_splits is not None]
  shares = SplitShares.parse(
    given['splits'], given['counts'], given['rest'], *(defaults or [DEFAULT_SPLITS])[:1]
  )
  for mode in chosen:
    shares = mode.divide(shares)
  return shares
