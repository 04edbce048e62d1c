"""Compiles the sample pipeline for Kubeflow, with the digits in its image or data in a bucket.

python pipelines/kubeflow_runner.py --image REGISTRY/tfx-balance:0.1.0
kfp run create --experiment-name digits --package-file digits.yaml
"""

import argparse
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from pipelines import environment
from pipelines.options import add_options, parse_options

# Paths that docker/Dockerfile creates.
IMAGE_DIGITS = '/app/data/digits/long-tail'
IMAGE_HELD_OUT = '/app/data/digits/held-out'
IMAGE_SCHEMA = '/app/schemas/digits/schema.pbtxt'
# Beam's default downloads another runner in every task.
BEAM_RUNNER = '--runner=FnApiRunner'


def make_parser() -> argparse.ArgumentParser:
  """Returns the parser of all arguments except those of Beam."""
  parser = argparse.ArgumentParser(
    description='Compiles the sample pipeline to YAML for Kubeflow Pipelines or Vertex AI.',
    epilog='All other arguments are passed to Beam.',
    allow_abbrev=False,
  )
  add = parser.add_argument
  add(
    '--image',
    required=True,
    help='image built from docker/Dockerfile, in a registry of the cluster',
  )
  add('--output', default='digits.yaml', metavar='FILE', help='output file (default: digits.yaml)')
  add('--name', default='digits', help='name of the pipeline (default: digits)')
  add(
    '--pipeline_root',
    default='',
    metavar='URI',
    help="root of the artifacts (default: the cluster's)",
  )
  add('--examples', metavar='URI', help='folder of TFRecords of tf.Example, or of CSV files')
  add('--file_kind', choices=('tfrecord', 'csv'), default='tfrecord', help='kind of these files')
  add('--cpu', type=float, metavar='N', help='cores to reserve for each task')
  add('--memory_gb', type=float, metavar='N', help='memory to reserve for each task')
  add(
    '--retries',
    type=int,
    metavar='N',
    help='attempts of each task after one that failed (default: 2 for those of tfx_balance)',
  )
  add(
    '--image_pull_secret',
    action='append',
    default=[],
    metavar='NAME',
    help="Kubernetes Secret with the credentials of the image's registry; may be repeated",
  )
  secrets = {
    '--secret': ('VARIABLE=NAME/KEY', 'environment variable of each task, from'),
    '--secret_file': ('FOLDER=NAME', 'folder in each task with the keys of'),
  }
  for option, (form, what) in secrets.items():
    read = functools.partial(parse_pair, form)
    text = f'{what} a Kubernetes Secret; may be repeated'
    add(option, action='append', type=read, default=[], metavar=form, help=text)
  add_options(parser)
  return parser


def parse_pair(form: str, text: str) -> tuple[str, str]:
  """Returns both sides of the equals sign in a text of the given form."""
  name, _, value = text.partition('=')
  if not value or value.count('/') < form.count('/'):
    raise argparse.ArgumentTypeError(f'{text!r} is not complete; write it as {form}')
  return name, value


def choose_input(settings: argparse.Namespace) -> dict[str, Any]:
  """Returns the data arguments of `create_pipeline`."""
  from pipelines import model_nodes, pipeline

  if settings.examples:
    return {
      'examples_folder': settings.examples,
      'file_kind': settings.file_kind,
      'label': settings.label,
      'missing_label': settings.missing_label,
      'ignore': settings.ignore,
      'model': model_nodes.TABULAR_MODEL,
    }
  return {
    'examples_folder': IMAGE_DIGITS,
    'held_out_folder': IMAGE_HELD_OUT,
    'schema_path': IMAGE_SCHEMA,
    'label': 'label',
    'model': model_nodes.DIGITS_MODEL,
    'augment_fn': pipeline.DIGITS_AUGMENT,
  }


def main(arguments: Sequence[str] | None = None) -> int:
  """Compiles the pipeline with the given arguments; returns 0."""
  parser = make_parser()
  settings, beam_args = parse_options(parser, arguments)
  if not any(argument.startswith('--runner') for argument in beam_args):
    beam_args.append(BEAM_RUNNER)
  environment.prepare(verbose=False)
  # Imported here because it takes ten seconds: invalid arguments are reported before.
  from tfx_balance.errors import ConfigError
  from tfx_balance.kubeflow import SecretKey, TaskOptions, compile_pipeline

  from pipelines import pipeline

  try:
    options = TaskOptions(
      cpu=settings.cpu,
      memory_gb=settings.memory_gb,
      retries=settings.retries,
      image_pull_secrets=settings.image_pull_secret,
      secrets={variable: SecretKey(*source.split('/', 1)) for variable, source in settings.secret},
      secret_files=dict(settings.secret_file),
    )
    tfx_pipeline = pipeline.create_pipeline(
      name=settings.name,
      root=settings.pipeline_root,
      seed=settings.seed,
      train_steps=settings.train_steps,
      beam_pipeline_args=beam_args,
      folds=settings.folds,
      **choose_input(settings),
    )
    compile_pipeline(tfx_pipeline, settings.output, settings.image, options)
  except ConfigError as error:
    parser.error(str(error))
  print(settings.output)
  return 0


if __name__ == '__main__':
  sys.exit(main())
