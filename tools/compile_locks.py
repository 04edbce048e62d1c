"""Compiles every lock in requirements/ from pyproject.toml; options go on to uv (--upgrade)."""

import os
import re
import sys
from pathlib import Path

from progress import SetupError, say
from stacks import IMAGE_LOCK, IMAGE_OVERRIDES, IMAGE_PYTHON, STACKS, Stack, Version, dotted
from uv import find_uv, run_uv

ROOT = Path(__file__).resolve().parent.parent
EXTRAS = [part for name in ('sample', 'kubeflow', 'dev') for part in ('--extra', name)]
DOCS_LOCK = 'requirements/docs.txt'
PEERS_LOCKS = {name: f'requirements/{name}-peers.txt' for name in ('quality', 'batches', 'files')}
IMAGE_EXTRAS = ['--extra', 'kubeflow']


def compile_lock(uv: str, stack: Stack, python: Version, *options: str) -> None:
  """Writes the lock of a stack for a Python; the versions in it stay where nothing changed."""
  lock = stack.lock(python)
  say(lock)
  command = ['pip', 'compile', 'pyproject.toml', *EXTRAS]
  command += ['--quiet', '--no-header', '--no-annotate', '--output-file', lock]
  command += ['--python-version', dotted(python), '--python-platform', stack.platform]
  run_uv(uv, *command, *options)
  check_lock(lock, (ROOT / lock).read_text(), stack)


def compile_image_lock(uv: str, *options: str) -> None:
  """Writes what a task's container needs, with hashes: the newest lock's versions, for CPUs."""
  stack = STACKS[0]
  locked = stack.lock(IMAGE_PYTHON)
  say(IMAGE_LOCK)
  command = ['pip', 'compile', 'pyproject.toml', '-', *IMAGE_EXTRAS]
  command += ['--quiet', '--no-header', '--no-annotate', '--output-file', IMAGE_LOCK]
  command += ['--constraint', locked, '--override', IMAGE_OVERRIDES, '--generate-hashes']
  command += ['--python-version', dotted(IMAGE_PYTHON), '--python-platform', stack.platform]
  run_uv(uv, *command, *options, text=cpu_tensorflow((ROOT / locked).read_text()))
  check_lock(IMAGE_LOCK, (ROOT / IMAGE_LOCK).read_text(), stack)


def compile_tool_lock(uv: str, lock: str, *options: str) -> None:
  """Writes a lock for an environment without TFX, from the file that ends in `.in` beside it."""
  say(lock)
  requirements = lock.replace('.txt', '.in')
  command = ['pip', 'compile', requirements, '--quiet', '--no-header', '--no-annotate']
  run_uv(uv, *command, '--universal', '--python-version', '3.10', '--output-file', lock, *options)


def cpu_tensorflow(lock: str) -> str:
  r"""The requirement of TensorFlow for CPUs, in the version that a lock has.

  >>> cpu_tensorflow('tensorboard==2.21.0\ntensorflow==2.21.1\n')
  'tensorflow-cpu==2.21.1'
  """
  found = re.search(r'^tensorflow==(\S+)', lock, re.MULTILINE)
  if not found:
    raise SetupError('the lock holds no tensorflow; compile it anew from pyproject.toml')
  return 'tensorflow-cpu==' + found.group(1)


def check_lock(name: str, lock: str, stack: Stack) -> None:
  r"""Raises where a lock holds another TFX than its name says, or a candidate of Beam.

  >>> check_lock('a.txt', 'apache-beam==2.77.0\ntfx==1.21.0\n', STACKS[0])
  >>> check_lock('a.txt', 'apache-beam==2.77.0\ntfx==1.17.0\n', STACKS[0])
  Traceback (most recent call last):
  ...
  progress.SetupError: a.txt holds tfx==1.17.0, not 1.21; fix the limits in pyproject.toml
  """
  tfx = re.findall(r'^tfx==\S+', lock, re.MULTILINE)
  if not tfx or not tfx[0].startswith(f'tfx=={stack.tfx}.'):
    raise SetupError(
      f'{name} holds {"".join(tfx) or "no tfx"}, not {stack.tfx}; fix the limits in pyproject.toml'
    )
  for candidate in re.findall(r'^apache-beam==\S*rc\d+', lock, re.MULTILINE):
    raise SetupError(
      f'{name} holds {candidate}, which is no release; '
      'exclude it in constraint-dependencies in pyproject.toml'
    )


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    uv = find_uv(ROOT / '.bootstrap')
    for stack in STACKS:
      for python in stack.pythons:
        compile_lock(uv, stack, python, *sys.argv[1:])
    compile_image_lock(uv, *sys.argv[1:])
    for lock in (DOCS_LOCK, *PEERS_LOCKS.values()):
      compile_tool_lock(uv, lock, *sys.argv[1:])
  except SetupError as error:
    sys.exit(f'lock: {error}')
