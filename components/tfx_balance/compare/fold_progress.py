"""Progress of the folds: a bar of rich on a terminal and in a notebook, or else lines of text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tfx_balance.compare.trainers import N_FOLDS, Fold

if TYPE_CHECKING:
  from rich.progress import Progress


def watched(
  folds: Iterator[Fold], n: int, start: float, deadline: float, say: Callable[[str], None] | None
) -> Iterator[Fold]:
  """Yields folds, and shows how many are done, and how many there is time for.

  Args:
    folds: Folds as they are done.
    n: Number of all folds.
    start: Time at which the comparison began, seconds since the epoch.
    deadline: Time at which it stops.
    say: Prints a line; None to show nothing.
  """
  bar = _bar() if say else None
  with bar or nullcontext():
    task = bar.add_task('', total=n) if bar else None
    for done, fold in enumerate(folds, 1):
      took = time.time() - start
      fit = int(done * (deadline - start) / took)
      enough = f'about {took / done * (n - done):.0f} s left' if fit >= n else f'time for {fit}'
      if bar and task is not None:
        bar.update(task, completed=done, description=enough)
      elif say and (done == 1 or done % N_FOLDS == 0):
        say(f'  {done} of {n} folds, {took:.0f} s; {enough}')
      yield fold


def _bar() -> Progress | None:
  """Returns a progress bar; None without rich, in a file, and in a notebook without ipywidgets."""
  try:
    import rich.progress as bars
    from rich.console import Console
  except ImportError:
    return None
  console = Console()
  if not (find_spec('ipywidgets') if console.is_jupyter else console.is_interactive):
    return None
  texts = bars.TextColumn('folds'), bars.TimeElapsedColumn(), bars.TextColumn('{task.description}')
  return bars.Progress(bars.BarColumn(), bars.MofNCompleteColumn(), *texts, console=console)
