"""The arguments of StratifiedSplitter: checked at construction, and again by the executor."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_balance.arguments import check_choice, check_flag, check_seed, check_whole
from tfx_balance.errors import ConfigError
from tfx_balance.exec_properties import (
  COMMON_TYPES,
  encoded,
  from_json,
  is_runtime,
  known,
  missing_label,
  names,
  optional_names,
  optional_text,
  read_options,
  set_features,
)
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

ALGORITHM_VERSION = 8
"""Raised whenever the same data and arguments give another split: it is part of TFX's cache key."""

# Which are checked together.
_SHARES = ('splits', 'counts', 'rest', 'split_by', 'split_values', 'folds', 'mode')


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

  TYPES: ClassVar[dict[str, type]] = {
    **COMMON_TYPES,
    'stratify_by': str,
    'splits': str,
    'counts': str,
    'rest': str,
    'split_by': str,
    'split_values': str,
    'folds': int,
    'key': str,
    'input_splits': str,
    'output_files': str,
    'mode': str,
    'identity': str,
    'order_by': str,
    'within': str,
    'embargo': str,
    'embargo_records': int,
    'bins': str,
    'multilabel': int,
    'group_by': str,
    'missing_group': str,
  }

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
    shares, predefined = parse_shares(
      from_json('splits', properties.get('splits'), Mapping),
      from_json('counts', properties.get('counts'), Mapping),
      optional_text('rest', properties.get('rest')),
      optional_text('split_by', properties.get('split_by')),
      from_json('split_values', properties.get('split_values'), Mapping),
      properties.get('folds', 0),
    )
    mode = parse_mode(properties.get('mode', 'exact'))
    key = optional_names('key', properties.get('key')) or ()
    identity = check_choice('identity', properties.get('identity', 'bytes'), ('bytes', 'values'))
    order = TimeOrder.parse(
      optional_text('order_by', properties.get('order_by')),
      properties.get('within', 'all'),
      from_json('embargo', properties.get('embargo', 0), numbers.Real),
      properties.get('embargo_records', 0),
    )
    groups = GroupBy.parse(
      optional_names('group_by', properties.get('group_by')),
      properties.get('missing_group', 'error'),
    )
    features = names('stratify_by', properties['stratify_by'])
    bins = NumberBins.parse(
      from_json('bins', properties.get('bins'), (numbers.Integral, Mapping, Sequence)), features
    )
    multilabel = check_flag('multilabel', properties.get('multilabel', 0))
    check_modes(
      counts=shares.counts,
      mode=mode == 'stable',
      key=key,
      identity=identity == 'values',
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
    missing = missing_label(properties.get('missing_label', 'error'))
    return cls(
      features=(*features, predefined.feature) if predefined else features,
      shares=shares,
      predefined=predefined,
      key=key,
      input_splits=optional_names('input_splits', properties.get('input_splits')),
      seed=check_seed(properties.get('seed', 0)),
      missing=missing,
      reading=read_options(properties),
      output_files=_output_files(properties.get('output_files'), _split_names(shares, predefined)),
      mode=mode,
      by_values=identity == 'values',
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


def encode(extends: bool = False, **arguments: Any) -> dict[str, Any]:
  """Returns checked arguments as execution properties; the executor checks runtime parameters."""
  checked = {'stratify_by': 'label', **known(arguments)}
  late = any(is_runtime(arguments[name]) for name in _SHARES)
  if late:
    checked.update({**dict.fromkeys((*_SHARES, 'output_files'), ''), 'folds': 0})
    checked['mode'] = 'exact'
  if is_runtime(arguments['order_by']):
    checked.update(within='all', embargo=0, embargo_records=0)
  if is_runtime(arguments['stratify_by']):
    checked['bins'] = None
  parameters = SplitterParameters.decode(checked, extends)
  if not late:
    arguments.update(_plain_shares(arguments['splits'], parameters.shares))
  if not is_runtime(arguments['multilabel']):
    arguments['multilabel'] = int(arguments['multilabel'])
  properties = encoded(arguments)
  for name in ('output_files', 'embargo', 'bins'):
    if isinstance(properties[name], (int, float)):
      properties[name] = str(properties[name])
  return {**properties, 'algorithm_version': ALGORITHM_VERSION}


def _plain_shares(splits: Any, shares: SplitShares) -> dict[str, Any]:
  """Returns `splits` and `counts` in whole numbers; the default `splits` are left out."""
  default = splits is None or splits is DEFAULT_SPLITS
  return {'splits': None if default else shares.weights, 'counts': shares.counts or None}


def _split_names(shares: SplitShares, predefined: PredefinedSplits | None) -> tuple[str, ...]:
  return predefined.among(shares.names) if predefined else shares.names


def _output_files(value: Any, splits: tuple[str, ...]) -> dict[str, int]:
  """Returns the number of files of each split that asks for one."""
  given = from_json('output_files', value, (numbers.Integral, Mapping))
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
