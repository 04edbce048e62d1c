"""`tfx-balance split`: splits TFRecord files by StratifiedSplitter, without a pipeline."""

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tfx_balance.cli.own_data import data_files, file_kind
from tfx_balance.cli.own_labels import add_missing_label
from tfx_balance.cli.own_records import compression_of
from tfx_balance.cli.plain_tables import print_table
from tfx_balance.errors import ConfigError

ALL = 'all'  # the split of all input files
IN_MEMORY = ('--runner=FnApiRunner', '--direct_running_mode=in_memory')


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  add = parser.add_argument
  add('paths', type=Path, nargs='+', metavar='PATH', help='TFRecord file, or folder of them')
  add('--label', required=True, metavar='NAME', help='feature that holds the class')
  add(
    '--splits',
    type=parse_splits,
    default={'train': 8, 'eval': 1, 'test': 1},
    metavar='NAME=WEIGHT,...',
    help='weights of the splits (default: train=8,eval=1,test=1)',
  )
  add('--seed', type=int, default=0, metavar='N', help='seed of the choice of records (default: 0)')
  add('--output', type=Path, default='splits', metavar='DIR', help='new folder (default: splits)')
  add('--group-by', metavar='NAME,...', help='features whose equal values stay in one split')
  add('--order-by', metavar='NAME', help='feature that holds the time: earlier splits are earlier')
  add_missing_label(parser)


def parse_splits(text: str) -> dict[str, int | float]:
  """Returns weights by the name of the split.

  >>> parse_splits('train=8,test=0.5')
  {'train': 8, 'test': 0.5}
  """
  try:
    pairs = [part.split('=') for part in text.split(',')]
    return {name.strip(): int(n) if n.strip().isdigit() else float(n) for name, n in pairs}
  except ValueError as error:
    raise argparse.ArgumentTypeError(
      f'{text!r} is not NAME=WEIGHT,...; write it as train=8,eval=1,test=1'
    ) from error


def run(options: argparse.Namespace) -> None:
  """Writes the splits, and prints the records of each class in each of them.

  Raises:
    ConfigError: If an argument breaks a rule; nothing has been written.
    DataError: If the data does.
  """
  files = input_files(options.paths)
  output = options.output.resolve()
  if output.exists() and (not output.is_dir() or any(output.iterdir())):
    raise ConfigError(f'{output} exists and is not an empty folder; pass another --output')
  # Imported here because it takes ten seconds: invalid arguments are reported before.
  from tfx.types import artifact_utils, channel_utils, standard_artifacts

  from tfx_balance import StratifiedSplitter
  from tfx_balance.report.sources import read_run
  from tfx_balance.report.tables import class_tables, stage_table

  with tempfile.TemporaryDirectory() as folder:
    (Path(folder) / f'Split-{ALL}').mkdir()
    for i, path in enumerate(files):  # by rank, as files of two folders may have one name
      (Path(folder) / f'Split-{ALL}' / f'{i:05d}-{path.name}').symlink_to(path.resolve())
    examples, splits = standard_artifacts.Examples(), standard_artifacts.Examples()
    examples.uri, examples.split_names = folder, artifact_utils.encode_split_names([ALL])
    splits.uri = str(output)
    component = StratifiedSplitter(
      examples=channel_utils.as_channel([examples]),
      stratify_by=options.label,
      splits=options.splits,
      seed=options.seed,
      missing_label=options.missing_label,
      group_by=options.group_by and options.group_by.split(','),
      order_by=options.order_by,
    )
    executor = component.executor_spec.executor_class
    context = executor.Context(beam_pipeline_args=list(IN_MEMORY), tmp_dir=folder, unique_id='1')
    properties = dict(component.exec_properties)
    executor(context).Do({'input_examples': [examples]}, {'examples': [splits]}, properties)
  view = read_run([str(output)])
  for table in (stage_table(view), *class_tables(view).shown):
    print_table(table)
  for stage in view.stages:
    for warning in stage.warnings:
      print(f'! {warning}')
  print(f'\nThe splits are in {output}')


def input_files(paths: Sequence[Path]) -> list[Path]:
  """Returns the TFRecord files at paths of files and folders."""
  for path in paths:
    if not path.exists():
      raise ConfigError(f'{path} does not exist; pass TFRecord files, or folders of them')
  files = [file for path in paths for file in ([path] if path.is_file() else data_files(path))]
  kind = file_kind(files)
  if kind != 'TFRecord':
    raise ConfigError(
      f'{files[0]} is not a TFRecord file; write its rows as tf.Examples first, or split them in '
      'memory with tfx_balance.stratified_indices'
    )
  if len({compression_of(file) for file in files}) > 1:
    raise ConfigError('some of the files are compressed and others not; compress all or none')
  return files
