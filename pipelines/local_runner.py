"""Runs the sample pipeline on this machine: the digits, or your own data.

python pipelines/local_runner.py
python pipelines/local_runner.py --examples FOLDER --label NAME
python pipelines/local_runner.py --images FOLDER
python pipelines/local_runner.py --folds 5
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from tfx_balance.cli import watched_run
from tfx_balance.cli.own_data import IMAGE_LABEL, OwnData, inspect, inspect_images
from tfx_balance.errors import DataError

from pipelines import environment
from pipelines.options import add_options, parse_options

if TYPE_CHECKING:
  from tfx import v1 as tfx

SCHEMA = environment.PROJECT / 'schemas' / 'digits' / 'schema.pbtxt'
WRITTEN = 'written-input'  # subfolder of the pipeline root: own data converted for ExampleGen
LOCAL_BEAM = (
  '--direct_running_mode=in_memory',
  '--runner=FnApiRunner',  # Beam's default tries to download another one for each component
  # With an image, which this runner does not use, TFX does not pack itself for remote workers.
  '--sdk_container_image=none',
)


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


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
  """Returns the settings; exits with a message and code 2 if the arguments are invalid.

  They are the parser's arguments, with `label` and `pipeline_root` set, and `beam_args`.
  """
  parser = make_parser()
  settings, beam_args = parse_options(parser, arguments)
  if settings.images and settings.examples:
    parser.error('--images and --examples are both given; give one of them')
  if settings.compare < 0:
    parser.error(f'--compare is {settings.compare}; give a number of trainings, 0 or more')
  if settings.folds and settings.compare > 1:
    parser.error(f'--compare {settings.compare} and --folds are both given; give --compare 1 or 0')
  own = settings.examples or settings.images
  name = '-'.join(filter(None, [own.resolve().name if own else 'digits', settings.label]))
  root = settings.pipeline_root or Path('runs') / name.replace('/', '_')
  settings.pipeline_root = root.resolve()
  settings.label = settings.label or IMAGE_LABEL
  if not any(argument.startswith(('--direct_running_mode', '--runner')) for argument in beam_args):
    beam_args += LOCAL_BEAM
  settings.beam_args = tuple(beam_args)
  return settings


def choose_input(root: Path, seed: int, own_data: OwnData | None) -> dict[str, Any]:
  """Returns the data arguments of `create_pipeline`; converts data that ExampleGen cannot read.

  Raises:
    DataError: If an image cannot be decoded.
  """
  from pipelines import digits, model_nodes, pipeline

  if own_data:
    # Without augmentation: which changes preserve the class of a record depends on the data, so no
    # augment function suits unknown data. The batches are balanced nevertheless.
    return {
      'examples_folder': str(own_data.prepare(root / WRITTEN)),
      'file_kind': own_data.file_kind,
      'on_violation': 'warn',
      'model': model_nodes.IMAGES_MODEL if own_data.images else model_nodes.TABULAR_MODEL,
    }
  folders = digits.write_digits(root / 'data', seed)
  return {
    'examples_folder': str(folders.long_tail),
    'held_out_folder': str(folders.held_out),
    'schema_path': str(SCHEMA),
    'model': model_nodes.DIGITS_MODEL,
    'augment_fn': pipeline.DIGITS_AUGMENT,
  }


def make_pipeline(settings: argparse.Namespace, own_data: OwnData | None) -> 'tfx.dsl.Pipeline':
  """Returns the pipeline, with its metadata in a file of its root."""
  from tfx.orchestration.metadata import sqlite_metadata_connection_config

  from pipelines.pipeline import create_pipeline

  root = settings.pipeline_root
  return create_pipeline(
    name=root.name[:63],  # no name may be longer
    root=str(root),
    label=settings.label,
    missing_label=settings.missing_label,
    seed=settings.seed,
    train_steps=settings.train_steps,
    n_models=max(settings.compare, 1),
    compare=settings.compare > 0,
    report_dir=str(root / 'report'),
    beam_pipeline_args=settings.beam_args,
    metadata_connection_config=sqlite_metadata_connection_config(str(root / 'metadata.sqlite')),
    folds=settings.folds,
    ignore=settings.ignore,
    **choose_input(root, settings.seed, own_data),
  )


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs the pipeline with the given arguments; returns 0, or 1 after a failure."""
  settings = parse_arguments(arguments)
  environment.prepare(settings.verbose)
  try:
    own_data = None
    if settings.images:
      own_data = inspect_images(settings.images)
    elif settings.examples:
      own_data = inspect(settings.examples, settings.label, settings.missing_label, settings.ignore)
    return watched_run.run(
      lambda: make_pipeline(settings, own_data),
      settings.pipeline_root,
      settings.label,
      settings.folds,
      own_data.notes if own_data else (),
      settings.verbose,
    )
  except DataError as error:
    print(error, file=sys.stderr)
    return 1


if __name__ == '__main__':
  sys.exit(main())
