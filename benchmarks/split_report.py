"""Prints what the split benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.codec import LEVEL
from benchmarks.machine import Machine
from benchmarks.split_results import CaseResult, memory_growth
from benchmarks.tables import make_console, make_table, megabytes, number


def print_report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
  """Prints the machine, a row a case for the splits and for the floor, and the memory's growth."""
  console = make_console()
  for line in [*machine.lines(), f'Beam: {" ".join(beam_args)}']:
    console.print(line, soft_wrap=True)
  runs = max(len(runs) for result in results for runs in result.runs.values())
  console.print(
    f'\nSplit 8:1:1 by a pipeline of one component: seconds of LocalDagRunner.run(), '
    f'runs: {runs}{" (medians, largest peaks)" if runs > 1 else ""};\n'
    f'MB: peak memory of the process, imported libraries included; ratio: stock s / ours s'
  )
  console.print(split_table(results))
  others = max(result.other_cores for result in results)
  starts = [run.start_bytes for r in results for runs in r.runs.values() for run in runs]
  console.print(
    f'Before the clock starts, a process has {megabytes(min(starts, default=None))} MB; '
    f'other processes kept up to {others:.2f} cores busy during a run\n'
  )
  console.print(
    f'Core-seconds to decompress (D) and to compress (C) the same bytes and nothing else, '
    f'level {LEVEL}, one thread;\nstock and ours are of the whole run, an empty component included'
  )
  console.print(floor_table(results))
  for line in growth_lines(results):
    console.print(line, soft_wrap=True)


def split_table(results: Sequence[CaseResult]) -> Table:
  """Returns the table of the two splits and the empty component, a row a case."""
  table = make_table('kind', 'records', 'shards', 'stock s', 'ours s', 'empty s')
  for name in ('stock rec/s', 'ours rec/s', 'stock MB', 'ours MB', 'ratio'):
    table.add_column(name, justify='right')
  for r in results:
    table.add_row(
      r.case.kind,
      f'{r.case.records:,}',
      str(r.case.shards),
      *[number(r.seconds(side), '.2f') for side in ('stock', 'ours', 'empty')],
      *[number(r.records_per_second(side), ',.0f') for side in ('stock', 'ours')],
      *[megabytes(r.peak_bytes(side)) for side in ('stock', 'ours')],
      number(r.ratio, '.2f'),
    )
  return table


def floor_table(results: Sequence[CaseResult]) -> Table:
  """Returns the table of the physical floor, a row a case."""
  table = make_table('kind', 'records', 'shards', 'raw MB', 'gzip MB')
  for name in (
    'zlib D',
    'zlib D+C',
    'isal D',
    'isal D+C',
    'isal 2D+C',
    'stock',
    'ours',
    'ours/2D+C',
  ):
    table.add_column(name, justify='right')
  for r in results:
    zlib, isal, ours = r.floor['zlib'], r.floor['isal'], r.cpu_seconds('ours')
    table.add_row(
      r.case.kind,
      f'{r.case.records:,}',
      str(r.case.shards),
      f'{r.source["raw_bytes"] / 1e6:,.1f}',
      f'{r.source["file_bytes"] / 1e6:,.1f}',
      f'{zlib.decompress:.2f}',
      f'{zlib.decompress + zlib.compress:.2f}',
      f'{isal.decompress:.2f}',
      f'{isal.decompress + isal.compress:.2f}',
      f'{r.floor_seconds:.2f}',
      number(r.cpu_seconds('stock'), '.2f'),
      number(ours, '.2f'),
      number(None if ours is None else ours / r.floor_seconds, '.2f'),
    )
  return table


def growth_lines(results: Sequence[CaseResult]) -> list[str]:
  """Returns a line for each side and each two cases that show its memory grow."""
  return [
    f'Memory of {g.side}, {g.few.kind}, {g.few.shards} shards, from {g.few.records:,} to '
    f'{g.many.records:,} records: {megabytes(g.few_bytes)} to {megabytes(g.many_bytes)} MB, '
    f'{g.bytes_per_record:.1f} bytes a record'
    for g in memory_growth(results)
  ]
