"""The identity of a record, by whose hash it is chosen: its bytes, its values or some features."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from tfx_balance.argument_readers import Argument, one_of, optional_names
from tfx_balance.modes.mode import Mode


@dataclass(frozen=True)
class RecordIdentity(Mode):
  """Records that something else than their bytes identifies.

  Attributes:
    key: Features that identify a record; none where its bytes or values do.
    by_values: Whether all its values identify it, in whatever order they were written.
  """

  key: tuple[str, ...] = ()
  by_values: bool = False

  ARGUMENTS = {
    'key': Argument(str, optional_names),
    'identity': Argument(str, one_of('bytes', 'values'), 'bytes'),
  }
  APART = {
    ('identity', 'key'): (
      'the features of key= identify a record, in whatever order they are; leave one of them out'
    ),
  }

  @classmethod
  def parse(cls, given: Mapping[str, Any]) -> RecordIdentity | None:
    found = cls(given['key'] or (), given['identity'] == 'values')
    return found if found.asked_by() else None

  def asked_by(self) -> Collection[str]:
    return [name for name, asks in (('key', self.key), ('identity', self.by_values)) if asks]

  def describe(self) -> dict[str, Any]:
    return {'key': list(self.key)} if self.key else {'identity': 'values'}

  def scan_options(self) -> dict[str, Any]:
    return {'key': self.key, 'by_values': self.by_values}
