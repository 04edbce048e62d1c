"""Where the logs of TensorFlow, Beam and TFX go: into a file, and to the screen if wanted."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import logging as absl_logging

LOG_FILE = 'run.log'
LIBRARIES = ('absl', 'tensorflow', 'apache_beam', 'tfx')  # bring handlers of their own, which print
FORMAT = '%(asctime)s %(levelname)s %(name)s: %(message)s'


@contextmanager
def recording(folder: Path, verbose: bool, own_handler: logging.Handler) -> Iterator[Path]:
  """Sends all logs to a file while the block runs; begin it after the libraries' imports.

  Args:
    folder: Where the log file goes; a run overwrites that of the last.
    verbose: Whether all logs go to standard error as well.
    own_handler: Gets what the loggers below 'pipelines' say as well.

  Yields:
    The log file.
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
    'pipelines': [own_handler],
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
