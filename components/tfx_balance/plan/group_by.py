"""What a person asks of groups: the features that make them, and records without a group."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.arguments import check_choice
from tfx_balance.errors import ConfigError


@dataclass(frozen=True)
class GroupBy:
  """Features whose values make groups, each of which is in one split.

  Attributes:
    features: Names of the features; records with equal values of all of them are a group.
    missing: Treatment of a record without a value of one of them: 'error', 'own' for a group of its
      own, together with records that are equal to it, or 'drop'.
  """

  features: tuple[str, ...]
  missing: str = 'error'

  @classmethod
  def parse(cls, features: Sequence[str] | None, missing: Any) -> GroupBy | None:
    """Returns the checked arguments, None where there are no groups.

    Raises:
      ConfigError: if `missing` is no treatment, or there are no groups that it is of.
    """
    check_choice('missing_group', missing, ('error', 'own', 'drop'))
    if features:
      return cls(tuple(features), missing)
    if missing != 'error':
      raise ConfigError(
        f'missing_group={missing!r} is of group_by=, which is not given; name a feature in it'
      )
    return None

  def describe(self) -> dict[str, Any]:
    """Returns the arguments as the sidecar shows them."""
    return {'group_by': list(self.features), 'missing_group': self.missing}
