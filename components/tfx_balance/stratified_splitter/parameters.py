"""The arguments of StratifiedSplitter: checked at construction, and again by the executor."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from tfx_balance.arguments import check_seed, check_whole
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
)
from tfx_balance.plan.split_plan import DEFAULT_SPLITS, SplitShares
from tfx_balance.scan.strata import MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

ALGORITHM_VERSION = 3
"""Raised whenever the same data and arguments give another split: it is part of TFX's cache key."""


@dataclass(frozen=True)
class SplitterParameters:
  """The arguments, decoded.

  Attributes:
    features: Features that strata are made of.
    shares: Weights and counts of the splits.
    input_splits: Splits to re-split; None for all.
    seed: Seed of the selection.
    missing: Treatment of records without a class.
    reading: Options of reading.
    output_files: Numbers of files by split, for splits with a given number.
  """

  TYPES: ClassVar[dict[str, type]] = {
    **COMMON_TYPES,
    'stratify_by': str,
    'splits': str,
    'counts': str,
    'rest': str,
    'input_splits': str,
    'output_files': str,
  }

  features: tuple[str, ...]
  shares: SplitShares
  input_splits: tuple[str, ...] | None
  seed: int
  missing: MissingLabel
  reading: ReadOptions
  output_files: Mapping[str, int]

  @classmethod
  def decode(cls, properties: Mapping[str, Any]) -> SplitterParameters:
    """Returns the parameters of execution properties; raises a ConfigError for a broken rule."""
    splits = from_json('splits', properties.get('splits'), Mapping)
    shares = SplitShares.parse(
      DEFAULT_SPLITS if splits is None else splits,
      from_json('counts', properties.get('counts'), Mapping),
      optional_text('rest', properties.get('rest')),
    )
    return cls(
      features=names('stratify_by', properties['stratify_by']),
      shares=shares,
      input_splits=optional_names('input_splits', properties.get('input_splits')),
      seed=check_seed(properties.get('seed', 0)),
      missing=missing_label(properties.get('missing_label', 'error')),
      reading=read_options(properties),
      output_files=_output_files(properties.get('output_files'), shares),
    )

  def describe(self) -> dict[str, Any]:
    """Returns the parameters as the sidecar shows them."""
    return {
      'stratify_by': list(self.features),
      'splits': dict(self.shares.weights),
      'counts': dict(self.shares.counts),
      'input_splits': None if self.input_splits is None else list(self.input_splits),
      'seed': self.seed,
      'missing_label': self.missing,
      'algorithm_version': ALGORITHM_VERSION,
      **self.reading.describe(),
    }


def encode(**arguments: Any) -> dict[str, Any]:
  """Returns checked arguments as execution properties; the executor checks runtime parameters."""
  checked = {'stratify_by': 'label', **known(arguments)}
  late = any(is_runtime(arguments[name]) for name in ('splits', 'counts', 'rest'))
  if late:
    checked.update(splits='', counts='', rest='', output_files='')
  parameters = SplitterParameters.decode(checked)
  if not late:
    arguments.update(_plain_shares(arguments['splits'], parameters.shares))
  properties = encoded(arguments)
  if isinstance(properties['output_files'], int):
    properties['output_files'] = str(properties['output_files'])
  return {**properties, 'algorithm_version': ALGORITHM_VERSION}


def _plain_shares(splits: Any, shares: SplitShares) -> dict[str, Any]:
  """Returns `splits` and `counts` in whole numbers; the default `splits` are left out."""
  default = splits is None or splits is DEFAULT_SPLITS
  return {'splits': None if default else shares.weights, 'counts': shares.counts or None}


def _output_files(value: Any, shares: SplitShares) -> dict[str, int]:
  """Returns the number of files of each split that asks for one."""
  given = from_json('output_files', value, (numbers.Integral, Mapping))
  if given is None:
    return {}
  if not isinstance(given, Mapping):
    given = dict.fromkeys(shares.names, given)
  for name in given:
    if name not in shares.names:
      raise ConfigError(
        f'output_files names split {name!r}, which is not in {list(shares.names)}; name one of '
        f'these'
      )
  return {name: check_whole(f'output_files[{name!r}]', n, most=99_999) for name, n in given.items()}
