"""What Debian gives without installing anything: packages unpacked into a folder, a base image.

Nothing here changes the machine; everything lies in the folder that is passed.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from progress import SetupError, say

SUITE = 'trixie'  # Debian 13: glibc 2.41, Python 3.13
MIRROR = 'http://deb.debian.org/debian'
PACKAGES = ('ca-certificates', 'python3', 'python3-pip', 'python3-venv')


def require_debian() -> None:
  """Raises a SetupError unless this is root on Debian or a relative of it."""
  if os.geteuid() != 0:
    raise SetupError('containers are run by a dockerd of our own, which takes root; run as root')
  for program in ('apt-get', 'dpkg'):
    if not shutil.which(program):
      raise SetupError(
        f'{program} is not here, and the container engine comes from Debian packages; '
        'run this on Debian, or in a virtual machine of it'
      )


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
  """Holds a folder for this process; waits while another one has it."""
  folder.mkdir(parents=True, exist_ok=True)
  with (folder / '.lock').open('w') as file:
    try:
      fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
      say(f'waiting for another run that uses {folder}')
      fcntl.flock(file, fcntl.LOCK_EX)
    yield


def unpack(packages: Sequence[str], folder: Path) -> Path:
  """Downloads packages, without those they depend on, and unpacks them; returns where."""
  root = folder / 'root'
  if root.is_dir():
    return root
  shutil.rmtree(str(folder), ignore_errors=True)
  folder.mkdir(parents=True)
  say('downloading {}'.format(', '.join(packages)))
  try:
    run(['apt-get', 'download', *packages], folder)
  except SetupError:
    run(['apt-get', 'update'], folder)  # the lists of packages are old, or not there
    run(['apt-get', 'download', *packages], folder)
  half = folder / 'half'
  for package in folder.glob('*.deb'):
    run(['dpkg', '-x', str(package), str(half)], folder)
    package.unlink()
  half.rename(root)
  return root


def base_tar(cache: Path) -> Path:
  """Returns a tar of a small Debian 13 with Python; debootstrap makes it, once."""
  tar = cache / f'{SUITE}.tar'
  if tar.exists():
    return tar
  bootstrap = unpack(['debootstrap'], cache / 'debootstrap')
  root = cache / f'{SUITE}.half'
  shutil.rmtree(str(root), ignore_errors=True)
  say(f'making a base image of Debian {SUITE}')
  scripts = bootstrap / 'usr/share/debootstrap'
  program = ['sh', str(bootstrap / 'usr/sbin/debootstrap'), '--variant=minbase']
  include = '--include=' + ','.join(PACKAGES)
  run([*program, include, SUITE, str(root), MIRROR], cache, {'DEBOOTSTRAP_DIR': str(scripts)})
  shutil.rmtree(str(root / 'var/cache/apt'))
  shutil.rmtree(str(root / 'var/lib/apt/lists'))
  # Over a mount that a broken run may have left, --one-file-system does not go.
  half = tar.with_suffix('.tar.half')
  run(['tar', '--one-file-system', '--create', '--file', str(half), '--directory', str(root), '.'])
  half.rename(tar)
  shutil.rmtree(str(root))
  return tar


def run(command: list[str], folder: Path = Path(), variables: dict[str, str] | None = None) -> str:
  """Runs a command and returns what it printed; raises a SetupError with that where it fails."""
  done = subprocess.run(
    command,
    cwd=str(folder),
    env=dict(os.environ, **(variables or {})),
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
  )
  if done.returncode:
    raise SetupError(
      'this command failed:\n  {}\nwith\n  {}'.format(
        ' '.join(command), '\n  '.join(done.stdout.splitlines()[-30:]) or 'no output'
      )
    )
  return done.stdout
