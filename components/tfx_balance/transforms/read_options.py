"""How the files of an input are read: what is taken for a fault of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfx_balance.errors import ConfigError
from tfx_balance.tfrecord.bad_records import BadRecords
from tfx_balance.tfrecord.reading import LARGEST_RECORD_BYTES

OnBadRecord = Literal['error', 'skip']
"""What becomes of a record whose checksum is wrong, or that is no example with a class."""


@dataclass(frozen=True)
class ReadOptions:
  """How records are read.

  Attributes:
    max_record_bytes: length of the longest record; a file that claims more is refused.
    bad_records: what becomes of records that cannot be used.
    max_bad_records: of all the files, to skip.

  Raises:
    ConfigError: if a value breaks a rule.
  """

  max_record_bytes: int = LARGEST_RECORD_BYTES
  bad_records: OnBadRecord = 'error'
  max_bad_records: int = 100

  def __post_init__(self) -> None:
    n = self.max_record_bytes
    if isinstance(n, bool) or not isinstance(n, int) or not 0 < n <= LARGEST_RECORD_BYTES:
      raise ConfigError(
        f'max_record_bytes={n!r} must be a whole number from 1 to {LARGEST_RECORD_BYTES}, the '
        f'largest message of protobuf; leave it out for that'
      )
    if self.bad_records not in get_args(OnBadRecord):
      raise ConfigError(
        f'bad_records={self.bad_records!r} is not one of {list(get_args(OnBadRecord))}; name one'
      )
    most = self.max_bad_records
    if isinstance(most, bool) or not isinstance(most, int) or most < 0:
      raise ConfigError(f'max_bad_records={most!r} must be a whole number from 0; give one as 100')

  def bad_of(self, path: str) -> BadRecords:
    """Returns what takes the bad records of a file."""
    return BadRecords(path, self.bad_records == 'skip', self.max_bad_records)

  def describe(self) -> dict[str, Any]:
    """Returns what differs from the defaults, as the sidecar shows it."""
    defaults = vars(READ_DEFAULTS)
    return {name: value for name, value in vars(self).items() if value != defaults[name]}


READ_DEFAULTS = ReadOptions()
