"""Fuzzes one target: `python -m tests.fuzz.run_target TARGET [FOLDER] [OPTION ...]`."""

import sys

if __name__ == '__main__':
  import apache_beam  # noqa: F401 - not to be instrumented, which takes long
  import atheris
  import tensorflow  # noqa: F401

  with atheris.instrument_imports(include=['tfx_balance']):
    from tests.fuzz.targets import TARGETS

  target = TARGETS[sys.argv.pop(1)]
  atheris.Setup(sys.argv, target)
  atheris.Fuzz()
