"""Prints what the augmentation benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from benchmarks.augment_results import PEERS, CaseResult
from benchmarks.machine import Machine

_PIPED_WIDTH = 120  # a pipe has no width, and rich would take 80


def print_report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
  """Prints the machine, and a row for each side of each case."""
  console = Console(highlight=False)
  if not console.is_terminal:
    console = Console(highlight=False, width=_PIPED_WIDTH)
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
  table = Table(box=None, header_style='bold', pad_edge=False, padding=(0, 2, 0, 0))
  for i, name in enumerate(
    ('input', 'side', 'records', 'seconds', 'core-s', 'records/s', 'MB', 'ratio')
  ):
    table.add_column(name, justify='right' if i > 1 else 'left', no_wrap=True)
  for r in results:
    for side in r.runs:
      peak = r.peak_bytes(side)
      table.add_row(
        r.case.name,
        side,
        _number(r.records(side), ',d'),
        _number(r.seconds(side), '.2f'),
        _number(r.cpu_seconds(side), '.2f'),
        _number(r.records_per_second(side), ',.0f'),
        _number(None if peak is None else peak / 1e6, ',.0f'),
        _number(r.ratio(side), '.2f'),
      )
  return table


def aim_lines(results: Sequence[CaseResult]) -> list[str]:
  """Returns a line for each case and peer: the component's ratio, and what is aimed at."""
  return [
    f'{r.case.name}: {_number(r.ratio("component", to), ".1f")} times the records/s of the {to}; '
    f'aimed at in a full run: {r.case.at_least:g}'
    for r in results
    for to in PEERS
    if to in r.runs
  ]


def _number(value: float | None, form: str) -> str:
  return 'failed' if value is None else format(value, form)
