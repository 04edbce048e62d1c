"""Times ways to feed a model from imbalanced data: BalancedInputs beside the usual recipes.

python benchmarks/input.py --small
python benchmarks/input.py --repeat 3 --json results.json

Each side is a process of its own on the same records, small ones of 5 and of 1,000 classes and PNG
images. Its batches are read for a few seconds, and what they hold is counted. Peers that read by
class get one file a class, the others get mixed files; ours gets what BalancedInputGen wrote. Every
number that is printed is measured in this run. What is aimed at: at least the examples/s of the
plain pipeline, which balances nothing, 500 times those of rejection_resample, and a first batch
within 2 s.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks import input_report
from benchmarks.cases import progress, run_cases
from benchmarks.data import DataSpec
from benchmarks.input_results import Case, CaseResult
from benchmarks.measure import Measured, PieceError, run_piece

_LOCAL_BEAM = '--direct_running_mode=in_memory'  # Beam's default downloads a runner
_SHARDS = 8
_IMAGE_SIDE, _CHANNELS = 64, 3
SIDES = (
  'plain',
  'tf_dataset_factory',
  'sample_from_datasets',
  'group_by_window',
  'filter',
  'rejection_resample',
  'exact',
  'weighted',
  'natural',
  'exact, streamed',
  'weighted, streamed',
  'natural, streamed',
)
AUGMENT_SIDES = ('plain', 'exact', 'exact, augmented by record', 'exact, augmented')
"""Of the case that augments every image of a batch on its way: by `tf.map_fn`, and batched."""
SMALL_SIDES = ('plain', 'rejection_resample', 'exact', 'exact, streamed')
ALL_SIDES = (*SIDES, *AUGMENT_SIDES[2:])


@dataclass(frozen=True)
class Settings:
  """What a person asked for.

  Attributes:
    cases: to run, in order.
    repeat: times to run each side of each case.
    beam_args: handed to Beam where BalancedInputGen lays the files out.
    cache: folder of the files, which stay.
    json: file for the results.
  """

  cases: tuple[Case, ...]
  repeat: int
  beam_args: tuple[str, ...]
  cache: Path
  json: Path | None


def choose_cases(small: bool, sides: Sequence[str] | None, only: str | None) -> tuple[Case, ...]:
  """Returns the cases to run."""
  records, pictures, seconds = (50_000, 500, 1.0) if small else (500_000, 20_000, 5.0)
  chosen = tuple(sides or (SMALL_SIDES if small else SIDES))
  few = DataSpec('small', records, _SHARDS)
  many = DataSpec('small', records, _SHARDS, classes=1_000)
  name = f'{records:,} small records'
  cases = {
    '5': Case(f'{name} of 5 classes', few, False, 256, seconds, chosen),
    '1000': Case(f'{name} of 1,000 classes', many, False, 256, seconds, chosen),
    '1000x32': Case(f'{name} of 1,000 classes', many, False, 32, seconds, chosen),
    'images': Case(
      f'{pictures:,} PNGs of {_IMAGE_SIDE}x{_IMAGE_SIDE}x{_CHANNELS}, 5 classes',
      DataSpec('small', pictures, 1),
      True,
      64,
      seconds,
      chosen,
    ),
  }
  cases['augment'] = replace(
    cases['images'], name=f'{cases["images"].name}, augmented', sides=tuple(sides or AUGMENT_SIDES)
  )
  return tuple(case for key, case in cases.items() if only in (None, key))


def parse_arguments(arguments: Sequence[str] | None) -> Settings:
  """Returns the settings; leaves with a message and code 2 if the arguments make no sense."""
  parser = argparse.ArgumentParser(
    description='Times ways to feed a model from imbalanced data.', allow_abbrev=False
  )
  add, cache = parser.add_argument, Path(tempfile.gettempdir(), 'tfx-balance-benchmarks')
  add('--small', action='store_true', help='few records, few sides, two minutes')
  add('--only', choices=('5', '1000', '1000x32', 'images', 'augment'), help='one of the cases')
  add('--sides', metavar='A;B', help=f'of {";".join(ALL_SIDES)}')
  add('--repeat', type=int, default=1, metavar='N', help='medians of N runs are shown (default: 1)')
  add('--json', type=Path, metavar='FILE', help='write all the measurements there')
  add('--cache', type=Path, default=cache, metavar='DIR', help=f'input files (default: {cache})')
  add('--beam_args', default=_LOCAL_BEAM, metavar='ARGS', help=f'default: {_LOCAL_BEAM}')
  known = parser.parse_args(arguments)
  if known.repeat < 1:
    parser.error(f'--repeat is {known.repeat}; run each side at least once')
  sides = known.sides.split(';') if known.sides else None
  if wrong := [side for side in sides or () if side not in ALL_SIDES]:
    parser.error(f'--sides has {wrong[0]!r}, which is not in {list(ALL_SIDES)}')
  return Settings(
    cases=choose_cases(known.small, sides, known.only),
    repeat=known.repeat,
    beam_args=tuple(shlex.split(known.beam_args)),
    cache=known.cache.resolve(),
    json=known.json,
  )


def run_case(case: Case, settings: Settings) -> CaseResult:
  """Makes the files of a case, and measures each side on them."""
  progress(f'{case.name}: input files')
  files = _files(case, settings)
  runs: dict[str, list[Measured]] = {side: [] for side in case.sides}
  errors = []
  for _ in range(settings.repeat):
    for side in case.sides:
      progress(f'{case.name}, batches of {case.batch_size}: {side}')
      arguments = {'side': side, 'batch_size': case.batch_size, 'seconds': case.seconds}
      try:
        runs[side].append(run_piece('benchmarks.input_reading:read', data=files, **arguments))
      except PieceError as error:
        progress(f'{case.name}: {side} FAILED\n{error}')
        errors.append(str(error))
  return CaseResult(case, runs, errors)


def _files(case: Case, settings: Settings) -> dict:
  """Returns the files of a case, laid out in each way; they are made if need be."""
  cache, spec = str(settings.cache), case.spec
  if case.images:
    size = {'side': _IMAGE_SIDE, 'channels': _CHANNELS}
    made = run_piece(
      'benchmarks.augment_images:make_images', records=spec.records, cache=cache, **size
    )
  else:
    made = run_piece('benchmarks.data:make_data', spec=asdict(spec), cache=cache)
  return run_piece(
    'benchmarks.input_data:lay_out',
    data=made.result,
    first_label=spec.first_label,
    classes=spec.classes,
    images=case.images,
    beam_args=settings.beam_args,
  ).result


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the benchmark as the arguments say; returns 0, or 1 if a side failed."""
  settings = parse_arguments(arguments)
  return run_cases(settings, run_case, input_report.print_report)


if __name__ == '__main__':
  sys.exit(main())
