"""uv, which installs the environment: the one on PATH, or one of our own in .bootstrap."""

import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Dict, List, Optional

from progress import SetupError, say, stream
from stacks import Version

PINNED = '0.13.8'
OLDEST = (0, 8)  # the oldest that this was tried with


def find_uv(folder: Path) -> str:
  """The path of a uv that is recent enough; installs the pinned one into `folder` if need be."""
  own = folder / 'bin' / 'uv'
  for command in (shutil.which('uv'), str(own)):
    if command and (_version(command) or ()) >= OLDEST:
      return command
  say(f'uv {PINNED}: installing it into {folder.name}/')
  if not (_install_in_venv(folder) or _install_in_folder(folder)):
    raise SetupError(
      f'{sys.executable} can make no virtual environment and has no pip, so it cannot install uv; '
      'run `apt-get install python3-venv python3-dev`, or put uv on PATH by any other way'
    )
  return str(own)


def make_environment(folder: Path, lock: str) -> str:
  """The Python of an environment in `folder`, which is made or updated to hold just a lock."""
  uv = find_uv(folder.parent)
  python = folder / 'bin' / 'python'
  if not python.exists():
    run_uv(uv, 'venv', '--quiet', '--python', sys.executable, str(folder))
  run_uv(uv, 'pip', 'sync', '--quiet', '--python', str(python), lock)
  return str(python)


def run_uv(uv: str, *arguments: str, text: str = '', **variables: str) -> None:
  """Runs uv and shows how it goes; raises with all that it printed where it fails."""
  stream([uv, *arguments], text, {**_environment(), **variables})


def _environment() -> Dict[str, str]:
  """The environment for uv: no other Python than the one named, certificates as pip has them."""
  environment = dict(os.environ, UV_PYTHON_DOWNLOADS='never')
  environment.pop('VIRTUAL_ENV', None)
  paths = ssl.get_default_verify_paths()
  if paths.cafile or paths.capath:
    # A network with a certificate authority of its own has it in the system's store.
    environment.setdefault('UV_SYSTEM_CERTS', '1')
  return environment


def _version(command: str) -> Optional[Version]:
  try:
    output = subprocess.check_output([command, '--version'], stderr=subprocess.DEVNULL)
    return tuple(int(part) for part in output.decode().split()[1].split('.')[:2])
  except (OSError, ValueError, IndexError, subprocess.CalledProcessError):
    return None


def _install_in_venv(folder: Path) -> bool:
  shutil.rmtree(str(folder), ignore_errors=True)
  if not _succeeds([sys.executable, '-m', 'venv', str(folder)]):
    return False
  return _pip_install(str(folder / 'bin' / 'python'))


def _install_in_folder(folder: Path) -> bool:
  """The way without ensurepip: Debian's python3 has no venv until python3-venv is installed."""
  shutil.rmtree(str(folder), ignore_errors=True)
  if not _succeeds([sys.executable, '-m', 'pip', '--version']):
    return False
  return _pip_install(sys.executable, '--target', str(folder))


def _pip_install(python: str, *options: str) -> bool:
  quiet = dict(os.environ, PIP_ROOT_USER_ACTION='ignore', PIP_DISABLE_PIP_VERSION_CHECK='1')
  stream([python, '-m', 'pip', 'install', '--quiet', *options, 'uv==' + PINNED], environment=quiet)
  return True


def _succeeds(command: List[str]) -> bool:
  quiet = subprocess.DEVNULL
  return subprocess.call(command, stdout=quiet, stderr=quiet) == 0
