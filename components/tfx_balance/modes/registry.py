"""The list of all split modes, and the checks of arguments of several modes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tfx_balance.errors import ConfigError
from tfx_balance.modes.at_least import AtLeast
from tfx_balance.modes.bins import NumberBins
from tfx_balance.modes.extend import Extension
from tfx_balance.modes.folds import Folds
from tfx_balance.modes.groups import Groups
from tfx_balance.modes.identity import RecordIdentity
from tfx_balance.modes.mode import SHARE_ARGUMENTS, SHARES, Mode, SplitModes
from tfx_balance.modes.multilabel import LabelSetClasses
from tfx_balance.modes.predefined import PredefinedSplits
from tfx_balance.modes.stable import StableSplits
from tfx_balance.modes.time import TimeOrder
from tfx_balance.plan.split_shares import SplitShares

MODES: tuple[type[Mode], ...] = (
  Folds,
  AtLeast,
  PredefinedSplits,
  RecordIdentity,
  StableSplits,
  TimeOrder,
  NumberBins,
  LabelSetClasses,
  Groups,
  Extension,
)
"""All modes; without one, splits are by class."""

ARGUMENTS = {**SHARE_ARGUMENTS, **{k: v for mode in MODES for k, v in mode.ARGUMENTS.items()}}
"""The arguments that ask for modes."""
TOGETHER = (
  (SHARES, (*SHARES, 'output_files')),
  *(each for mode in MODES for each in mode.TOGETHER),
)
"""Arguments, and those that cannot be checked where one of the former is not known yet."""


def parse_modes(given: Mapping[str, Any], kinds: Sequence[type[Mode]] = MODES) -> SplitModes:
  """Returns the modes that decoded arguments ask for; one takes the place of its base class.

  Args:
    given: Arguments by name, those of all modes, and the sidecar to `extend`, None for none.
    kinds: All modes.

  Raises:
    ConfigError: if an argument breaks a rule.
  """
  found = list(filter(None, (mode.parse(given) for mode in kinds)))
  bases = {base for mode in found for base in type(mode).__mro__[1:]}
  return SplitModes(tuple(mode for mode in found if type(mode) not in bases))


def check_modes(modes: SplitModes, shares: SplitShares) -> None:
  """Checks that modes combine with each other, and with the shares of the splits.

  Raises:
    ConfigError: if two of them do not combine; names both.
  """
  asked = {name for mode in modes for name in mode.asked_by()}
  asked |= {'counts'} if shares.counts else set()
  for pair in itertools.combinations(sorted(asked), 2):
    for mode in MODES:
      if pair in mode.APART:
        raise ConfigError(f'{pair[0]}= and {pair[1]}= do not combine: {mode.APART[pair]}')
