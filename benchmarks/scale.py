"""Times StratifiedSplitter from half a million to 50 million records: does a record cost the same?

python benchmarks/scale.py --small
python benchmarks/scale.py --json docs/scale.json --resume --picture docs/scale.png

Each case is a pipeline of the one component in a process of its own, on gzip files. Records,
classes and files vary one at a time. What is aimed at: a record costs less than a fifth more in 50
million than in half a million, and memory does not grow.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import scale_report
from benchmarks.cases import progress, run_cases
from benchmarks.data import DataSpec
from benchmarks.machine import Machine
from benchmarks.measure import PieceError, run_piece
from benchmarks.scale_results import CaseResult, read_results
from benchmarks.split import remove_old_runs

_LOCAL_BEAM = '--direct_running_mode=in_memory'  # Beam's default downloads a runner
_MIDDLE = DataSpec('small', 5_000_000, 64, classes=100)
FULL = (
  replace(_MIDDLE, records=500_000),
  _MIDDLE,
  *(replace(_MIDDLE, classes=n) for n in (10, 1_000, 10_000)),
  *(replace(_MIDDLE, shards=n) for n in (8, 512)),
  DataSpec('4k', 50_000, 8, classes=100),
  DataSpec('4k', 500_000, 64, classes=100),
  replace(_MIDDLE, records=50_000_000),
)
SMALL = (
  DataSpec('small', 50_000, 8, classes=10),
  DataSpec('small', 500_000, 8, classes=10),
  DataSpec('small', 500_000, 64, classes=10),
  DataSpec('small', 500_000, 8, classes=1_000),
)


@dataclass(frozen=True)
class Settings:
  """What a person asked for.

  Attributes:
    cases: to run, in order.
    beam_args: handed to Beam.
    cache: folder of the input files, which stay, and of the output, which does not.
    json: file for the results.
    known: results that are there already.
    picture: file for a picture of them.
  """

  cases: tuple[DataSpec, ...]
  beam_args: tuple[str, ...]
  cache: Path
  json: Path | None
  known: tuple[CaseResult, ...]
  picture: Path | None


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
  """Returns the settings; leaves with a message and code 2 if the arguments make no sense."""
  parser = argparse.ArgumentParser(
    description='Times StratifiedSplitter from half a million to 50 million records.',
    allow_abbrev=False,
  )
  add, cache = parser.add_argument, Path(tempfile.gettempdir(), 'tfx-balance-benchmarks')
  add('--small', action='store_true', help='up to half a million records, a minute or two')
  add('--most', type=int, metavar='N', help='leave out cases of more records')
  add('--json', type=Path, metavar='FILE', help='write all the measurements there')
  add('--resume', action='store_true', help='run only what is not in the file of --json yet')
  add('--picture', type=Path, metavar='FILE', help='draw them there, .png or .svg')
  add('--cache', type=Path, default=cache, metavar='DIR', help=f'input files (default: {cache})')
  add('--beam_args', default=_LOCAL_BEAM, metavar='ARGS', help=f'default: {_LOCAL_BEAM}')
  known = parser.parse_args(arguments)
  cases = tuple(
    case
    for case in (SMALL if known.small else FULL)
    if known.most is None or case.records <= known.most
  )
  if not cases:
    parser.error(f'--most is {known.most}; no case has as few records')
  if known.resume and not known.json:
    parser.error('--resume goes on from the file of --json; name one')
  return Settings(
    cases=cases,
    known=read_results(known.json) if known.resume and known.json.exists() else (),
    beam_args=tuple(shlex.split(known.beam_args)),
    cache=known.cache.resolve(),
    json=known.json,
    picture=known.picture,
  )


def run_case(case: DataSpec, settings: Settings) -> CaseResult:
  """Makes the files of a case, and measures a split of them, where that is not known yet."""
  for result in settings.known:
    if result.case == case:
      return result
  progress(f'{case}, {case.classes} classes: input files')
  source = run_piece(
    'benchmarks.data:make_data', spec=asdict(case), cache=str(settings.cache)
  ).result
  progress(f'{case}, {case.classes} classes: split')
  remove_old_runs(settings.cache)
  root = settings.cache / f'run-{os.getpid()}'
  found, errors = None, list[str]()
  try:
    found = run_piece(
      'benchmarks.scale_side:split', data=source, root=str(root), beam_args=settings.beam_args
    )
  except PieceError as error:
    progress(f'{case}: FAILED\n{error}')
    errors.append(str(error))
  finally:
    shutil.rmtree(root, ignore_errors=True)
  return CaseResult(case, source['raw_bytes'], source['file_bytes'], found, tuple(errors))


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0, or 1 if a case failed."""
  settings = parse_arguments(arguments)

  def report(machine: Machine, beam_args: Sequence[str], results: Sequence[CaseResult]) -> None:
    scale_report.print_report(machine, beam_args, results)
    if settings.picture:
      scale_report.draw(results, settings.picture)

  return run_cases(settings, run_case, report)


if __name__ == '__main__':
  sys.exit(main())
