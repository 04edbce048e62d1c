"""How the files of an input are read: what is taken for a fault of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord.reading import LARGEST_RECORD_BYTES


@dataclass(frozen=True)
class ReadOptions:
  """How records are read.

  Attributes:
    max_record_bytes: of the largest record; one that claims more is refused before it is read.

  Raises:
    ConfigError: if a value breaks a rule.
  """

  max_record_bytes: int = LARGEST_RECORD_BYTES

  def __post_init__(self) -> None:
    n = self.max_record_bytes
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= LARGEST_RECORD_BYTES:
      raise ConfigError(
        f'max_record_bytes={n!r} must be a whole number from 1 to {LARGEST_RECORD_BYTES}, the '
        f'largest message of protobuf; leave it out for that'
      )

  def describe(self) -> dict[str, Any]:
    """Returns what differs from the defaults, as the sidecar shows it."""
    defaults = vars(READ_DEFAULTS)
    return {name: value for name, value in vars(self).items() if value != defaults[name]}


READ_DEFAULTS = ReadOptions()
