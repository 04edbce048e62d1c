"""The arguments of StratifiedSplitter: checked at construction, and again by the executor."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tfx_balance.argument_readers import Argument, json_of, names, optional_names, read_all
from tfx_balance.arguments import check_whole
from tfx_balance.declare import COMMON, is_runtime, missing_label, read_options
from tfx_balance.errors import ConfigError
from tfx_balance.modes import registry
from tfx_balance.modes.identity import RecordIdentity
from tfx_balance.modes.mode import SHARES, SplitModes, parse_shares
from tfx_balance.plan.split_shares import SplitShares, is_default
from tfx_balance.scan.strata import Fill, MissingLabel
from tfx_balance.tfrecord.reading import ReadOptions

ALGORITHM_VERSION = 11
"""Raised whenever the same data and arguments give another split: it is part of TFX's cache key."""

ARGUMENTS = {
  **COMMON,
  'missing_label': Argument(str, missing_label(), 'error'),
  'stratify_by': Argument(str, names, 'label'),
  'input_splits': Argument(str, optional_names),
  'output_files': Argument(str, json_of(numbers.Integral, Mapping)),
  **registry.ARGUMENTS,
}
"""The arguments of StratifiedSplitter, beside `extend`."""


@dataclass(frozen=True)
class SplitterParameters:
  """The arguments, decoded.

  Attributes:
    stratify_by: Features that classes and joint strata are of.
    shares: Weights and counts of the splits.
    modes: Modes of the split.
    input_splits: Splits to re-split; None for all.
    seed: Seed of the selection.
    missing: Treatment of records without a class.
    reading: Options of reading.
    output_files: Numbers of files by split, for splits with a given number.
  """

  COMPONENT: ClassVar[str] = 'StratifiedSplitter'

  stratify_by: tuple[str, ...]
  shares: SplitShares
  modes: SplitModes
  input_splits: tuple[str, ...] | None
  seed: int
  missing: MissingLabel
  reading: ReadOptions
  output_files: Mapping[str, int]

  @classmethod
  def decode(cls, properties: Mapping[str, Any], extend: str | None = None) -> SplitterParameters:
    """Returns the parameters of execution properties.

    Args:
      properties: Execution properties by name.
      extend: Path of the sidecar of the artifact to extend, '' where it is not known yet; None
        where there is none.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = read_all(ARGUMENTS, properties)
    modes = registry.parse_modes({**given, 'extend': extend})
    shares = parse_shares(given, modes)
    registry.check_modes(modes, shares)
    return cls(
      stratify_by=given['stratify_by'],
      shares=shares,
      modes=modes,
      input_splits=given['input_splits'],
      seed=given['seed'],
      missing=given['missing_label'],
      reading=read_options(given),
      output_files=_output_files(given['output_files'], modes.split_names(shares.names)),
    )

  @property
  def features(self) -> tuple[str, ...]:
    """Features that strata are made of."""
    return self.modes.strata_features(self.stratify_by)

  @property
  def by_bytes(self) -> bool:
    """Whether records are chosen by their bytes, and not by features, values or groups."""
    return not self.modes.groups and not any(isinstance(m, RecordIdentity) for m in self.modes)

  @property
  def split_names(self) -> tuple[str, ...]:
    """The splits to write."""
    return self.modes.split_names(self.shares.names)

  def describe(self) -> dict[str, Any]:
    """Returns the parameters as the sidecar shows them."""
    return {
      'stratify_by': list(self.features),
      'splits': dict(self.shares.weights),
      'counts': dict(self.shares.counts),
      **self.modes.describe(),
      'input_splits': None if self.input_splits is None else list(self.input_splits),
      'seed': self.seed,
      'missing_label': asdict(self.missing) if isinstance(self.missing, Fill) else self.missing,
      'algorithm_version': ALGORITHM_VERSION,
      **self.reading.describe(),
    }


def plain_shares(arguments: Mapping[str, Any]) -> dict[str, Any]:
  """Returns `splits` and `counts` in whole numbers; the default `splits` are left out.

  Nothing is returned where one of the arguments that make shares is not known yet.
  """
  if any(is_runtime(arguments[name]) for name in SHARES):
    return {}
  given = {name: ARGUMENTS[name].read(name, arguments[name]) for name in SHARES}
  kinds = [kind for kind in registry.MODES if kind.ARGUMENTS and set(kind.ARGUMENTS) <= set(SHARES)]
  shares = parse_shares(
    given, filter(None, (kind.parse({**given, 'stratify_by': ()}) for kind in kinds))
  )
  default = is_default(arguments['splits'])
  return {'splits': None if default else shares.weights, 'counts': shares.counts or None}


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
