"""Builds the documentation site from docs/ and the docstrings; a warning is an error."""

import os
import sys
from pathlib import Path

from compile_locks import DOCS_LOCK
from progress import SetupError, say, stream
from uv import make_environment

ROOT = Path(__file__).resolve().parent.parent


def build_docs() -> None:
  """Installs MkDocs apart from TFX, and writes site/."""
  python = make_environment(ROOT / '.bootstrap' / 'docs', DOCS_LOCK)
  # Without Material's notice about the next major version of MkDocs. With --quiet, MkDocs would not
  # count warnings, and --strict would let them pass.
  environment = dict(os.environ, NO_MKDOCS_2_WARNING='1')
  stream([python, '-m', 'mkdocs', 'build', '--strict'], environment=environment)
  say('the documentation is in site/index.html')


if __name__ == '__main__':
  try:
    os.chdir(str(ROOT))
    build_docs()
  except SetupError as error:
    sys.exit(f'docs: {error}')
