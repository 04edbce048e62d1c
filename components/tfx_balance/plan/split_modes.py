"""Which modes of a split combine."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tfx_balance.errors import ConfigError

# Of each pair, named by the arguments that ask for them: why they do not combine, and what to do.
_APART: dict[frozenset[str], str] = {
  frozenset({'extend', 'group_by'}): (
    'a group that has old records and new ones could be parted; leave one of them out'
  ),
  frozenset({'extend', 'mode'}): (
    "mode='stable' keeps old records in their splits without the earlier artifact; leave one of "
    'them out'
  ),
  frozenset({'extend', 'multilabel'}): (
    'new records are dealt by their sets of labels alone, not brought near the shares of labels; '
    'leave one of them out'
  ),
  frozenset({'extend', 'order_by'}): (
    'old records stay in their splits whatever their time; leave one of them out'
  ),
  frozenset({'extend', 'split_by'}): (
    'records that extend= finds keep the splits of the earlier artifact, whatever split_by= says; '
    'leave one of them out'
  ),
  frozenset({'identity', 'key'}): (
    'the features of key= identify a record, in whatever order they are; leave one of them out'
  ),
  frozenset({'mode', 'counts'}): (
    "mode='stable' deals each record by its hash alone, so that no number is met exactly; give "
    'weights as splits=, or leave mode= out'
  ),
  frozenset({'bins', 'extend'}): (
    'the edges of bins may differ from those of the earlier output; bin the numbers before, or '
    'leave one of them out'
  ),
  frozenset({'bins', 'multilabel'}): (
    'bins are of one number a record, and labels are several; leave one of them out'
  ),
  frozenset({'mode', 'order_by'}): (
    "mode='stable' deals each record by its hash, and order_by= by its time; leave one of them out"
  ),
  frozenset({'order_by', 'split_by'}): (
    'a predefined split holds records of any time; map its values in split_values= so that they '
    'are in the order of time, or leave one of them out'
  ),
  frozenset({'group_by', 'within'}): (
    'a group has records of many strata, which cannot each be cut by time; leave within= out, or '
    'group_by='
  ),
  frozenset({'embargo_records', 'group_by'}): (
    'groups are left out whole, so that no number of records is met; give embargo= in units of time'
  ),
  frozenset({'group_by', 'mode'}): (
    "mode='stable' keeps records of one key together by itself; give the groups as "
    'key=, and leave group_by= out'
  ),
}


def check_modes(own_names: Mapping[str, str] = MappingProxyType({}), /, **asked: Any) -> None:
  """Checks that modes combine.

  >>> check_modes(mode=True, folds=5, order_by=None)

  Args:
    own_names: What the caller's arguments are called, for messages, where they have other names.
    asked: What asks for a mode, by the name of its argument; what is false or None does not.

  Raises:
    ConfigError: if two of them do not combine; names both.
  """
  given = sorted(name for name, value in asked.items() if value)
  for pair in itertools.combinations(given, 2):
    reason = _APART.get(frozenset(pair))
    if reason:
      message = f'{pair[0]}= and {pair[1]}= do not combine: {reason}'
      for name, own in own_names.items():
        message = message.replace(f'{name}=', f'{own}=')
      raise ConfigError(message)
