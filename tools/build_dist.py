"""Builds the wheel and the sdist, and checks that each can be published and installed.

Both are checked by twine, and the wheel is installed into an environment that holds only the locked
dependencies; every public name is imported there.
"""

import os
import platform
import shutil
import sys

from machine import glibc_version
from progress import SetupError, say, stream
from setup_env import ROOT, VENV_PYTHON, venv_version
from stacks import choose_stack
from uv import find_uv, run_uv

TWINE = 'twine==7.0.0'
DIST, VENV = ROOT / 'dist', ROOT / '.bootstrap' / 'dist'
PACKAGES = ('', '.augment', '.inputs', '.kubeflow', '.report')

_IMPORT_NAMES = """
import importlib, sys
packages = [importlib.import_module('tfx_balance' + name) for name in sys.argv[1:]]
names = [f'{p.__name__}.{name}' for p in packages for name in p.__all__ if getattr(p, name)]
assert 'site-packages' in packages[0].__file__, packages[0].__file__
print(len(names), 'public names import from', packages[0].__name__, packages[0].__version__)
"""


def build_dist() -> None:
  """Writes dist/ anew, and checks what is in it."""
  uv = find_uv(ROOT / '.bootstrap')
  shutil.rmtree(str(DIST), ignore_errors=True)
  run_uv(uv, 'build', '--quiet', '--out-dir', str(DIST))
  files = [str(path) for path in sorted(DIST.glob('tfx_balance-*'))]
  run_uv(uv, 'tool', 'run', '--quiet', '--from', TWINE, 'twine', 'check', '--strict', *files)
  check_install(uv, next(file for file in files if file.endswith('.whl')))
  for file in files:
    say(f'{os.path.relpath(file, str(ROOT))}  {os.path.getsize(file):,} bytes')


def check_install(uv: str, wheel: str) -> None:
  """Installs the wheel behind its locked dependencies, and imports every public name."""
  stack = choose_stack(platform.system(), platform.machine(), glibc_version())
  lock = ROOT / stack.lock(venv_version())
  python = VENV / 'bin' / 'python'
  say(f'installing the wheel into {VENV.relative_to(ROOT)}')
  run_uv(uv, 'venv', '--quiet', '--clear', '--python', str(VENV_PYTHON), str(VENV))
  install = ('pip', 'install', '--quiet', '--python', str(python), '--no-deps')
  run_uv(uv, *install, '--requirement', str(lock), wheel)
  quiet = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3', PYTHONWARNINGS='ignore')
  quiet.pop('PYTHONPATH', None)
  os.chdir(str(VENV))  # away from the source, which must not be what is imported
  stream([str(python), '-c', _IMPORT_NAMES, *PACKAGES], environment=quiet)


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    build_dist()
  except SetupError as error:
    sys.exit(f'dist: {error}')
