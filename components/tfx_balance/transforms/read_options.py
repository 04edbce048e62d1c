"""How the files of an input are read: what is taken for a fault of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfx_balance.arguments import check_choice, check_whole
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
    fix = 'leave it out for the largest message of protobuf'
    n = check_whole('max_record_bytes', self.max_record_bytes, 1, LARGEST_RECORD_BYTES, fix)
    most = check_whole('max_bad_records', self.max_bad_records, 0)
    check_choice('bad_records', self.bad_records, get_args(OnBadRecord))
    object.__setattr__(self, 'max_record_bytes', n)
    object.__setattr__(self, 'max_bad_records', most)

  def bad_of(self, path: str) -> BadRecords:
    """Returns what takes the bad records of a file."""
    return BadRecords(path, self.bad_records == 'skip', self.max_bad_records)

  def describe(self) -> dict[str, Any]:
    """Returns what differs from the defaults, as the sidecar shows it."""
    defaults = vars(READ_DEFAULTS)
    return {name: value for name, value in vars(self).items() if value != defaults[name]}


READ_DEFAULTS = ReadOptions()
