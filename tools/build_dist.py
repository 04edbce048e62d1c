"""Builds the wheel and the sdist, and checks that each can be published and installed.

Both are checked by twine. The wheel is installed into an empty environment for each layer of
dependencies: NumPy alone, `compare`, TensorFlow with it, and TFX with the locked versions. There
every public name of the layer is imported, and its examples run: those of docstrings, the first of
the README, or the pages of docs/ that need neither TFX nor Beam.
"""

import os
import platform
import shutil
import sys
from pathlib import Path

from machine import glibc_version
from progress import SetupError, say, stream
from setup_env import ROOT, VENV_PYTHON, venv_version
from stacks import choose_stack
from uv import find_uv, run_uv

TWINE = 'twine==7.0.0'
DIST, VENV = ROOT / 'dist', ROOT / '.bootstrap' / 'dist'
PACKAGES = ('', '.augment', '.compare', '.inputs', '.kubeflow', '.report')
CORE = ('BalancedBatches', 'StratifiedSplits', 'fold_splits', 'stratified_indices')
PAGES = ('docs/input.md', 'docs/which-remedy.md', 'docs/cookbook')

_IMPORT_NAMES = """
import importlib, sys
packages = [importlib.import_module('tfx_balance' + name) for name in sys.argv[1:]]
names = [f'{p.__name__}.{name}' for p in packages for name in p.__all__ if getattr(p, name)]
assert 'site-packages' in packages[0].__file__, packages[0].__file__
print(len(names), 'public names import from', packages[0].__name__, packages[0].__version__)
"""


_CORE = """
import doctest, importlib, sys, time
start = time.perf_counter()
package = importlib.import_module('tfx_balance')
took = time.perf_counter() - start
for name in sys.argv[1:]:
  module = sys.modules[getattr(package, name).__module__]
  failed, tried = doctest.testmod(module)
  assert tried and not failed, name
assert not {'pyarrow', 'tensorflow', 'tfx'} & set(sys.modules)
print(f'NumPy alone: {len(sys.argv) - 1} names, their examples run; imports in {took:.3f} s')
"""

_COMPARE = """
import re, sys
from pathlib import Path
exec(re.search('```python\\n(.*?)```', Path(sys.argv[1]).read_text('utf-8'), re.S)[1], {})
assert not {'absl', 'pyarrow', 'tensorflow'} & set(sys.modules)
print('without TensorFlow: the first example of the README runs')
"""

_TENSORFLOW = """
import contextlib, importlib, io, os, pathlib, re, sys, tempfile
root, _, *pages = sys.argv[1:]
names = [
  f'{package.__name__}.{name}'
  for package in map(importlib.import_module, sys.argv[2].split(','))
  for name in package.__all__
  if getattr(package, name)
]
files = [file for page in pages for file in sorted(pathlib.Path(root, page).rglob('*.md'))]
files += [file for file in (pathlib.Path(root, page) for page in pages) if file.is_file()]
n = 0
for file in files:
  for snippet in re.findall(r'```python\\n(.*?)```', file.read_text('utf-8'), re.S):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
      os.chdir(folder)
      exec(compile(snippet, f'{file.name}, snippet', 'exec'), {})
    n += 1
assert n and not {'tfx', 'apache_beam'} & set(sys.modules)
print(f'TensorFlow: {len(names)} names; {n} examples of {len(files)} pages run')
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
  """Installs the wheel with each layer of dependencies, and runs what it is for."""
  stack = choose_stack(platform.system(), platform.machine(), glibc_version())
  python = new_environment(uv, 'core')
  install(uv, python, wheel)
  run(python, _CORE, *CORE)
  python = new_environment(uv, 'compare')
  install(uv, python, f'{wheel}[compare]')
  run(python, _COMPARE, str(ROOT / 'README.md'))
  python = new_environment(uv, 'tensorflow')
  install(uv, python, f'{wheel}[compare,tensorflow]', 'tensorflow-cpu', 'pandas')
  packages = ','.join(f'tfx_balance.{name}' for name in ('augment', 'compare', 'inputs'))
  run(python, _TENSORFLOW, str(ROOT), packages, *PAGES)
  python = new_environment(uv, 'tfx')
  install(uv, python, '--no-deps', '--requirement', str(ROOT / stack.lock(venv_version())), wheel)
  run(python, _IMPORT_NAMES, *PACKAGES)


def new_environment(uv: str, layer: str) -> str:
  """Makes an empty environment, which has the pip that users have, and returns its Python."""
  folder = VENV / layer
  python = str(folder / 'bin' / 'python')
  run_uv(uv, 'venv', '--quiet', '--clear', '--python', str(VENV_PYTHON), str(folder))
  run_uv(uv, 'pip', 'install', '--quiet', '--python', python, 'pip')
  return python


def install(uv: str, python: str, *what: str) -> None:
  """Installs the wheel and more into an environment, and says how large that is."""
  folder = Path(python).parent.parent
  say(f'installing the wheel into {folder.relative_to(ROOT)}')
  run_uv(uv, 'pip', 'install', '--quiet', '--python', python, *what)
  files = [path for path in folder.rglob('*') if path.is_file() and not path.is_symlink()]
  packages = len(list(folder.glob('lib/python*/site-packages/*.dist-info')))
  say(f'{packages} packages, {sum(path.stat().st_size for path in files) / 1e6:,.0f} MB')


def run(python: str, script: str, *arguments: str) -> None:
  """Runs a script away from the source, which must not be what is imported."""
  quiet = dict(os.environ, TF_CPP_MIN_LOG_LEVEL='3', PYTHONWARNINGS='ignore')
  quiet.pop('PYTHONPATH', None)
  os.chdir(str(VENV))
  stream([python, '-c', script, *arguments], environment=quiet)
  os.chdir(str(ROOT))


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    build_dist()
  except SetupError as error:
    sys.exit(f'dist: {error}')
