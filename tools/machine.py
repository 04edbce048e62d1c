"""What this machine has: its C library and its Pythons."""

import json
import os
import shutil
import subprocess
import sys
from typing import Iterator, List, NamedTuple, Optional

from progress import SetupError
from stacks import Stack, Version, dotted

# Prints what `Python` holds. The base executable, for that of an activated .venv cannot make .venv.
_DESCRIBE = """
import json, sys, sysconfig
print(json.dumps([
  getattr(sys, "_base_executable", sys.executable),
  sys.version_info[:3],
  sysconfig.get_paths()["include"],
  sysconfig.get_config_var("CC") or "cc",
  sysconfig.get_config_var("CXX") or "c++",
]))
"""


class Python(NamedTuple):
  """An interpreter, and what building an extension for it takes."""

  executable: str
  version: Version
  headers: str  # the folder where its Python.h belongs
  cc: str
  cxx: str


def glibc_version() -> Optional[Version]:
  """The version of glibc, or None where the C library is another (musl, macOS)."""
  try:
    name = os.confstr('CS_GNU_LIBC_VERSION') or ''
  except (AttributeError, OSError, ValueError):
    return None
  return tuple(int(part) for part in name.split()[1].split('.')[:2]) if name else None


def describe_python(command: str) -> Optional[Python]:
  """The Python behind a command, or None where the command is missing or does not run."""
  try:
    output = subprocess.check_output([command, '-c', _DESCRIBE], stderr=subprocess.DEVNULL)
    executable, version, headers, cc, cxx = json.loads(output.decode())
  except (OSError, ValueError, subprocess.CalledProcessError):
    return None
  return Python(executable, tuple(version), headers, cc, cxx)


def find_python(stack: Stack, wanted: Optional[str]) -> Python:
  """The Python to build with: the one wanted, else the first that fits the stack.

  Without a wish that is the one which runs this, then those on PATH, newest first.
  """
  seen: List[Python] = []
  for python in _candidates(stack, wanted):
    if python.version[:2] in stack.pythons:
      return python
    seen.append(python)
  raise SetupError(_no_python(stack, wanted, seen))


def _candidates(stack: Stack, wanted: Optional[str]) -> Iterator[Python]:
  names = ['python' + dotted(version) for version in reversed(stack.pythons)]
  for name in [wanted] if wanted else [sys.executable, *names]:
    command = shutil.which(name)
    python = describe_python(command) if command else None
    if python:
      yield python


def _no_python(stack: Stack, wanted: Optional[str], seen: List[Python]) -> str:
  fitting = ' or '.join(map(dotted, stack.pythons))
  glibc = dotted(glibc_version() or ())
  if wanted and not seen:
    found = f'PYTHON={wanted} does not run'
  else:
    found = 'found only Python ' + ', '.join(dotted(p.version) for p in seen)
  return (
    f'{found}; on glibc {glibc} this needs Python {fitting} (TFX {stack.tfx}); '
    f'install one and name it: make run PYTHON=/path/to/python{dotted(stack.pythons[-1])}'
  )
