"""Runs benchmarks that measure a peer and this package on the same files.

python -m benchmarks split augment input scale --small
python -m benchmarks split --cases small:500000:8 4k:50000:8 --repeat 3
python -m benchmarks scale --json docs/scale.json --resume --picture docs/scale.png
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from benchmarks import (
  augment,
  batches,
  files,
  floor,
  input,
  intervals,
  modes,
  null,
  quality,
  remedies,
  scale,
  split,
  suspects,
)
from benchmarks.data import KINDS, DataSpec
from benchmarks.harness import Case, Result, Runner, progress, run_case, run_piece
from benchmarks.report import machine_lines, page, report

BENCHMARKS: dict[str, Any] = {
  'split': split,
  'files': files,
  'augment': augment,
  'input': input,
  'batches': batches,
  'scale': scale,
  'modes': modes,
  'floor': floor,
  'quality': quality,
  'remedies': remedies,
  'intervals': intervals,
  'null': null,
  'suspects': suspects,
}
LOCAL_BEAM = '--direct_running_mode=in_memory'  # Beam's default downloads another runner
_COMPARED = (
  'batches',
  'quality',
  'remedies',
  'intervals',
  'null',
  'suspects',
)  # with a table of their own
_OF_SPECS = ('split', 'scale', 'floor')


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
  """Returns the options; exits with a message and code 2 if the arguments are invalid."""
  parser = argparse.ArgumentParser(
    prog='python -m benchmarks',
    description='Runs benchmarks that measure a peer and this package in one run.',
    allow_abbrev=False,
  )
  add, cache = parser.add_argument, Path(tempfile.gettempdir(), 'tfx-balance-benchmarks')
  add('benchmarks', nargs='+', metavar='BENCHMARK', help=f'one of {", ".join(BENCHMARKS)}')
  sizes = parser.add_mutually_exclusive_group()
  small, tiny = 'few records, a minute or two each', 'very few records, as a smoke test'
  for name, text in (('small', small), ('tiny', tiny)):
    sizes.add_argument(f'--{name}', dest='size', action='store_const', const=name, help=text)
  sizes.add_argument(
    '--cases',
    nargs='+',
    default=(),
    metavar='CASE',
    help=f'for {_OF_SPECS}: KIND:RECORDS:SHARDS[:CLASSES[:isal|zlib]]; kinds: {[*KINDS]}',
  )
  add('--only', metavar='TEXT', help='run only cases whose names contain TEXT')
  add('--sides', metavar='A;B', help='run only sides with these names')
  add('--repeat', type=int, default=1, metavar='N', help='show medians of N runs (default: 1)')
  add('--json', type=Path, metavar='FILE', help='write all measurements to FILE')
  add('--resume', action='store_true', help='run only cases that are not in the file of --json')
  add('--picture', type=Path, metavar='FILE', help='for scale: plot the series, as .png or .svg')
  add('--page', type=Path, metavar='FILE', help='write the printed output to FILE in Markdown')
  add(
    '--cache',
    type=Path,
    default=cache,
    metavar='DIR',
    help=f'folder of input files (default: {cache})',
  )
  add('--beam_args', default=LOCAL_BEAM, metavar='ARGS', help=f'default: {LOCAL_BEAM}')
  options = parser.parse_args(arguments)
  options.size = options.size or 'full'
  if wrong := [name for name in options.benchmarks if name not in BENCHMARKS]:
    parser.error(f'{wrong[0]!r} is not in {list(BENCHMARKS)}; run one of these')
  if options.repeat < 1:
    parser.error(f'--repeat is {options.repeat}; run each side at least once')
  if options.cases and not set(options.benchmarks) <= set(_OF_SPECS):
    parser.error(f'--cases is for {list(_OF_SPECS)}; name only these')
  if options.picture and options.benchmarks != ['scale']:
    parser.error('--picture is for scale; run scale alone')
  if options.resume and not options.json:
    parser.error('--resume reads the file of --json; pass --json')
  try:
    options.cases = [DataSpec.parse(text) for text in options.cases]
  except ValueError as error:
    parser.error(str(error))
  options.chosen = {name: choose_cases(name, options) for name in options.benchmarks}
  if not any(options.chosen.values()):
    parser.error('--only and --sides select no case; run without them to see the names')
  return options


def choose_cases(benchmark: str, options: argparse.Namespace) -> list[Case]:
  """Returns the selected cases of a benchmark, with the selected sides."""
  given = (options.cases,) if options.cases else ()
  sides = options.sides.split(';') if options.sides else None
  found = []
  for case in BENCHMARKS[benchmark].cases(options.size, *given):
    kept = {side: piece for side, piece in case.sides.items() if sides is None or side in sides}
    if kept and (options.only or '') in case.name:
      found.append(replace(case, sides=kept))
  return found


def read_results(path: Path) -> list[Result]:
  """Returns the results in a file of `--json`, without failed cases."""
  results = json.loads(path.read_text(encoding='utf-8'))['results']
  return [Result.from_json(result) for result in results if not result['errors']]


def main(arguments: Sequence[str] | None = None, run: Runner = run_piece) -> int:
  """Runs benchmarks with the given arguments; returns 0, or 1 if a side failed."""
  options = parse_arguments(arguments)
  asked = (options.repeat, shlex.split(options.beam_args), options.cache.resolve(), run)
  machine = machine_lines()
  there = read_results(options.json) if options.resume and options.json.exists() else []
  done = {(result.benchmark, result.case.name): result for result in there}
  results: list[Result] = []
  printed = []
  for name, cases in options.chosen.items():
    for case in cases:
      results.append(done.get((name, case.name)) or run_case(name, case, *asked))
      if options.json:  # after each case, since the whole list takes long
        content = {'machine': machine, 'results': [asdict(result) for result in results]}
        options.json.write_text(json.dumps(content, indent=1) + '\n')
    own = [result for result in results if result.benchmark == name]
    lines: list[Any] = ['', f'== {name}', *machine, f'Beam: {options.beam_args}']
    if name in _COMPARED:
      lines += ['', BENCHMARKS[name].comparison(own)]
    failed = any(result.errors for result in own)
    printed.append((name, BENCHMARKS[name].__doc__, report(own, lines), failed))
  if options.picture:
    scale.draw(results, options.picture)
  if options.page:
    size = '' if options.size == 'full' else f' --{options.size}'
    options.page.write_text(page(machine, f'python -m benchmarks {{}}{size}', printed))
    progress(f'{options.page} is written')
  return 1 if any(result.errors for result in results) else 0


if __name__ == '__main__':
  sys.exit(main())
