"""Tables of the results of all benchmarks, and the Markdown page of these."""

from __future__ import annotations

import importlib.metadata
import itertools
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.harness import FLOOR, Result

_PACKAGES = ('tfx-balance', 'tfx', 'apache-beam', 'tfx-bsl', 'numpy', 'isal')
_TENSORFLOW = ('tensorflow', 'tensorflow-cpu')
_WIDTH = 170  # rich's default for pipes is 80
_ABOUT = """\
records: output records, to which seconds, core-s and floor refer (medians of the runs); ratio:
records/s divided by the peer's; core-s and MB: peer / ours, core-seconds of all threads and peak
memory, including imported libraries; floor: core-seconds of one decompression of the input and one
compression of the output alone, by isal at the package's level, or of decoding every original image
once, the operations on all copies and encoding these; of floor: core-seconds, less the fixed ones
where these are measured, divided by the floor; aim: target ratio in a full run"""
_PAGE = """# Benchmarks, small

Output of `make bench`, which writes this page. The cases are small, so the fixed cost of a
pipeline, about one second, weighs more than in [Performance](performance.md), whose figures are of
full size (without `--small`).

"""


def machine_lines() -> list[str]:
  """Returns the hardware, its load, and the versions of the software."""
  cores = len(psutil.Process().cpu_affinity() or ())
  info = Path('/proc/cpuinfo')  # psutil does not report the model
  model = re.search(r'model name\s*:\s*(.+)', info.read_text()) if info.exists() else None
  versions = {one.name: one.version for one in importlib.metadata.distributions()}
  names = [name for name in (*_PACKAGES, *_TENSORFLOW) if name in versions]
  packages = ', '.join(f'{name} {versions[name]}' for name in names)
  system = ' '.join([platform.system(), *platform.libc_ver()]).strip()
  cpu = model[1] if model else platform.machine()
  return [
    f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M UTC}; {cpu}, '
    f'{cores} cores, {psutil.virtual_memory().total / 1e9:.0f} GB; '
    f'load before the run {psutil.getloadavg()[0]:.2f}',
    f'{system}, Python {platform.python_version()}, {packages}',
  ]


def report(results: Sequence[Result], lines: Iterable[str | Table] = ()) -> str:
  """Prints lines or tables, and the result tables of a benchmark, and returns the printed text."""
  console = Console(highlight=False, width=_WIDTH, record=True)
  all_runs = [run for result in results for runs in result.runs.values() for run in runs]
  start = min((run.start_bytes for run in all_runs), default=None)
  others = max((run.other_cores for run in all_runs), default=0.0)
  shown: list[str | Table] = [
    *lines,
    '',
    _ABOUT,
    '',
    results_table(results),
    '',
    sides_table(results),
    '',
    *[
      f'Floor of {r.case.name}: {r.sizes["raw_bytes"] / 1e6:,.1f} MB, '
      f'{r.sizes["file_bytes"] / 1e6:,.1f} compressed; core-seconds to '
      + ('decompress (D) and compress (C): ' if FLOOR in r.floor else '')
      + ', '.join(f'{name} {seconds:.3f}' for name, seconds in r.floor.items())
      for r in results
      if r.floor
    ],
    f'When timing starts, a process uses {_megabytes(start)} MB or more; '
    f'other processes used up to {others:.2f} cores during a run',
    *[line for one in series(results) for line in one.lines()],
    *[f'{r.case.name}: FAILED: {error}' for r in results for error in r.errors],
  ]
  for one in shown:
    console.print(one, soft_wrap=isinstance(one, str))
  return '\n'.join(line.rstrip() for line in console.export_text().splitlines()).strip()


def results_table(results: Sequence[Result]) -> Table:
  """Returns the table of ratios, with one row per side of this package and peer."""
  names = ('records', 'runs', 'peer s', 'our s', 'ratio', 'core-s', 'MB', 'floor', 'aim')
  table = empty_table('case', 'ours', 'peer', *names, words=3)
  for r in results:
    for own, peer in itertools.product(r.case.ours, r.case.peers or ('-',)):
      if own in r.runs and (peer in r.runs or not r.case.peers):
        table.add_row(
          *(r.case.name, own, peer, f'{r.case.records:,}', str(len(r.runs[own]))),
          *(_number(r.seconds(side), '.3g') for side in (peer, own)),
          _number(r.ratio(own, peer), ',.2f'),
          ' / '.join(_number(r.core_seconds(side), '.3g') for side in (peer, own)),
          ' / '.join(_megabytes(r.peak_bytes(side)) for side in (peer, own)),
          _number(r.floor_seconds, '.2f'),
          _number(r.case.aim, 'g'),
        )
  return table


