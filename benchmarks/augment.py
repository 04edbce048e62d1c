"""Times BalancedAugmenter beside a peer: plain copies, and augmented images.

python benchmarks/augment.py --small
python benchmarks/augment.py --repeat 3 --json results.json

Plain copies bring 5 classes of 60, 25, 10, 4 and 1 percent up to the largest; the peer is a
per-record Beam pipeline by the documented algorithm of tfx-addons' Sampler. Augmented images are 10
copies of each record, mirrored, cropped, brightened and contrasted; the peer is a tf.data pipeline
that maps the same steps over single records. Each side is a process of its own on the same files;
its time begins after the imports. Every number that is printed is measured in this run. What is
aimed at: 20 times the peer's records a second in copies, and twice in images.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import augment_report
from benchmarks.augment_results import Case, CaseResult
from benchmarks.cases import progress, run_cases
from benchmarks.data import DataSpec
from benchmarks.measure import Measured, PieceError, run_piece
from benchmarks.split import remove_old_runs

_LOCAL_BEAM = '--direct_running_mode=in_memory'  # Beam's default downloads a runner
_COPIES = 10  # of each image
_SHARDS = 8


@dataclass(frozen=True)
class Settings:
  """What a person asked for.

  Attributes:
    cases: to run, in order.
    repeat: times to run each side of each case.
    beam_args: handed to Beam by all sides.
    cache: folder of the input files, which stay, and of the output, which does not.
    json: file for the results.
  """

  cases: tuple[Case, ...]
  repeat: int
  beam_args: tuple[str, ...]
  cache: Path
  json: Path | None


def duplicates(records: int, cache: Path) -> Case:
  """Returns the case of plain copies of so many records, which become three times as many."""
  spec = asdict(DataSpec('small', records, _SHARDS))
  return Case(
    name=f'{records:,} small records',
    source='benchmarks.data:make_data',
    source_arguments={'spec': spec, 'cache': str(cache)},
    pieces={
      'peer': 'benchmarks.augment_sampler:sample',
      'lean peer': 'benchmarks.augment_sampler:sample_lean',
      'component': 'benchmarks.augment_ours:duplicate_component',
      'transform': 'benchmarks.augment_ours:duplicate_transform',
    },
    arguments={'spec': spec},
    at_least=20,
  )


def images(written: int, side: int, channels: int, cache: Path) -> Case:
  """Returns the case that writes so many augmented images."""
  records = written // _COPIES
  return Case(
    name=f'{records:,} PNGs of {side}x{side}x{channels}',
    source='benchmarks.augment_images:make_images',
    source_arguments={
      'records': records,
      'side': side,
      'channels': channels,
      'cache': str(cache),
    },
    pieces={
      'peer': 'benchmarks.augment_tfdata:augment',
      'component': 'benchmarks.augment_ours:image_component',
      'transform': 'benchmarks.augment_ours:image_transform',
    },
    arguments={'copies': _COPIES},
    at_least=2,
  )


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
  """Returns the settings; leaves with a message and code 2 if the arguments make no sense."""
  parser = argparse.ArgumentParser(
    description='Times BalancedAugmenter beside a peer: plain copies, and augmented images.',
    allow_abbrev=False,
  )
  add, cache = parser.add_argument, Path(tempfile.gettempdir(), 'tfx-balance-benchmarks')
  add('--small', action='store_true', help='few records, two minutes')
  add('--only', choices=('duplicates', 'images'), help='half of it')
  add('--repeat', type=int, default=1, metavar='N', help='medians of N runs are shown (default: 1)')
  add('--json', type=Path, metavar='FILE', help='write all the measurements there')
  add('--cache', type=Path, default=cache, metavar='DIR', help=f'input files (default: {cache})')
  add('--beam_args', default=_LOCAL_BEAM, metavar='ARGS', help=f'default: {_LOCAL_BEAM}')
  known = parser.parse_args(arguments)
  if known.repeat < 1:
    parser.error(f'--repeat is {known.repeat}; run each side at least once')
  return Settings(
    cases=choose_cases(known.small, known.only, known.cache.resolve()),
    repeat=known.repeat,
    beam_args=tuple(shlex.split(known.beam_args)),
    cache=known.cache.resolve(),
    json=known.json,
  )


def choose_cases(small: bool, only: str | None, cache: Path) -> tuple[Case, ...]:
  """Returns the cases to run."""
  records, written = (20_000, 2_000) if small else (1_500_000, 50_000)
  cases = {
    'duplicates': (duplicates(records, cache),),
    'images': (images(written, 28, 1, cache), images(written, 64, 3, cache)),
  }
  return tuple(case for name, of_name in cases.items() if only in (None, name) for case in of_name)


def run_case(case: Case, settings: Settings) -> CaseResult:
  """Makes the files of a case, and measures each side on them."""
  progress(f'{case.name}: input files')
  source = run_piece(case.source, **case.source_arguments).result
  runs: dict[str, list[Measured]] = {side: [] for side in case.pieces}
  errors = []
  for _ in range(settings.repeat):
    for side in case.pieces:
      try:
        runs[side].append(_run_side(case, side, source, settings))
      except PieceError as error:
        progress(f'{case.name}: {side} FAILED\n{error}')
        errors.append(str(error))
  return CaseResult(case, runs, errors)


def _run_side(case: Case, side: str, source: dict, settings: Settings) -> Measured:
  """Runs a side once, in a folder that is new before and gone after."""
  progress(f'{case.name}: {side}')
  remove_old_runs(settings.cache)
  root = settings.cache / f'run-{os.getpid()}'
  try:
    found = run_piece(
      case.pieces[side],
      data=source,
      root=str(root),
      beam_args=settings.beam_args,
      **case.arguments,
    )
  finally:
    shutil.rmtree(root, ignore_errors=True)
  progress(f'{case.name}: {side} took {found.seconds:.2f} s')
  return found


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0, or 1 if a side failed."""
  settings = parse_arguments(arguments)
  return run_cases(settings, run_case, augment_report.print_report)


if __name__ == '__main__':
  sys.exit(main())
