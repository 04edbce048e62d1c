"""What the report needs and the rest of the package does not: jinja2 and matplotlib."""

from __future__ import annotations

import importlib
from types import ModuleType

from tfx_balance.errors import ConfigError

INSTALL = 'pip install "tfx-balance[report]"'


def load(name: str) -> ModuleType:
  """Returns a package that may not be installed.

  Raises:
    ConfigError: if it is not.
  """
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    raise ConfigError(
      f'{name} is not installed, and the report is made with it; {INSTALL}'
    ) from error
