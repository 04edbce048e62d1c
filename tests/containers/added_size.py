"""Prints what the plugin adds to an image beyond TFX, in bytes by distribution; runs inside it."""

import importlib.metadata
import importlib.util
import json
import os
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

TFX = ('tfx', 'kfp', 'tensorflow-cpu')  # what runs stock pipelines on Kubeflow
ENVIRONMENT = ('pip', 'setuptools')
SAMPLE = Path('/app')


def needed(*roots: str) -> set[str]:
  """Returns the distributions that some need, themselves included."""
  found: set[tuple[str, str]] = set()
  waiting = [(name, '') for name in roots]
  while waiting:
    name, extra = waiting.pop()
    if (name, extra) in found or not installed(name):
      continue
    found.add((name, extra))
    for text in importlib.metadata.requires(name) or ():
      requirement = Requirement(text)
      if requirement.marker is None or requirement.marker.evaluate({'extra': extra}):
        child = canonicalize_name(requirement.name)
        waiting += [(child, ''), *((child, extra) for extra in requirement.extras)]
  return {name for name, _ in found}


def installed(name: str) -> bool:
  try:
    importlib.metadata.distribution(name)
  except importlib.metadata.PackageNotFoundError:
    return False
  return True


def files_of(distribution: importlib.metadata.Distribution) -> Iterator[Path]:
  """Yields its files, and their byte code, which no record names."""
  for file in distribution.files or ():
    path = Path(str(distribution.locate_file(file)))
    yield path
    if path.suffix == '.py':
      yield Path(importlib.util.cache_from_source(str(path)))


def size(paths: Iterator[Path]) -> int:
  return sum(os.path.getsize(path) for path in set(paths) if path.is_file())


if __name__ == '__main__':
  stock = needed(*TFX, *ENVIRONMENT)
  added = {
    name: size(files_of(distribution))
    for distribution in importlib.metadata.distributions()
    if (name := canonicalize_name(distribution.metadata['Name'])) not in stock
  }
  added['sample pipeline'] = size(SAMPLE.rglob('*'))
  print(json.dumps(added, indent=2, sort_keys=True))
