"""Records with several labels: the set of them is the class, and labels get their shares too.

Sets are rounded so that labels, and pairs of labels, come near to their shares: see
`tfx_balance.plan.label_exchange`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.argument_readers import Argument, set_features
from tfx_balance.arguments import check_flag
from tfx_balance.modes.mode import Mode


@dataclass(frozen=True)
class LabelSetClasses(Mode):
  """Features whose labels make a set, which is the class.

  Attributes:
    features: The one feature with the labels of a record, or several of 0 and 1.
  """

  features: tuple[str, ...]

  ARGUMENTS = {'multilabel': Argument(int, check_flag, False)}

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> LabelSetClasses | None:
    found = set_features(given['stratify_by'], given['multilabel'], given['missing_label'])
    return cls(found) if found else None

  def describe(self) -> dict[str, Any]:
    return {'multilabel': True}

  def scan_options(self) -> dict[str, Any]:
    return {'labels': self.features}

  def optional_features(self) -> Mapping[str, str]:
    return {self.features[0]: 'stratify_by'}  # the set may be empty

  def counted_features(self, features: Sequence[str]) -> tuple[str, ...]:
    return (self.features[0], *(name for name in features if name not in self.features))
