"""Makes .venv, installed exactly from the lock that fits this machine; does nothing where it is.

Needs Python and its standard library only. PYTHON names another Python than the one that runs this.
"""

import hashlib
import os
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Dict, Optional, Tuple

from compiler import compiler_environment
from machine import describe_python, find_python, glibc_version
from progress import SetupError, say
from stacks import Stack, Version, choose_stack, dotted
from uv import find_uv, run_uv

ROOT = Path(__file__).resolve().parent.parent
BOOTSTRAP = ROOT / '.bootstrap'
VENV = ROOT / '.venv'
VENV_PYTHON = VENV / 'bin' / 'python'
STAMP = VENV / '.set-up'

_IMPORTS = """
import logging
logging.disable(logging.WARNING)
import apache_beam, tensorflow, tfx.v1, tfx_balance
print("TFX", tfx.v1.__version__, end=", ")
print("TensorFlow", tensorflow.__version__, end=", ")
print("Beam", apache_beam.__version__)
"""


def set_up() -> None:
  """Brings .venv up to date with its lock and with pyproject.toml."""
  stack = choose_stack(platform.system(), platform.machine(), glibc_version())
  version, base = choose_python(stack)
  lock = ROOT / stack.lock(version)
  digest = digest_of(lock, version)
  if base is None and STAMP.exists() and STAMP.read_text() == digest:
    return
  say(f'TFX {stack.tfx} on Python {dotted(version)}, from {lock.relative_to(ROOT)}')
  uv = find_uv(BOOTSTRAP)
  if STAMP.exists():
    STAMP.unlink()  # what stops halfway is not taken for done
  if base:
    run_uv(uv, 'venv', '--quiet', '--clear', '--python', base, str(VENV))
  install(uv, lock)
  check_imports()
  STAMP.write_text(digest)
  say('the environment is ready: .venv')


def choose_python(stack: Stack) -> Tuple[Version, Optional[str]]:
  """The Python version for .venv, and what to make it with: None keeps the .venv that is there."""
  wanted = os.environ.get('PYTHON')
  kept = venv_version()
  if kept in stack.pythons and not wanted:
    return kept, None
  python = find_python(stack, wanted)
  version = python.version[:2]
  return version, None if version == kept else python.executable


def venv_version() -> Version:
  """The Python version of .venv, or () where there is none that runs."""
  settings = VENV / 'pyvenv.cfg'
  if not (VENV_PYTHON.exists() and settings.exists()):
    return ()
  pattern = r'^version(?:_info)? *= *(\d+)\.(\d+)'
  found = re.search(pattern, settings.read_text(), re.MULTILINE)
  return (int(found.group(1)), int(found.group(2))) if found else ()


def digest_of(lock: Path, version: Version) -> str:
  """A hash that changes with all that decides what is in .venv."""
  if not lock.exists():
    raise SetupError(f'{lock} is missing; restore it, or write it with `make lock`')
  parts = [str(ROOT), dotted(version), lock.read_text(), (ROOT / 'pyproject.toml').read_text()]
  return hashlib.sha256('\0'.join(parts).encode()).hexdigest()


def install(uv: str, lock: Path) -> None:
  """Makes .venv hold what the lock names and this project, editable, and nothing else."""
  say('installing (the first time about 1 GB is downloaded; uv keeps them for the next)')
  variables: Dict[str, str] = {}
  if builds_extension(lock):
    python = describe_python(str(VENV_PYTHON))
    assert python, 'venv_version saw it, or uv has just made it'
    variables = compiler_environment(python, uv, BOOTSTRAP)
  command = ('pip', 'sync', '--python', str(VENV_PYTHON), str(lock), '-')
  run_uv(uv, *command, text='--editable ' + str(ROOT), **variables)


def builds_extension(lock: Path) -> bool:
  """Whether the lock's pyfarmhash has still to be installed; it has no wheel."""
  found = re.search(r'^pyfarmhash==(\S+)', lock.read_text(), re.MULTILINE)
  if not found:
    return False
  return not any(VENV.glob(f'lib/python*/site-packages/pyfarmhash-{found.group(1)}.dist-info'))


def check_imports() -> None:
  """Imports TFX and this project once, and says what they are."""
  say('importing TFX, which takes 10 to 60 s')
  # Python may write bytecode here even where the user has it off: a later import of TFX then
  # takes 9 s in place of 23.
  environment = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3', PYTHONWARNINGS='ignore')
  environment.pop('PYTHONDONTWRITEBYTECODE', None)
  # Apart from its log, for TensorFlow 2.21 writes one whatever it is told.
  process = subprocess.Popen(
    [str(VENV_PYTHON), '-c', _IMPORTS],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    env=environment,
    universal_newlines=True,
  )
  output, log = process.communicate()
  if process.returncode != 0:
    raise SetupError(f'all packages are installed, but importing them fails:\n{log.strip()}')
  say('  ' + output.strip())


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    set_up()
  except SetupError as error:
    sys.exit(f'set-up: {error}')
  except KeyboardInterrupt:
    sys.exit('set-up: stopped; run it again to go on')
