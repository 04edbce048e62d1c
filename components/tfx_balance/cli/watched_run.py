"""A run of a pipeline on this machine that a person watches: its steps, then what became of it."""

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tfx_balance.cli.console import StepPrinter, make_console


def run(
  make_pipeline: Callable[[], Any],
  root: Path,
  label: str,
  folds: int = 0,
  notes: Sequence[str] = (),
  verbose: bool = False,
) -> int:
  """Runs a pipeline, and prints its steps, the tables of its classes and the paths of its outputs.

  Args:
    make_pipeline: Function that writes the pipeline's data where there are none yet, and returns
      the pipeline, with a metadata connection.
    root: Root of the pipeline; the log and the report are written to it.
    label: Name of the feature that holds the class.
    folds: Number of folds of a cross-validation; 0 for none.
    notes: Lines to print first.
    verbose: Whether to print the libraries' logs.

  Returns:
    Exit code: 0, or 1 if a node failed, after printing its error.
  """
  screen = make_console()
  for note in notes:
    screen.print(note, markup=False, soft_wrap=True)
  printer = StepPrinter(screen)
  with printer.step('Loading TensorFlow and TFX, which takes a minute or two the first time'):
    # Imported here because it takes ten seconds: invalid arguments are reported before.
    from tfx_balance.cli import failure, published, run_log, summary, summary_tables
    from tfx_balance.cli.observed_runner import ObservedRunner

  runner = ObservedRunner(lambda i, n, node: printer.step(f'[{i}/{n}] {node}'))
  with run_log.recording(root, verbose, printer) as log_file:
    screen.print(versions(), style='dim', soft_wrap=True)
    with printer.step('Data'):
      pipeline = make_pipeline()
    try:
      runner.run(pipeline)
    except Exception as error:
      logging.exception('The pipeline failed.')
      screen.print(f'\nThe full log is in {log_file}', style='dim', soft_wrap=True)
      sys.stdout.flush()
      print(failure.own_message(error), file=sys.stderr)
      return 1
    outputs = published.read_published(pipeline.metadata_connection_config, runner.run_id)
    numbers = summary.read_summary(outputs, label, folds)
    with printer.step('Report'):
      page = summary.write_report(outputs, numbers, label, root)
  summary_tables.print_summary(screen, numbers, label)
  summary_tables.print_outputs(screen, outputs, {'report': str(page), 'log': str(log_file)})
  return 0


def versions() -> str:
  """Returns a line with the versions of TFX, TensorFlow, Keras and Beam."""
  import apache_beam
  import tensorflow as tf
  import tf_keras
  from tfx import version

  return (
    f'TFX {version.__version__}, TensorFlow {tf.__version__}, '
    f'Keras {tf_keras.__version__} (tf_keras), Beam {apache_beam.__version__}'
  )
