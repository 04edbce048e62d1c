"""Console output of a run: one line per step, with its duration and its log messages."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

PIPED_WIDTH = 1_000  # prevents truncation and wrapping in files


def make_console() -> Console:
  """Returns a console for standard output: colored on a terminal, else unwrapped plain text."""
  return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


class StepPrinter(logging.Handler):
  """Prints steps as they run, and the messages of the sample's own loggers.

  On a terminal the running step has a spinner and a timer; in a file it is one line, whose
  beginning is written when the step starts.
  """

  def __init__(self, console: Console):
    """Makes a printer for a console."""
    super().__init__(logging.INFO)
    self._console = console
    self._line_open = False

  def emit(self, record: logging.LogRecord) -> None:
    """Prints a log record below the running step."""
    self._end_line()
    self._console.print(f'      {record.getMessage()}', markup=False, soft_wrap=True)

  @contextmanager
  def step(self, title: str) -> Iterator[None]:
    """Prints the title and, when the block ends, its duration or its failure."""
    start = time.monotonic()
    with self._running(title):
      try:
        yield
      except BaseException:
        self._finish(title, f'[bold red]failed[/] after {time.monotonic() - start:.1f} s')
        raise
    self._finish(title, f'[green]{time.monotonic() - start:.1f} s[/]')

  @contextmanager
  def _running(self, title: str) -> Iterator[None]:
    if self._console.is_terminal:
      columns = (TextColumn('{task.description}'), SpinnerColumn(), TimeElapsedColumn())
      with Progress(*columns, console=self._console, transient=True) as progress:
        progress.add_task(_markup(title), total=None)
        yield
    else:
      self._console.print(_markup(title), end=' ', soft_wrap=True)
      self._console.file.flush()
      self._line_open = True
      yield

  def _finish(self, title: str, result: str) -> None:
    start = '' if self._line_open else f'{_markup(title)} '
    self._line_open = False
    self._console.print(f'{start}{result}', soft_wrap=True)

  def _end_line(self) -> None:
    if self._line_open:
      self._console.print()
      self._line_open = False


def _markup(title: str) -> str:
  return f'{title} …'.replace('[', r'\[')
