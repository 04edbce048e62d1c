"""Records of a file that cannot be used: refused, or skipped and counted."""

from __future__ import annotations

from tfx_balance.errors import DataError


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
