"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

_TENSORFLOW = (
  "run pip install 'tfx-balance[tensorflow]', and install tensorflow, tensorflow-cpu or another "
  'build of TensorFlow if there is none'
)
_TFX = "run pip install 'tfx-balance[tfx]', or uv pip install where pip cannot resolve TFX"
_COMPARE = "run pip install 'tfx-balance[compare]'"
_REPORT = "run pip install 'tfx-balance[report]'"
FIXES = {
  **dict.fromkeys(
    ('tensorflow', 'cv2', 'google_crc32c', 'isal', 'obstore', 'pyarrow'), _TENSORFLOW
  ),
  **dict.fromkeys(
    ('apache_beam', 'ml_metadata', 'tensorflow_data_validation', 'tensorflow_metadata', 'tfx'), _TFX
  ),
  **dict.fromkeys(('joblib', 'scipy', 'sklearn'), _COMPARE),
  'xxhash': _TFX,
  **dict.fromkeys(('jinja2', 'matplotlib'), _REPORT),
  'kfp': "run pip install 'tfx-balance[kubeflow]'",
}
"""What installs a package that is not there."""


def lazy_names(
  package: Mapping[str, Any], home: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
  """Returns `__getattr__` and `__dir__` of a package whose names live in modules of it.

  Where a name needs a package that is not installed, the ImportError says what installs it.

  Args:
    package: `globals()` of the package.
    home: Modules by the names that they have.
  """

  def load(name: str) -> Any:
    if name not in home:
      raise AttributeError(f'module {package["__name__"]!r} has no attribute {name!r}')
    try:
      return getattr(importlib.import_module(home[name]), name)
    except ModuleNotFoundError as error:
      raise explained(f'{package["__name__"]}.{name}', error) from error

  return load, lambda: sorted([*package, *home])


def explained(name: str, error: ModuleNotFoundError) -> ImportError:
  """Returns an error of an import with what installs the package that is not there."""
  missing = (error.name or '').partition('.')[0]
  if missing not in FIXES:
    return error
  return ImportError(f'{name} needs {missing}, which is not installed; {FIXES[missing]}')
