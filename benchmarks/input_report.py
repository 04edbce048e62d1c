"""Prints what the input benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.input_results import PEER, CaseResult
from benchmarks.machine import Machine
from benchmarks.tables import make_console, make_table, megabytes, number

_SLOWEST = 'rejection_resample'


def print_report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
  """Prints the machine, and for each case a row a side."""
  console = make_console()
  for line in machine.lines():
    console.print(line, soft_wrap=True)
  runs = max((len(runs) for result in results for runs in result.runs.values()), default=0)
  console.print(
    f'\nBatches read from a graph. Runs: {runs}{" (medians, largest peaks)" if runs > 1 else ""}. '
    f'start s: to the first batch, the making of the\ndataset included; batches: read while '
    f'examples/s were counted, after a warm-up; classes, top: classes in a batch and\nthe share of '
    f'its largest, on average; rarest: share of the class that was seen least; MB: peak memory, '
    f'libraries included;\nratio: examples/s over those of {PEER}. Streamed: a quarter of the data '
    f'fits into the memory budget'
  )
  for result in results:
    case = result.case
    console.print(
      f'\n[bold]{case.name}[/bold], batches of {case.batch_size}, {case.seconds:g} s each'
    )
    console.print(sides_table(result))
    for line in ratio_lines(result):
      console.print(line, soft_wrap=True)
  others = max((result.other_cores for result in results), default=0.0)
  console.print(f'\nOther processes kept up to {others:.2f} cores busy during a run')


def sides_table(result: CaseResult) -> Table:
  """Returns the table of a case, a row a side."""
  names = ('start s', 'batches', 'examples/s', 'classes', 'top', 'rarest', 'MB', 'ratio')
  table = make_table('side', *names)
  for side in result.runs:
    read = result.readings(side)[:1]
    if not read:
      table.add_row(side, *['failed'] * len(names))
      continue
    table.add_row(
      side,
      number(result.start_seconds(side), '.2f'),
      *[format(r.batches, ',d') for r in read],
      number(result.examples_per_second(side), ',.0f'),
      *[format(r.classes_a_batch, ',.1f') for r in read],
      *[format(r.top_share, '.2%') for r in read],
      *[format(r.rarest_share, '.2%') for r in read],
      megabytes(result.peak_bytes(side)),
      number(result.ratio(side), '.3g'),
    )
  return table


def ratio_lines(result: CaseResult) -> list[str]:
  """Returns a line for ours against each of the two peers that bars are set by."""
  ours = [side for side in ('exact', 'exact, streamed') if side in result.runs]
  return [
    f'{side}: {number(result.ratio(side, to), form)} times the examples/s of {to}'
    for side in ours
    for to, form in ((PEER, '.2f'), (_SLOWEST, ',.0f'))
    if to in result.runs
  ] + [
    f'{side}: {number(result.ratio(side, to), ".2f")} times the examples/s of {to}'
    for side, to in [('exact, augmented', 'exact, augmented by record')]
    if side in result.runs and to in result.runs
  ]
