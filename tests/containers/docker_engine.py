"""A Docker engine of our own: Debian's dockerd from its packages, in a folder, for one run."""

import contextlib
import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from progress import SetupError, say

from tests.containers.debian import base_tar, only_one, require_debian, run, unpack

# Newer Debian has the client and the builder in packages of their own.
PACKAGES = ('containerd', 'docker.io', 'runc')
CLIENT_PACKAGES = ('docker-buildx', 'docker-cli')
START_SECONDS = 60
BUILD_CACHE = '12GB'  # kept for the next run
PR_SET_PDEATHSIG = 1  # of prctl(2)

# Containers get no network but that of this machine, when they are built: no bridge, no firewall
# rules, nothing to clean up.
OPTIONS = ('--bridge=none', '--iptables=false', '--ip6tables=false', '--log-level=warn')


class Engine:
  """A running dockerd.

  Attributes:
    socket: Path of the socket that clients connect to.
  """

  def __init__(self, programs: Path, socket: Path) -> None:
    """Takes where the programs and the socket are."""
    self.socket = socket
    folders = [str(programs / folder) for folder in ('usr/bin', 'usr/sbin')]
    self.environment = dict(
      os.environ,
      DOCKER_BUILDKIT='1',
      DOCKER_HOST=f'unix://{socket}',
      PATH=os.pathsep.join([*folders, os.environ['PATH']]),
    )

  def docker(self, *arguments: str) -> str:
    """Runs a docker command and returns what it printed; raises where it fails."""
    return run(['docker', *arguments], variables=self.environment)

  def show(self, *arguments: str) -> int:
    """Runs a docker command whose output a person sees; returns its exit code."""
    return subprocess.call(['docker', *arguments], env=self.environment)

  def has_image(self, name: str) -> bool:
    """Whether there is an image of that name."""
    return bool(self.docker('images', '--quiet', name).strip())


@contextlib.contextmanager
def docker_engine(cache: Path) -> Iterator[Engine]:
  """Starts an engine, and stops it with all its containers when the block ends.

  Args:
    cache: Folder that keeps images and downloads for the next time.
  """
  require_debian()
  with only_one(cache):
    programs = unpack(packages(), cache / 'docker-programs')
    runtime = Path(tempfile.mkdtemp(prefix='tfx-balance-docker-'))
    engine = Engine(programs, runtime / 'docker.sock')
    process = start(engine, cache, runtime)
    try:
      wait(engine, process, runtime / 'dockerd.log')
      yield engine
      engine.docker('image', 'prune', '--force')
      engine.docker('builder', 'prune', '--force', '--keep-storage', BUILD_CACHE)
    finally:
      stop(engine, process)
      shutil.rmtree(str(runtime), ignore_errors=True)


def packages() -> list[str]:
  """The packages that make an engine on this Debian."""
  known = subprocess.check_output(['apt-cache', 'pkgnames', 'docker-'], universal_newlines=True)
  return [*PACKAGES, *(name for name in CLIENT_PACKAGES if name in known.split())]


def start(engine: Engine, cache: Path, runtime: Path) -> 'subprocess.Popen[bytes]':
  """Starts dockerd."""
  command = ['dockerd', '--data-root', str(cache / 'docker'), '--exec-root', str(runtime / 'exec')]
  command += ['--pidfile', str(runtime / 'pid'), '--host', f'unix://{engine.socket}', *OPTIONS]
  with (runtime / 'dockerd.log').open('wb') as log:
    # A session of its own: Ctrl-C must reach the tests first, which then stop it.
    return subprocess.Popen(
      command,
      env=engine.environment,
      stdout=log,
      stderr=log,
      start_new_session=True,
      preexec_fn=end_with_parent,
    )


def end_with_parent() -> None:
  """Has the kernel end this process, gently, when the one that started it is killed."""
  ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def wait(engine: Engine, process: 'subprocess.Popen[bytes]', log: Path) -> None:
  """Returns when the engine answers; raises where it does not come up."""
  end = time.monotonic() + START_SECONDS
  while time.monotonic() < end and process.poll() is None:
    try:
      engine.docker('version')
    except SetupError:
      time.sleep(0.2)
    else:
      return
  raise SetupError('dockerd does not start:\n  {}'.format('\n  '.join(last_lines(log))))


def last_lines(path: Path) -> list[str]:
  """The end of a log."""
  return path.read_text(errors='replace').splitlines()[-20:]


def stop(engine: Engine, process: 'subprocess.Popen[bytes]') -> None:
  """Ends every container, and dockerd, which ends its containerd."""
  with contextlib.suppress(SetupError):
    running = engine.docker('ps', '--quiet').split()
    if running:
      engine.docker('kill', *running)
  process.terminate()
  try:
    process.wait(30)
  except subprocess.TimeoutExpired:
    process.kill()
    process.wait()


def import_base(engine: Engine, cache: Path, name: str) -> None:
  """Makes an image of a small Debian 13 with Python, unless it is there."""
  if not engine.has_image(name):
    engine.docker('import', str(base_tar(cache)), name)
    say(f'{name} is imported')
