"""Times StratifiedSplitter beside the hash split of ImportExampleGen, on the same files.

python benchmarks/split.py --small
python benchmarks/split.py --cases small:500000:8 4k:50000:8 --repeat 3

Each side is a pipeline of one component in a process of its own; its time is that of
`LocalDagRunner.run()`, after the imports and with memory that was touched before. Every number that
is printed is measured in this run. What is aimed at, on 8 shards: 10 times the records a second of
the hash split on 5,000,000 small examples, 4 times on 500,000 of 4 KB, and 12 bytes of memory a
record.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import split_report
from benchmarks.cases import progress, run_cases
from benchmarks.data import KINDS, DataSpec
from benchmarks.measure import Measured, PieceError, run_piece
from benchmarks.split_results import SIDES, CaseResult, Codec

FULL = (
  DataSpec('small', 500_000, 8),
  DataSpec('small', 500_000, 1),
  DataSpec('small', 5_000_000, 8),
  DataSpec('small', 5_000_000, 1),
  DataSpec('4k', 50_000, 8),
  DataSpec('4k', 500_000, 8),
)
SMALL = (DataSpec('small', 50_000, 8), DataSpec('4k', 5_000, 8))

_PIECES = {
  'stock': 'benchmarks.one_component:stock_split',
  'ours': 'benchmarks.one_component:stratified_split',
  'empty': 'benchmarks.one_component:nothing',
}
_LOCAL_BEAM = '--direct_running_mode=in_memory'  # Beam's default downloads a runner


@dataclass(frozen=True)
class Settings:
  """What a person asked for.

  Attributes:
    cases: to run, in order.
    repeat: times to run each side of each case.
    beam_args: handed to Beam by all sides.
    cache: folder of the input files, which stay, and of the pipelines' output, which does not.
    json: file for the results.
  """

  cases: tuple[DataSpec, ...]
  repeat: int
  beam_args: tuple[str, ...]
  cache: Path
  json: Path | None


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
  """Returns the settings; leaves with a message and code 2 if the arguments make no sense."""
  parser = argparse.ArgumentParser(
    description='Times StratifiedSplitter beside the hash split of ImportExampleGen.',
    allow_abbrev=False,
  )
  add, cache = parser.add_argument, Path(tempfile.gettempdir(), 'tfx-balance-benchmarks')
  chosen = parser.add_mutually_exclusive_group()
  chosen.add_argument('--small', action='store_true', help='two small cases, a minute or two')
  chosen.add_argument(
    '--cases',
    nargs='+',
    type=parse_case,
    metavar='KIND:RECORDS:SHARDS',
    help=f'instead of {" ".join(map(str, FULL))}; kinds: {", ".join(KINDS)}',
  )
  add('--repeat', type=int, default=1, metavar='N', help='medians of N runs are shown (default: 1)')
  add('--json', type=Path, metavar='FILE', help='write all the measurements there')
  add('--cache', type=Path, default=cache, metavar='DIR', help=f'input files (default: {cache})')
  add('--compressor', choices=('isal', 'zlib'), default='isal', help='of the input files')
  add('--beam_args', default=_LOCAL_BEAM, metavar='ARGS', help=f'default: {_LOCAL_BEAM}')
  known = parser.parse_args(arguments)
  if known.repeat < 1:
    parser.error(f'--repeat is {known.repeat}; run each side at least once')
  cases = SMALL if known.small else known.cases or FULL
  return Settings(
    cases=tuple(replace(case, compressor=known.compressor) for case in cases),
    repeat=known.repeat,
    beam_args=tuple(shlex.split(known.beam_args)),
    cache=known.cache.resolve(),
    json=known.json,
  )


def parse_case(text: str) -> DataSpec:
  """Returns the case that is written KIND:RECORDS:SHARDS."""
  found = re.fullmatch(r'(\w+):([\d_,]+):(\d+)', text)
  if not found:
    raise argparse.ArgumentTypeError(f'{text!r} is not KIND:RECORDS:SHARDS, as small:500000:8 is')
  try:
    return DataSpec(found[1], int(re.sub('[_,]', '', found[2])), int(found[3]))
  except ValueError as error:
    raise argparse.ArgumentTypeError(str(error)) from error


def run_case(case: DataSpec, settings: Settings) -> CaseResult:
  """Makes the files of a case, and measures on them the floor and each side."""
  progress(f'{case}: input files')
  cache = str(settings.cache)
  source = run_piece('benchmarks.data:make_data', spec=asdict(case), cache=cache).result
  floor = {name: _measure_codec(case, name, source) for name in ('zlib', 'isal')}
  runs: dict[str, list[Measured]] = {side: [] for side in SIDES}
  errors = []
  for _ in range(settings.repeat):
    for side in SIDES:
      try:
        runs[side].append(_run_side(case, side, source, settings))
      except PieceError as error:
        progress(f'{case}: {side} FAILED\n{error}')
        errors.append(str(error))
  return CaseResult(case, source, floor, runs, errors)


def _measure_codec(case: DataSpec, library: str, source: dict) -> Codec:
  progress(f'{case}: {library} alone')
  return Codec(**run_piece('benchmarks.codec:recode', data=source, library=library).result)


def _run_side(case: DataSpec, side: str, source: dict, settings: Settings) -> Measured:
  """Runs a side once, in a folder that is new before and gone after."""
  progress(f'{case}: {side}')
  remove_old_runs(settings.cache)
  root = settings.cache / f'run-{os.getpid()}'
  try:
    found = run_piece(_PIECES[side], data=source, root=str(root), beam_args=settings.beam_args)
  finally:
    shutil.rmtree(root, ignore_errors=True)
  progress(f'{case}: {side} took {found.seconds:.2f} s')
  return found


def remove_old_runs(cache: Path) -> None:
  """Removes what runs that were killed have left."""
  for folder in cache.glob('run-*'):
    process = int(folder.name.removeprefix('run-'))
    if process == os.getpid() or not _is_running(process):
      shutil.rmtree(folder)


def _is_running(process: int) -> bool:
  try:
    os.kill(process, 0)  # signal 0 only asks
  except ProcessLookupError:
    return False
  except PermissionError:
    return True  # somebody else's
  return True


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0, or 1 if a side failed."""
  settings = parse_arguments(arguments)
  return run_cases(settings, run_case, split_report.print_report)


if __name__ == '__main__':
  sys.exit(main())
