"""Prints and draws what the scale benchmark measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from benchmarks.cost_model import CostModel, Workload, error
from benchmarks.machine import Machine
from benchmarks.scale_results import CaseResult, Series, series
from benchmarks.tables import make_console, make_table, megabytes, number

_COLOURS = {'records': '#1b6ca8', 'classes': '#c8553d', 'shards': '#588157'}


def print_report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
  """Prints the machine, a row a case, how a record's cost grows, and the cost model."""
  console = make_console()
  for line in [*machine.lines(), f'Beam: {" ".join(beam_args)}']:
    console.print(line, soft_wrap=True)
  console.print(
    '\nStratifiedSplitter, 8:1:1, as a pipeline of one component; us: core-microseconds a record, '
    'which are core-seconds a million;\nMB: peak memory of the process, files read, files written, '
    'and elements between stages of the Beam pipeline'
  )
  console.print(case_table(results))
  for one in series(results):
    console.print(growth_line(one), soft_wrap=True)
  for line in model_lines(results):
    console.print(line, soft_wrap=True)


def case_table(results: Sequence[CaseResult]) -> Table:
  """Returns the table of the cases."""
  table = make_table('kind', 'records', 'classes', 'shards', 's', 'core-s', 'us')
  for name in ('peak MB', 'data MB', 'read MB', 'written MB', 'shuffled MB'):
    table.add_column(name, justify='right')
  for r in results:
    run, shuffled = r.run, r.shuffled
    table.add_row(
      r.case.kind,
      f'{r.case.records:,}',
      f'{r.case.classes:,}',
      str(r.case.shards),
      number(run.seconds if run else None, '.1f'),
      number(run.cpu_seconds if run else None, '.1f'),
      number(r.microseconds, '.2f'),
      megabytes(run.peak_bytes if run else None),
      megabytes(r.raw_bytes),
      megabytes(r.read),
      megabytes(r.written),
      number(None if shuffled is None else shuffled / 1e6, ',.2f'),
    )
  return table


def growth_line(one: Series) -> str:
  """Returns how a record's cost and the memory change along a series."""
  first, last = (getattr(one.results[i].case, one.what) for i in (0, -1))
  return (
    f'From {first:,} to {last:,} {one.what}, a record costs {one.growth:+.0%}, and the peak of '
    f'memory changes by {one.memory_growth / 1e6:+,.0f} MB'
  )


def model_lines(results: Sequence[CaseResult]) -> list[str]:
  """Returns the cost model that the results make, and what it says of the largest, left out."""
  whole = [r for r in results if r.run is not None]
  if len({(r.case.kind, r.case.classes, r.case.shards) for r in whole}) < 5 or len(whole) < 6:
    return []
  model, (largest, seconds) = fit_without_largest(whole)
  return [
    f'Cost model, without the largest case: {model.run:.2f} core-s a run, {model.file * 1e3:.1f} '
    f'core-ms a file, {model.record * 1e6:.2f} core-us a record, {model.byte * 1e9:.2f} core-s a '
    f'GB, {model.file_class * 1e6:.2f} core-us a file and class',
    f'The largest case, {largest.records:,} records: {model.core_seconds(largest):.1f} core-s '
    f'predicted, {seconds:.1f} measured ({error(model, largest, seconds):+.0%})',
  ]


def fit_without_largest(
  results: Sequence[CaseResult],
) -> tuple[CostModel, tuple[Workload, float]]:
  """Returns the model of all the runs but the one with most bytes, and that one."""
  runs = sorted(map(as_measured, results), key=lambda one: one[0].raw_bytes)
  return CostModel.fit(runs[:-1]), runs[-1]


def as_measured(result: CaseResult) -> tuple[Workload, float]:
  """Returns what was to be done, and the core-seconds that it took."""
  case, run = result.case, result.run
  assert run is not None
  workload = Workload(case.records, result.raw_bytes, result.file_bytes, case.shards, case.classes)
  return workload, run.cpu_seconds


def draw(results: Sequence[CaseResult], path: Path) -> None:
  """Draws what a record costs, and the peak of memory, along each series."""
  import matplotlib

  matplotlib.use('Agg')
  from matplotlib import pyplot

  figure, rows = pyplot.subplots(2, 3, figsize=(11, 5.4), sharey='row', layout='constrained')
  for column, one in zip(rows.T, series(results), strict=False):
    x = [getattr(r.case, one.what) for r in one.results]
    cost = [r.microseconds for r in one.results]
    memory = [r.run.peak_bytes / 1e9 for r in one.results if r.run]
    for axes, values in zip(column, (cost, memory), strict=True):
      axes.plot(x, values, marker='o', color=_COLOURS[one.what])
      axes.set_xscale('log')
      axes.set_xticks(x, [f'{n:,}' for n in x])
      axes.minorticks_off()
      axes.grid(alpha=0.25)
    column[1].set_xlabel(f'{one.what} ({others(one)})')
  rows[0, 0].set_ylabel('core-µs a record')
  rows[1, 0].set_ylabel('peak memory, GB')
  rows[0, 0].set_ylim(bottom=0)
  rows[1, 0].set_ylim(bottom=0)
  figure.suptitle('StratifiedSplitter: what a record costs, and how much memory a run takes')
  figure.savefig(path, dpi=110)
  pyplot.close(figure)


def others(one: Series) -> str:
  """Returns what is the same in all cases of a series, in words."""
  case = one.results[0].case
  numbers = {'records': case.records, 'classes': case.classes, 'shards': case.shards}
  return ', '.join(f'{n:,} {name}' for name, n in numbers.items() if name != one.what)
