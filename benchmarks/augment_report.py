"""Prints what the augmentation benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.augment_results import PEERS, CaseResult
from benchmarks.machine import Machine
from benchmarks.tables import make_console, make_table, megabytes, number


def print_report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
  """Prints the machine, and a row for each side of each case."""
  console = make_console()
  for line in [*machine.lines(), f'Beam: {" ".join(beam_args)}']:
    console.print(line, soft_wrap=True)
  runs = max((len(runs) for result in results for runs in result.runs.values()), default=0)
  console.print(
    f'\ncomponent: LocalDagRunner.run() of an importer and BalancedAugmenter; transform: its Beam '
    f'pipeline alone.\npeer: of duplicates, a per-record Beam pipeline by the algorithm of '
    f"tfx-addons' Sampler, lean: with bytes in place of parsed\nexamples between its steps; of "
    f'images, a tf.data map.\n'
    f'Runs: {runs}{" (medians, largest peaks)" if runs > 1 else ""}; records came out, counted by '
    f'class after the clock; core-s: of all threads;\n'
    f"MB: peak memory, imported libraries included; ratio: records/s over the peer's"
  )
  console.print(sides_table(results))
  others = max((result.other_cores for result in results), default=0.0)
  console.print(f'Other processes kept up to {others:.2f} cores busy during a run')
  for line in aim_lines(results):
    console.print(line, soft_wrap=True)


def sides_table(results: Sequence[CaseResult]) -> Table:
  """Returns the table, a row a side."""
  names = ('input', 'side', 'records', 'seconds', 'core-s', 'records/s', 'MB', 'ratio')
  table = make_table(*names, words=2)
  for r in results:
    for side in r.runs:
      table.add_row(
        r.case.name,
        side,
        number(r.records(side), ',d'),
        number(r.seconds(side), '.2f'),
        number(r.cpu_seconds(side), '.2f'),
        number(r.records_per_second(side), ',.0f'),
        megabytes(r.peak_bytes(side)),
        number(r.ratio(side), '.2f'),
      )
  return table


def aim_lines(results: Sequence[CaseResult]) -> list[str]:
  """Returns a line for each case and peer: the component's ratio, and what is aimed at."""
  return [
    f'{r.case.name}: {number(r.ratio("component", to), ".1f")} times the records/s of the {to}; '
    f'aimed at in a full run: {r.case.at_least:g}'
    for r in results
    for to in PEERS
    if to in r.runs
  ]
