"""How the files of an input are read: what is taken for a fault of the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from tfx_balance.arguments import check_choice, check_whole
from tfx_balance.errors import DataError

LARGEST_RECORD_BYTES = 2**31 - 1
"""What protobuf allows a message: from one byte more on, TensorFlow 2.16 crashes in its parser."""


class BadRecords:
  """Takes the faults of a file's records as they are met.

  Attributes:
    skips: Whether bad records are skipped.
    positions: Those of the bad records in the file, in the order in which they were met.
    first: What is wrong with the first one met, a sentence; '' where there is none.
    cut_bytes: Length of what is left of a record that the end of the file cuts short.
  """

  def __init__(self, path: str, skips: bool = False, most: int = 0) -> None:
    """Begins a file.

    Args:
      path: Name of the file.
      skips: Whether bad records are skipped; the first one is an error otherwise.
      most: Number of bad records to skip.
    """
    self.skips = skips
    self.positions: list[int] = []
    self.first = ''
    self.cut_bytes = 0
    self._path = path
    self._most = most

  def add(self, position: int, fault: DataError) -> None:
    """Takes a record that cannot be used.

    Raises:
      DataError: if it is not to be skipped, or there are too many.
    """
    if not self.skips:
      raise fault
    self.positions.append(position)
    self.first = self.first or f'record {position} of {self._path}: {fault}'
    if len(self.positions) > self._most:
      raise too_many(len(self.positions), self._most, self.first)


def too_many(n: int, most: int, first: str) -> DataError:
  """Returns the error for more bad records than are to be skipped."""
  return DataError(
    f'{n} bad records or more are above max_bad_records={most}; mend the files, or raise it. The '
    f'first is {first}'
  )


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
