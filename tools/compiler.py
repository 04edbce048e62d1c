"""A C++ compiler for pyfarmhash, the one dependency that has no wheel and must be built."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Dict, Iterator

from machine import Python
from progress import SetupError, say
from stacks import dotted
from uv import run_uv

ZIG = 'ziglang==0.15.2'

# Zig's own defaults are the CPU of this machine and traps on undefined behaviour; what is built
# goes into uv's cache, for any CPU, and must do what gcc's would.
_WRAPPER = """#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR="{folder}/zig-cache"
exec "{folder}/zig/ziglang/zig" {command} -mcpu=baseline -fno-sanitize=undefined "$@"
"""


def compiler_environment(python: Python, uv: str, folder: Path) -> Dict[str, str]:
  """The environment variables under which a C++ extension for this Python builds.

  They name a compiler that works, the one that Python was built with first. Where there is none,
  Zig's is installed into `folder` from its wheel.
  """
  _require_headers(python)
  for variables in _compilers(python):
    if _compiles(variables, python):
      return variables
  say("no C++ compiler here: installing Zig's, which comes as a wheel of 90 MB")
  variables = _install_zig(python, uv, folder)
  if not _compiles(variables, python):
    raise SetupError(
      'no C++ compiler works here and pyfarmhash has no wheel; run `apt-get install g++`, '
      'or name a compiler: make run CC=... CXX=...'
    )
  return variables


def _require_headers(python: Python) -> None:
  if not os.path.exists(os.path.join(python.headers, 'Python.h')):
    raise SetupError(
      f'Python.h is not in {python.headers}, and pyfarmhash is built from source with it; '
      f'run `apt-get install python{dotted(python.version[:2])}-dev` (or python3-dev), '
      'or name a Python that has its headers: make run PYTHON=...'
    )


def _compilers(python: Python) -> Iterator[Dict[str, str]]:
  given = {name: os.environ[name] for name in ('CC', 'CXX') if name in os.environ}
  yield {'CC': python.cc, 'CXX': python.cxx, **given}
  for cc, cxx in (('gcc', 'g++'), ('clang', 'clang++')):
    yield {'CC': cc, 'CXX': cxx}


def _compiles(variables: Dict[str, str], python: Python) -> bool:
  """Whether both compilers are there and C++ with Python's headers compiles."""
  cc, cxx = shlex.split(variables['CC']), shlex.split(variables['CXX'])
  if not (shutil.which(cc[0]) and shutil.which(cxx[0])):
    return False
  with tempfile.TemporaryDirectory() as folder:
    Path(folder, 'probe.cc').write_text('#include <cstdint>\n#include <Python.h>\n')
    command = [*cxx, '-I', python.headers, '-c', 'probe.cc']
    quiet = subprocess.DEVNULL
    return subprocess.call(command, cwd=folder, stdout=quiet, stderr=quiet) == 0


def _install_zig(python: Python, uv: str, folder: Path) -> Dict[str, str]:
  target = str(folder / 'zig')
  run_uv(uv, 'pip', 'install', '--python', python.executable, '--target', target, ZIG)
  cc, cxx = (shlex.quote(_write_wrapper(folder, command)) for command in ('cc', 'c++'))
  # The link commands too: those of Python's build carry options of its own linker.
  return {'CC': cc, 'CXX': cxx, 'LDSHARED': cc + ' -shared', 'LDCXXSHARED': cxx + ' -shared'}


def _write_wrapper(folder: Path, command: str) -> str:
  wrapper = folder / ('zig-' + command)
  wrapper.write_text(_WRAPPER.format(folder=folder, command=command))
  wrapper.chmod(0o755)
  return str(wrapper)
