"""Predefined splits: the split of a record by the value of a feature."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.argument_readers import Argument, json_of, optional_text
from tfx_balance.arguments import check_mapping, check_text
from tfx_balance.documents.sentences import some_of
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.modes.folds import FOLDED
from tfx_balance.modes.mode import Mode
from tfx_balance.plan.class_value import ClassValue, check_key, match_classes
from tfx_balance.plan.split_plan import SplitPlan
from tfx_balance.plan.split_shares import check_split_name, is_default

_SHOWN_VALUES = 5  # in a message


@dataclass(frozen=True)
class PredefinedSplits(Mode):
  """The split of a record by the value of one of its features.

  Attributes:
    feature: Name of the feature.
    by_value: Split by value; None where the value is the name of its split.
    required: Whether each record must have a split; else the others are stratified.
  """

  feature: str
  by_value: Mapping[Any, str] | None
  required: bool

  ARGUMENTS = {
    'split_by': Argument(str, optional_text),
    'split_values': Argument(str, json_of(Mapping)),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> PredefinedSplits | None:
    split_by, split_values = given['split_by'], given['split_values']
    if split_by is None:
      if split_values is not None:
        raise ConfigError('split_values= maps values of split_by=, which is not given; give it')
      return None
    if given['counts'] or given['rest']:
      raise ConfigError(
        f'split_by={split_by!r} does not combine with counts= and rest=; leave these out, and give '
        f'weights as splits= for records without a predefined split'
      )
    fix = "give one such as 'set'"
    feature = check_text('split_by', split_by, 'the name of the feature that holds the split', fix)
    if split_values is not None:
      example = '{"validation": "eval"}'
      if not check_mapping('split_values', split_values, example):
        raise ConfigError(f'split_values={{}} maps no value; give one such as {example}')
      for key, name in split_values.items():
        check_key('split_values', key)
        check_split_name(name)
      split_values = dict(split_values)
    found = cls(feature, split_values, required=is_default(given['splits']))
    folds = given['folds']
    if folds and (found.required or FOLDED in found.split_names(())):
      raise ConfigError(
        f'folds={folds} divides {FOLDED!r}, which split_by={split_by!r} must leave to be '
        f'stratified: map no value to it in split_values=, and give it a weight in splits='
      )
    if found.feature in given['stratify_by']:
      raise ConfigError(
        f'split_by={found.feature!r} is in stratify_by= too; name it in one of them'
      )
    return found

  def describe(self) -> dict[str, Any]:
    values = {'split_values': {str(key): name for key, name in (self.by_value or {}).items()}}
    return {'split_by': self.feature, **(values if self.by_value else {})}

  @property
  def default_splits(self) -> Mapping[str, int] | None:
    return {} if self.by_value else None

  def split_names(self, names: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*names, *(self.by_value or {}).values()]))

  def strata_features(self, features: Sequence[str]) -> tuple[str, ...]:
    return (*features, self.feature)

  @property
  def predefined(self) -> PredefinedSplits:
    return self

  def scan_options(self) -> dict[str, Any]:
    return {'optional': [self.feature]}

  def optional_features(self) -> Mapping[str, str]:
    return {self.feature: 'split_by'}

  def find(
    self, records: Iterable[tuple[ClassValue, int]], splits: Iterable[str]
  ) -> dict[ClassValue, str]:
    """Returns the split of each value that has one.

    Args:
      records: Values and numbers of records, in which a value may be several times.
      splits: Names of the splits.

    Raises:
      ConfigError: if a key of the mapping matches no value, or two.
      DataError: if a record has no split and must have one.
    """
    totals: Counter[ClassValue] = Counter()
    for value, n in records:
      totals[value] += n
    if self.by_value is None:
      named = {ClassValue('bytes', name.encode()): name for name in splits}
      found = {value: named[value] for value in totals if value in named}
    else:
      try:
        found = match_classes('split_values', self.by_value, sorted(totals))
      except ConfigError as error:
        raise ConfigError(
          f'split_values= has a key that {self.feature!r} has not: {error}; leave the key out, or '
          f'name a value that records have'
        ) from error
    others = sorted(value for value, n in totals.items() if n and value not in found)
    if others and self.required:
      first = ', '.join(f'{value}: {totals[value]}' for value in others[:_SHOWN_VALUES])
      raise DataError(
        f'{sum(totals[value] for value in others)} records have no split by {self.feature!r}; by '
        f'value they are {first}{", ..." if len(others) > _SHOWN_VALUES else ""}; map them with '
        f'split_values=, or stratify them by weights that you pass as splits='
      )
    return found

  def notes(self, plan: SplitPlan) -> list[str]:
    n = int(plan.records[~plan.predefined].sum())
    if not n:
      return []
    values = {stratum[-1] for stratum in itertools.compress(plan.strata, ~plan.predefined)}
    names = some_of([str(value) for value in sorted(values)])
    return [f'{n} records have no split by {self.feature!r} (values: {names}) and were stratified']
