"""Extraction of the original error message from the errors of TFX and Beam."""

import re

from tfx_balance.errors import plain_cause

_TRACEBACK = 'Traceback (most recent call last):'
_BEAM_STEP = re.compile(r" \[while running '[^\n]*$")


def own_message(error: BaseException) -> str:
  """Returns the type and the message of the original error, without traceback.

  Beam re-raises a worker's exception with the worker's whole traceback as its message.
  """
  ours = plain_cause(error)
  if ours:
    return str(ours)
  text = str(error)
  if _TRACEBACK not in text:
    return f'{type(error).__name__}: {text}'.removesuffix(': ')
  lines = text.rsplit(_TRACEBACK, 1)[1].strip('\n').splitlines()
  first = next((i for i, line in enumerate(lines) if line and not line.startswith(' ')), 0)
  return _BEAM_STEP.sub('', '\n'.join(lines[first:]).strip())
