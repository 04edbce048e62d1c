"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any


def lazy_names(
  package: Mapping[str, Any], home: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
  """Returns `__getattr__` and `__dir__` of a package whose names live in modules of it.

  Args:
    package: `globals()` of the package.
    home: Modules by the names that they have.
  """

  def load(name: str) -> Any:
    if name not in home:
      raise AttributeError(f'module {package["__name__"]!r} has no attribute {name!r}')
    return getattr(importlib.import_module(home[name]), name)

  return load, lambda: sorted([*package, *home])
