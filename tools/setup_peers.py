"""Installs the peers of a benchmark apart from TFX: `setup_peers.py quality` prints the Python."""

import os
import sys
from pathlib import Path

from compile_locks import PEERS_LOCKS
from progress import SetupError
from uv import make_environment

ROOT = Path(__file__).resolve().parent.parent

if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    benchmark = sys.argv[1]
    print(make_environment(ROOT / '.bootstrap' / f'{benchmark}-peers', PEERS_LOCKS[benchmark]))
  except SetupError as error:
    sys.exit(f'peers: {error}')
