"""Installs the peers of `python -m benchmarks quality`, apart from TFX; prints their Python."""

import os
import sys
from pathlib import Path

from compile_locks import PEERS_LOCK
from progress import SetupError
from uv import find_uv, run_uv

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / '.bootstrap' / 'peers'


def setup_peers() -> str:
  """Returns the path of the Python of the peers' environment, which is made or updated."""
  uv = find_uv(ROOT / '.bootstrap')
  python = VENV / 'bin' / 'python'
  if not python.exists():
    run_uv(uv, 'venv', '--quiet', '--python', sys.executable, str(VENV))
  run_uv(uv, 'pip', 'sync', '--quiet', '--python', str(python), PEERS_LOCK)
  return str(python)


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    print(setup_peers())
  except SetupError as error:
    sys.exit(f'peers: {error}')
