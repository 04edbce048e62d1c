"""What set-up says while it works, and when it cannot."""

import re
import subprocess
import time
from typing import Dict, List, Optional

_START = time.monotonic()

# What uv says of each of some 280 packages; downloads from 20 MiB on are worth a line.
_DETAIL = re.compile(r' [+~-] | *Downloaded | +Downloading |Downloading \S+ \(1?\d\.\dMiB')


class SetupError(Exception):
  """Something that set-up cannot fix; the message says what is missing and the fix."""


def say(text: str) -> None:
  """Prints a line with the seconds since the start."""
  print(f'[{time.monotonic() - _START:6.1f} s] {text}', flush=True)


def stream(
  command: List[str], text: str = '', environment: Optional[Dict[str, str]] = None
) -> None:
  """Runs a command and says its lines as they come, all but the details.

  Args:
    command: the program and its arguments.
    text: what it reads on standard input.
    environment: its environment variables; those of this process where None.

  Raises:
    SetupError: the command failed; its last lines are in the message.
  """
  process = subprocess.Popen(
    command,
    stdin=subprocess.PIPE,
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    env=environment,
    universal_newlines=True,
  )
  assert process.stdin
  assert process.stdout
  process.stdin.write(text)
  process.stdin.close()
  lines: List[str] = []
  for line in process.stdout:
    lines.append(line.rstrip())
    if not _DETAIL.match(line):
      say('  ' + lines[-1])
  if process.wait() != 0:
    raise SetupError(
      'this command failed:\n  {}\nwith\n  {}'.format(
        ' '.join(command), '\n  '.join(lines[-30:]) or 'no output'
      )
    )
