"""Runs the sample pipeline on this machine: the digits, or your own data.

python pipelines/local_runner.py
python pipelines/local_runner.py --examples FOLDER --label NAME
python pipelines/local_runner.py --images FOLDER
python pipelines/local_runner.py --folds 5
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tfx_balance.cli.console import StepPrinter, make_console
from tfx_balance.cli.own_data import IMAGE_LABEL, OwnData, inspect, inspect_images
from tfx_balance.errors import DataError

from pipelines import environment
from pipelines.options import add_options, parse_options

SCHEMA = environment.PROJECT / 'schemas' / 'digits' / 'schema.pbtxt'
WRITTEN = 'written-input'  # subfolder of the pipeline root: own data converted for ExampleGen
LOCAL_BEAM = (
  '--direct_running_mode=in_memory',
  '--runner=FnApiRunner',  # Beam's default tries to download another one for each component
  # With an image, which this runner does not use, TFX does not pack itself for remote workers.
  '--sdk_container_image=none',
)


@dataclass(frozen=True)
class RunSettings:
  """Settings of a run.

  Attributes:
    examples: Folder of the user's TFRecords or CSV files.
    images: Folder of the user's images, with one subfolder per class. If neither is set, the
      digits are used.
    label: Name of the feature to split by and to predict.
    pipeline_root: Folder for all output.
    missing_label: Treatment of records without a label.
    seed: Seed of the sample data, the split, the copies and the training.
    train_steps: Number of training batches.
    compare: Number of trainings on balanced and on natural batches each; 0 trains once, on balanced
      batches only.
    verbose: Whether to print the libraries' logs.
    beam_args: Arguments passed to Beam.
    folds: Number of folds of a cross-validation; 0 for none.
    ignore: Names of features to leave out of training.
  """

  examples: Path | None
  images: Path | None
  label: str
  pipeline_root: Path
  missing_label: str = 'error'
  seed: int = 0
  train_steps: int = 300
  compare: int = 1
  verbose: bool = False
  beam_args: tuple[str, ...] = LOCAL_BEAM
  folds: int = 0
  ignore: tuple[str, ...] = ()


def make_parser() -> argparse.ArgumentParser:
  """Returns the parser of all arguments except those of Beam."""
  parser = argparse.ArgumentParser(
    description='Splits, trains and evaluates on the handwritten digits or on your own data.',
    epilog='All other arguments are passed to Beam.',
    allow_abbrev=False,
  )
  add = parser.add_argument
  add(
    '--examples',
    type=Path,
    metavar='DIR',
    help='folder of TFRecords of tf.Example, or of CSV files',
  )
  add(
    '--images',
    type=Path,
    metavar='DIR',
    help='folder with a subfolder of PNG and JPEG files per class',
  )
  add(
    '--pipeline_root', type=_folder, metavar='DIR', help='output folder (default: runs/NAME-LABEL)'
  )
  add(
    '--compare',
    type=int,
    default=1,
    metavar='N',
    help='trainings on balanced and on natural batches each (default: 1); 0: one, balanced',
  )
  add('--verbose', action='store_true', help='print the logs of TensorFlow, Beam and TFX too')
  add_options(parser)
  return parser


def _folder(path: str) -> Path:
  """Returns a folder of this machine; raises ArgumentTypeError if it is in a bucket."""
  if '://' in path:
    raise argparse.ArgumentTypeError(
      f'{path} is not a folder of this machine, which ExampleValidator, Transform, Trainer and '
      'Evaluator need, since TensorFlow cannot open s3://; give a folder, or run on Kubeflow with '
      'pipelines/kubeflow_runner.py, whose --pipeline_root may be in a bucket'
    )
  return Path(path)


def parse_arguments(arguments: Sequence[str]) -> RunSettings:
  """Returns the settings; exits with a message and code 2 if the arguments are invalid."""
  parser = make_parser()
  known, beam_args = parse_options(parser, arguments)
  if known.images and known.examples:
    parser.error('--images and --examples are both given; give one of them')
  if known.compare < 0:
    parser.error(f'--compare is {known.compare}; give a number of trainings, 0 or more')
  if known.folds and known.compare > 1:
    parser.error(f'--compare {known.compare} and --folds are both given; give --compare 1 or 0')
  own = known.examples or known.images
  name = '-'.join(filter(None, [own.resolve().name if own else 'digits', known.label]))
  if not any(argument.startswith(('--direct_running_mode', '--runner')) for argument in beam_args):
    beam_args += LOCAL_BEAM
  return RunSettings(
    examples=known.examples,
    images=known.images,
    label=known.label or IMAGE_LABEL,
    missing_label=known.missing_label,
    pipeline_root=(known.pipeline_root or Path('runs') / name.replace('/', '_')).resolve(),
    seed=known.seed,
    train_steps=known.train_steps,
    compare=known.compare,
    verbose=known.verbose,
    beam_args=tuple(beam_args),
    folds=known.folds,
    ignore=tuple(known.ignore),
  )


def inspect_own(settings: RunSettings) -> OwnData | None:
  """Returns the description of the user's own data, or None for the digits.

  Raises:
    DataError: If the data cannot be used.
  """
  if settings.images:
    return inspect_images(settings.images)
  if settings.examples:
    return inspect(settings.examples, settings.label, settings.missing_label, settings.ignore)
  return None


def choose_input(settings: RunSettings, own_data: OwnData | None) -> dict[str, Any]:
  """Returns the data arguments of `create_pipeline`; converts data that ExampleGen cannot read.

  Raises:
    DataError: If an image cannot be decoded.
  """
  from pipelines import digits, model_nodes, pipeline

  if own_data:
    # Without augmentation: which changes preserve the class of a record depends on the data, so no
    # augment function suits unknown data. The batches are balanced nevertheless.
    return {
      'examples_folder': str(own_data.prepare(settings.pipeline_root / WRITTEN)),
      'file_kind': own_data.file_kind,
      'on_violation': 'warn',
      'model': model_nodes.IMAGES_MODEL if own_data.images else model_nodes.TABULAR_MODEL,
    }
  folders = digits.write_digits(settings.pipeline_root / 'data', settings.seed)
  return {
    'examples_folder': str(folders.long_tail),
    'held_out_folder': str(folders.held_out),
    'schema_path': str(SCHEMA),
    'model': model_nodes.DIGITS_MODEL,
    'augment_fn': pipeline.DIGITS_AUGMENT,
  }


def run(settings: RunSettings, own_data: OwnData | None) -> int:
  """Runs the pipeline and prints its summary; returns the exit code."""
  screen = make_console()
  for note in own_data.notes if own_data else ():
    screen.print(note, markup=False, soft_wrap=True)
  printer = StepPrinter(screen)
  with printer.step('Loading TensorFlow and TFX'):
    # Imported here because it takes ten seconds: invalid arguments are reported before.
    from tfx.orchestration.metadata import sqlite_metadata_connection_config
    from tfx_balance.cli import failure, run_log, summary, summary_tables
    from tfx_balance.cli import published as artifacts
    from tfx_balance.cli import run_report as report
    from tfx_balance.cli.observed_runner import ObservedRunner

    from pipelines.pipeline import create_pipeline

  root = settings.pipeline_root
  connection = sqlite_metadata_connection_config(str(root / 'metadata.sqlite'))
  runner = ObservedRunner(lambda i, n, node: printer.step(f'[{i}/{n}] {node}'))
  with run_log.recording(root, settings.verbose, printer) as log_file:
    screen.print(environment.versions(), style='dim', soft_wrap=True)
    with printer.step('Data'):
      data = choose_input(settings, own_data)
    try:
      runner.run(
        create_pipeline(
          name=root.name[:63],  # no name may be longer
          root=str(root),
          label=settings.label,
          missing_label=settings.missing_label,
          seed=settings.seed,
          train_steps=settings.train_steps,
          n_models=max(settings.compare, 1),
          compare=settings.compare > 0,
          report_dir=str(root / report.FOLDER),
          beam_pipeline_args=settings.beam_args,
          metadata_connection_config=connection,
          folds=settings.folds,
          ignore=settings.ignore,
          **data,
        )
      )
    except Exception as error:
      logging.exception('The pipeline failed.')
      screen.print(f'\nThe full log is in {log_file}', style='dim', soft_wrap=True)
      sys.stdout.flush()
      print(failure.own_message(error), file=sys.stderr)
      return 1
    published = artifacts.read_published(connection, runner.run_id)
    numbers = summary.read_summary(published, settings.label, settings.folds)
    with printer.step('Report'):
      page = report.write_report(
        published, numbers, settings.label, root.name, root / report.FOLDER
      )
  summary_tables.print_summary(screen, numbers, settings.label)
  summary_tables.print_outputs(screen, published, {'report': str(page), 'log': str(log_file)})
  return 0


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the pipeline with the given arguments; returns 0, or 1 after a failure."""
  settings = parse_arguments(sys.argv[1:] if arguments is None else arguments)
  environment.prepare(settings.verbose)
  try:
    return run(settings, inspect_own(settings))
  except DataError as error:
    print(error, file=sys.stderr)
    return 1


if __name__ == '__main__':
  sys.exit(main())
