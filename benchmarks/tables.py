"""How every benchmark prints: a wide enough console, tables, numbers that may be missing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

_PIPED_WIDTH = 120  # a pipe has no width, and rich would take 80


def make_console() -> Console:
  """Returns where to print."""
  console = Console(highlight=False)
  return console if console.is_terminal else Console(highlight=False, width=_PIPED_WIDTH)


def make_table(*names: str, words: int = 1) -> Table:
  """Returns an empty table.

  Args:
    *names: of the columns.
    words: how many of them, from the left, hold text; the others hold numbers.
  """
  table = Table(box=None, header_style='bold', pad_edge=False, padding=(0, 2, 0, 0))
  for i, name in enumerate(names):
    table.add_column(name, justify='left' if i < words else 'right', no_wrap=True)
  return table


def number(value: float | None, form: str) -> str:
  """Returns a number in a format, or that there is none."""
  return 'failed' if value is None else format(value, form)


def megabytes(value: int | None) -> str:
  """Returns bytes as megabytes."""
  return number(None if value is None else value / 1e6, ',.0f')
