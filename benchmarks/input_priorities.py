"""Times choosing items by priority, and telling new priorities, beside numpy's weighted choice.

python benchmarks/input_priorities.py --small
python benchmarks/input_priorities.py --items 1000000

A step draws a batch in proportion to priority and changes the priorities of what it drew.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.cases import progress
from benchmarks.machine import Machine
from benchmarks.measure import Measured, Work, run_piece
from benchmarks.tables import make_console, make_table, megabytes

BATCH_SIZE = 256
SIDES = ('numpy.random.choice', 'PrioritySelector')


def choose(side: str, items: int, seconds: float) -> Work:
  """Returns the work of steps for some seconds; gives how many there were in a second."""
  step = _ours(items) if side == 'PrioritySelector' else _numpys(items)
  step(0)
  return Work(lambda: _steps_a_second(step, seconds))


def _steps_a_second(step: Callable[[int], Any], seconds: float) -> float:
  start, n = time.perf_counter(), 0
  while (now := time.perf_counter() - start) < seconds:
    n += 1
    step(n)
  return n / now


def _ours(items: int) -> Callable[[int], Any]:
  from tfx_balance.inputs.selection import PrioritySelector

  selector = PrioritySelector(items)
  losses = np.linspace(0.1, 5, BATCH_SIZE)
  return lambda n: selector.update(selector.select(n, BATCH_SIZE).items, losses)


def _numpys(items: int) -> Callable[[int], Any]:
  priorities, rng = np.ones(items), np.random.default_rng(0)
  losses = np.linspace(0.1, 5, BATCH_SIZE) ** 0.6

  def step(n: int) -> None:
    priorities[rng.choice(items, BATCH_SIZE, p=priorities / priorities.sum())] = losses

  return step


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0."""
  parser = argparse.ArgumentParser(description='Times choosing items by priority.')
  parser.add_argument('--small', action='store_true', help='a second a side')
  parser.add_argument('--items', type=int, default=1_000_000, metavar='N', help='to choose from')
  known = parser.parse_args(arguments)
  if known.items < 1:
    parser.error(f'--items is {known.items}; choose from one or more')
  seconds = 1.0 if known.small else 5.0
  runs: dict[str, Measured] = {}
  for side in SIDES:
    progress(f'{known.items:,} items: {side}')
    piece = 'benchmarks.input_priorities:choose'
    runs[side] = run_piece(piece, side=side, items=known.items, seconds=seconds)
  _print_report(known.items, runs)
  return 0


def _print_report(items: int, runs: dict[str, Measured]) -> None:
  console = make_console()
  for line in Machine.now().lines():
    console.print(line, soft_wrap=True)
  console.print(f'\n{BATCH_SIZE} of {items:,} items drawn by priority and changed, a step')
  table = make_table('side', 'steps/s', 'items/s', 'MB', 'ratio')
  for side, run in runs.items():
    ratio = run.result / runs[SIDES[0]].result
    speed = (f'{run.result:,.0f}', f'{run.result * BATCH_SIZE:,.0f}')
    table.add_row(side, *speed, megabytes(run.peak_bytes), f'{ratio:.1f}')
  console.print(table)


if __name__ == '__main__':
  sys.exit(main())
