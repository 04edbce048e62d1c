"""The arguments of StratifiedSplitter: checked at construction, and again by the executor."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.arguments import check_flag, check_whole
from tfx_balance.declare import (
  COMMON,
  Argument,
  as_given,
  is_runtime,
  json_of,
  missing_label,
  names,
  one_of,
  optional_names,
  optional_text,
  read_all,
  read_options,
  set_features,
)
from tfx_balance.errors import ConfigError
from tfx_balance.plan.group_by import GroupBy
from tfx_balance.plan.number_bins import NumberBins
from tfx_balance.plan.split_modes import check_modes
from tfx_balance.plan.split_shares import (
  DEFAULT_SPLITS,
  PredefinedSplits,
  SplitShares,
  parse_shares,
)
from tfx_balance.plan.stable_splits import SplitMode, parse_mode
from tfx_balance.plan.time_order import TimeOrder
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

ALGORITHM_VERSION = 9
"""Raised whenever the same data and arguments give another split: it is part of TFX's cache key."""

ARGUMENTS = {
  **COMMON,
  'missing_label': Argument(str, missing_label(), 'error'),
  'stratify_by': Argument(str, names, 'label'),
  'splits': Argument(str, json_of(Mapping)),
  'counts': Argument(str, json_of(Mapping)),
  'rest': Argument(str, optional_text),
  'split_by': Argument(str, optional_text),
  'split_values': Argument(str, json_of(Mapping)),
  'folds': Argument(int, as_given, 0),
  'key': Argument(str, optional_names),
  'input_splits': Argument(str, optional_names),
  'output_files': Argument(str, json_of(numbers.Integral, Mapping)),
  'mode': Argument(str, as_given, 'exact'),
  'identity': Argument(str, one_of('bytes', 'values'), 'bytes'),
  'order_by': Argument(str, optional_text),
  'within': Argument(str, as_given, 'all'),
  'embargo': Argument(str, json_of(numbers.Real), 0),
  'embargo_records': Argument(int, as_given, 0),
  'bins': Argument(str, json_of(numbers.Integral, Mapping, Sequence)),
  'multilabel': Argument(int, check_flag, False),
  'group_by': Argument(str, optional_names),
  'missing_group': Argument(str, as_given, 'error'),
}
"""The arguments of StratifiedSplitter, beside `extend`."""

_SHARES = ('splits', 'counts', 'rest', 'split_by', 'split_values', 'folds', 'mode')
CHECKED_TOGETHER = (
  (_SHARES, (*_SHARES, 'output_files')),
  (('order_by',), ('within', 'embargo', 'embargo_records')),
  (('stratify_by',), ('bins',)),
)
"""Arguments, and those that cannot be checked where one of the former is not known yet."""


