"""Redirection of the logs of TensorFlow, Beam and TFX to a file, and optionally to the console."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import logging as absl_logging

LOG_FILE = 'run.log'
LIBRARIES = ('absl', 'tensorflow', 'apache_beam', 'tfx')  # install their own printing handlers
FORMAT = '%(asctime)s %(levelname)s %(name)s: %(message)s'


@contextmanager
def recording(folder: Path, verbose: bool, own_handler: logging.Handler) -> Iterator[Path]:
  """Sends all logs to a file within the context; enter it after importing the libraries.

  Args:
    folder: Folder of the log file, which each run overwrites.
    verbose: Whether to print all logs to standard error as well.
    own_handler: Additional handler of the loggers below 'tfx_balance.cli'.

  Yields:
    Path of the log file.
  """
  folder.mkdir(parents=True, exist_ok=True)
  path = folder / LOG_FILE
  file_handler = logging.FileHandler(path, mode='w', encoding='utf-8')
  everything: list[logging.Handler] = [file_handler]
  if verbose:
    everything.append(logging.StreamHandler(sys.stderr))
  for handler in everything:
    handler.setFormatter(logging.Formatter(FORMAT))
  wanted: dict[str, list[logging.Handler]] = {
    '': everything,
    'tfx_balance.cli': [own_handler],
    **{name: [] for name in LIBRARIES},
  }
  loggers = {logging.getLogger(name): handlers for name, handlers in wanted.items()}
  before = {logger: (logger.handlers[:], logger.level) for logger in loggers}
  try:
    for logger, handlers in loggers.items():
      logger.handlers[:] = handlers
      logger.setLevel(logging.INFO)
    absl_logging.set_verbosity(absl_logging.INFO)
    yield path
  finally:
    for logger, (handlers, level) in before.items():
      logger.handlers[:] = handlers
      logger.setLevel(level)
    file_handler.close()
