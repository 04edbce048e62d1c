"""Exceptions of this package: one root, and one class for each kind of fault."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator


class TfxBalanceError(Exception):
  """Root of every error that this package raises on purpose."""


class ConfigError(TfxBalanceError, ValueError):
  """An argument breaks a rule; nothing has been read or written."""


class DataError(TfxBalanceError, ValueError):
  """The data breaks a rule; nothing has been published."""


class StorageError(TfxBalanceError, OSError):
  """A file cannot be read or written, such as on a full disk; nothing has been published."""


def plain_cause(error: BaseException) -> TfxBalanceError | None:
  """Returns the error of this package inside a runner's error, or None when there is none.

  Beam runners hand an exception of a worker over as a RuntimeError whose text is the worker's
  traceback; its last line is what a person needs.
  """
  for link in chain_of(error):
    if isinstance(link, TfxBalanceError):
      return type(link)(_without_step(str(link)))
  found = re.findall(r'tfx_balance\.errors\.(ConfigError|DataError|StorageError): (.*)', str(error))
  if not found:
    return None
  kind, text = found[-1]
  kinds = {'ConfigError': ConfigError, 'DataError': DataError, 'StorageError': StorageError}
  return kinds[kind](_without_step(text))


def chain_of(error: BaseException) -> Iterator[BaseException]:
  """Yields an error and what led to it, the latest first; each once, even in a cycle."""
  seen = set[int]()
  link: BaseException | None = error
  while link is not None and id(link) not in seen:
    yield link
    seen.add(id(link))
    link = link.__cause__ or link.__context__


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
  """Raises an error of this package, or Ctrl-C, without what a runner wrapped around it."""
  try:
    yield
  except Exception as error:
    if re.search(r'^KeyboardInterrupt\b', str(error), re.MULTILINE):
      raise KeyboardInterrupt from error
    plain = plain_cause(error)
    if plain is None:
      raise
    raise plain from error


def _without_step(text: str) -> str:
  """Drops the name of the Beam step that Beam appends to a message."""
  return re.sub(r" \[while running '.*$", '', text.replace('\\n', '\n'))