@dataclass(frozen=True)
class SplitterParameters:
  """The arguments, decoded.

  Attributes:
    features: Features that strata are made of; `predefined.feature` is the last of them.
    shares: Weights and counts of the splits.
    predefined: Splits by the values of a feature; None where no feature predefines them.
    key: Features that identify a record; none where its bytes do.
    order: Order of the splits in time; None for none.
    input_splits: Splits to re-split; None for all.
    seed: Seed of the selection.
    missing: Treatment of records without a class.
    reading: Options of reading.
    output_files: Numbers of files by split, for splits with a given number.
    mode: How many records a split gets.
    by_values: Whether the values of a record identify it; else its bytes do, or `key`.
    labels: The features whose labels make a set, which is the class; none where each is a class.
    extends: Whether there is an artifact whose records stay in their splits.
    groups: Features that make groups, each of which is in one split; None for no groups.
    bins: Bins of a feature's numbers, which are classes; None for none.
  """

  features: tuple[str, ...]
  shares: SplitShares
  predefined: PredefinedSplits | None
  key: tuple[str, ...]
  input_splits: tuple[str, ...] | None
  seed: int
  missing: MissingLabel
  reading: ReadOptions
  output_files: Mapping[str, int]
  mode: SplitMode
  by_values: bool
  order: TimeOrder | None
  labels: tuple[str, ...]
  extends: bool
  groups: GroupBy | None
  bins: NumberBins | None

  @classmethod
  def decode(cls, properties: Mapping[str, Any], extends: bool = False) -> SplitterParameters:
    """Returns the parameters of execution properties, and of whether `extend` is given.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = read_all(ARGUMENTS, properties)
    shares, predefined = parse_shares(*(given[name] for name in _SHARES[:-1]))
    mode = parse_mode(given['mode'])
    order = TimeOrder.parse(
      *(given[name] for name in ('order_by', 'within', 'embargo', 'embargo_records'))
    )
    groups = GroupBy.parse(given['group_by'], given['missing_group'])
    features, multilabel = given['stratify_by'], given['multilabel']
    bins = NumberBins.parse(given['bins'], features)
    key, by_values = given['key'] or (), given['identity'] == 'values'
    check_modes(
      counts=shares.counts,
      mode=mode == 'stable',
      key=key,
      identity=by_values,
      split_by=predefined,
      order_by=order,
      extend=extends,
      multilabel=multilabel,
      group_by=groups,
      within=order and order.within == 'strata',
      embargo_records=order and order.embargo_records,
      bins=bins,
    )
    if predefined and predefined.feature in features:
      raise ConfigError(
        f'split_by={predefined.feature!r} is in stratify_by= too; name it in one of them'
      )
    missing = given['missing_label']
    return cls(
      features=(*features, predefined.feature) if predefined else features,
      shares=shares,
      predefined=predefined,
      key=key,
      input_splits=given['input_splits'],
      seed=given['seed'],
      missing=missing,
      reading=read_options(given),
      output_files=_output_files(given['output_files'], _split_names(shares, predefined)),
      mode=mode,
      by_values=by_values,
      order=order,
      labels=set_features(features, multilabel, missing),
      extends=extends,
      groups=groups,
      bins=bins,
    )

  @property
  def split_names(self) -> tuple[str, ...]:
    """The splits to write."""
    return _split_names(self.shares, self.predefined)

  def describe(self) -> dict[str, Any]:
    """Returns the parameters as the sidecar shows them."""
    told = self.predefined
    by_value = told.by_value if told else None
    return {
      'stratify_by': list(self.features),
      'splits': dict(self.shares.weights),
      'counts': dict(self.shares.counts),
      **({'folds': self.shares.folds} if self.shares.folds else {}),
      **({'split_by': told.feature} if told else {}),
      **({'split_values': {str(key): by_value[key] for key in by_value}} if by_value else {}),
      **({'key': list(self.key)} if self.key else {}),
      **({'identity': 'values'} if self.by_values else {}),
      **({'mode': self.mode} if self.mode != 'exact' else {}),
      **(self.order.describe() if self.order else {}),
      **(self.bins.describe() if self.bins else {}),
      **({'multilabel': True} if self.labels else {}),
      **(self.groups.describe() if self.groups else {}),
      'input_splits': None if self.input_splits is None else list(self.input_splits),
      'seed': self.seed,
      'missing_label': self.missing,
      'algorithm_version': ALGORITHM_VERSION,
      **self.reading.describe(),
    }


def plain_shares(arguments: Mapping[str, Any]) -> dict[str, Any]:
  """Returns `splits` and `counts` in whole numbers; the default `splits` are left out.

  Nothing is returned where one of the arguments that make shares is not known yet.
  """
  if any(is_runtime(arguments[name]) for name in _SHARES):
    return {}
  given = {name: ARGUMENTS[name].read(name, arguments[name]) for name in _SHARES[:-1]}
  shares, _ = parse_shares(*given.values())
  default = arguments['splits'] is None or arguments['splits'] is DEFAULT_SPLITS
  return {'splits': None if default else shares.weights, 'counts': shares.counts or None}


def _split_names(shares: SplitShares, predefined: PredefinedSplits | None) -> tuple[str, ...]:
  return predefined.among(shares.names) if predefined else shares.names


def _output_files(given: Any, splits: tuple[str, ...]) -> dict[str, int]:
  """Returns the number of files of each split that asks for one."""
  if given is None:
    return {}
  if not isinstance(given, Mapping):
    given = dict.fromkeys(splits, given)
  for name in given:
    if name not in splits:
      raise ConfigError(
        f'output_files names split {name!r}, which is not in {list(splits)}; name one of these'
      )
  return {name: check_whole(f'output_files[{name!r}]', n, most=99_999) for name, n in given.items()}
