"""Fuzzes one target: `python tests/fuzz/run_target.py TARGET [FOLDER] [OPTION ...]`."""

import sys

if __name__ == '__main__':
  import apache_beam  # noqa: F401 - not to be instrumented, which takes long
  import atheris
  import tensorflow  # noqa: F401

  with atheris.instrument_imports(include=['tfx_balance']):
    from targets import TARGETS

  target = TARGETS[sys.argv.pop(1)]
  atheris.Setup(sys.argv, target)
  atheris.Fuzz()
