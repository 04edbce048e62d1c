"""Sees to it that there is a Chromium for the tests in a browser; prints the path of the one found.

On PATH under any of its names it is taken as it is. Where it is missing, root on Debian or Ubuntu
gets Debian's package; others get a message of what to install.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.report.chromium import NAMES, find_chromium

PACKAGE = 'chromium'
APT = (
  'apt-get',
  '-qq',
  '-o',
  'Acquire::Retries=3',
  '-o',
  'DPkg::Lock::Timeout=300',  # another process may be installing: wait for it
)
INSTALL = (*APT, 'install', '--yes', '--no-install-recommends', PACKAGE)
ADVICE = (
  f'none of {", ".join(NAMES)} is on PATH; install Chromium (on Debian: apt-get install '
  f'{PACKAGE}) or Google Chrome'
)


class SetupError(Exception):
  """There is no Chromium; the message says what to install."""


def may_install() -> bool:
  """Returns whether Debian's package can be installed from here."""
  return os.geteuid() == 0 and Path('/etc/debian_version').exists() and bool(shutil.which('dpkg'))


def install() -> None:
  """Installs Debian's package; where its list of packages is old or empty, after an update.

  Raises:
    SetupError: if that fails.
  """
  print(f'installing {PACKAGE} with apt-get', flush=True)
  if run(INSTALL):
    return
  run((*APT, 'update'))  # may fail for a source that does not matter
  if not run(INSTALL):
    raise SetupError(f'{" ".join(INSTALL)} failed (see above); install Chromium by hand')


def run(command: Sequence[str]) -> bool:
  """Returns whether a command ended well; what it prints goes to standard error."""
  environment = dict(os.environ, DEBIAN_FRONTEND='noninteractive')
  done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=sys.stderr)
  return done.returncode == 0


def set_up() -> str:
  """Returns the path of a Chromium, installed if need be.

  Raises:
    SetupError: if there is none and none can be installed.
  """
  if find_chromium() is None:
    if not may_install():
      raise SetupError(ADVICE)
    install()
  found = find_chromium()
  if found is None:
    raise SetupError(f'{PACKAGE} was installed, yet {ADVICE}')
  return found


if __name__ == '__main__':
  try:
    print(set_up())
  except SetupError as error:
    sys.exit(f'setup_chromium: {error}')