def sides_table(results: Sequence[Result]) -> Table:
  """Returns the table of all sides, with their additional figures."""
  all_runs = [run for result in results for runs in result.runs.values() for run in runs]
  figures = list(dict.fromkeys(name for run in all_runs for name in run.figures))
  names = ('records/s', 'seconds', 'core-s', 'core-us', 'of floor', 'MB', 'ratio')
  table = empty_table('case', 'side', *names, *figures, words=2)
  for r in results:
    for side, runs in r.runs.items():
      core = r.core_seconds(side)
      each = core / r.case.records * 1e6 if core else None
      net = core - (r.core_seconds(f'{side}, fixed') or 0) if core else None
      found = [[run.figures[name] for run in runs if name in run.figures] for name in figures]
      table.add_row(
        *(r.case.name, side),
        _number(r.rate(side), ',.0f'),
        *(_number(value, '.3g') for value in (r.seconds(side), core, each)),
        _number(net / r.floor_seconds if net and r.floor_seconds else None, '.2f'),
        _megabytes(r.peak_bytes(side)),
        _number(r.ratio(side), '.3g'),
        *(_number(statistics.median(values) if values else None, ',.5g') for values in found),
      )
  return table


@dataclass(frozen=True)
class Series:
  """Results that differ only in one size, such as 'records', in increasing order."""

  what: str
  results: Sequence[Result]

  def growth(self, side: str) -> float | None:
    """Returns the relative change of the cost per record from the smallest to the largest case."""
    first, last = ((self.results[i].core_seconds(side) or 0) for i in (0, -1))
    scale = self.results[0].case.records / self.results[-1].case.records
    return last / first * scale - 1 if first and last else None

  @property
  def fixed(self) -> str:
    """Description of the sizes that are equal in all results."""
    shape = self.results[0].case.shape
    names = [name for name in ('records', 'classes', 'shards') if name != self.what]
    return ', '.join(f'{shape[name]:,} {name}' for name in names)

  def lines(self) -> list[str]:
    """Returns one line per side with the change of cost per record and of peak memory."""
    few, many = (self.results[i].case.shape[self.what] for i in (0, -1))
    found = []
    for side in self.results[0].runs:
      cost, peaks = self.growth(side), [self.results[i].peak_bytes(side) for i in (0, -1)]
      if cost is not None:
        memory = (peaks[1] or 0) - (peaks[0] or 0)
        each = f', {memory / (many - few):,.1f} bytes per record' if self.what == 'records' else ''
        found.append(
          f'{side}, from {few:,} to {many:,} {self.what} ({self.results[0].case.shape["kind"]}, '
          f'{self.fixed}): cost per record {cost:+.0%}, '
          f'peak memory {memory / 1e6:+,.0f} MB{each}'
        )
    return found


def series(results: Sequence[Result]) -> list[Series]:
  """Returns all series of two or more results whose first side of this package succeeded."""
  found = []
  for what in ('records', 'classes', 'shards'):
    groups: dict[tuple[Any, ...], list[Result]] = {}
    for result in results:
      if result.case.shape and result.rate(result.case.ours[0]):
        fixed = tuple(value for name, value in result.case.shape.items() if name != what)
        groups.setdefault(fixed, []).append(result)
    found += [
      Series(what, sorted(group, key=lambda r: r.case.shape[what]))
      for group in groups.values()
      if len(group) > 1
    ]
  return found


def page(
  machine: Sequence[str], command: str, printed: Sequence[tuple[str, str, str, bool]]
) -> str:
  """Returns the Markdown page from each benchmark's name, docstring, text and failure."""
  parts = [_PAGE, *(f'    {line}\n' for line in machine)]
  for name, about, text, failed in printed:
    failure = '**Some cases failed.**\n\n' if failed else ''
    shown = f'```text\n$ {command.format(name)}\n{text}\n```\n'
    parts.append(f'\n## {name}\n\n{about.strip()}\n\n{failure}{shown}')
  return ''.join(parts)


def empty_table(*names: str, words: int = 1) -> Table:
  """Returns an empty table whose first columns contain words and the others numbers."""
  table = Table(box=None, header_style='bold', pad_edge=False, padding=(0, 2, 0, 0))
  for i, name in enumerate(names):
    table.add_column(name, justify='left' if i < words else 'right', no_wrap=True)
  return table


def _number(value: float | None, form: str) -> str:
  return '-' if value is None else format(value, form)


def _megabytes(value: int | None) -> str:
  return _number(None if value is None else value / 1e6, ',.0f')
