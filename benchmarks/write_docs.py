"""Runs benchmarks and writes what they print to docs/benchmarks.md, with what they ran on.

python benchmarks/write_docs.py benchmarks/split.py benchmarks/augment.py -- --small
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __package__ in (None, ''):  # run as a script: make the project's packages importable
  sys.path[0] = str(Path(__file__).resolve().parent.parent)

from benchmarks.machine import Machine
from benchmarks.measure import PROJECT

PAGE = PROJECT / 'docs' / 'benchmarks.md'
_HEAD = """# Benchmarks, small

What `make bench` printed, which writes this page. The cases are small, so that all of them run in
minutes: fixed costs of a pipeline, a second or so, weigh more here than in the figures of the
README, and one run is one run. Each benchmark says how to run it at full size.

"""


@dataclass(frozen=True)
class Printed:
  """What a benchmark printed.

  Attributes:
    file: of the benchmark, from the project's root.
    about: its docstring.
    text: what it printed.
    code: with which it ended; 0 if all went well.
  """

  file: str
  about: str
  text: str
  code: int


def run(file: str, arguments: Sequence[str]) -> Printed:
  """Runs a benchmark and returns what it printed, which is shown at once too."""
  command = [sys.executable, str(PROJECT / file), *arguments]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
  assert process.stdout
  lines = []
  for line in process.stdout:
    print(line, end='', flush=True)
    lines.append(line.rstrip())
  about = ast.get_docstring(ast.parse((PROJECT / file).read_text(encoding='utf-8'))) or file
  return Printed(file, about, '\n'.join(lines).strip(), process.wait())


def page(machine: Machine, arguments: Sequence[str], printed: Sequence[Printed]) -> str:
  """Returns the page, in Markdown."""
  parts = [_HEAD, *(f'    {line}\n' for line in machine.lines())]
  for one in printed:
    title, _, rest = one.about.partition('\n\n')
    failed = f'**It ended with code {one.code}: some of it failed.**\n\n' if one.code else ''
    told = '\n\n'.join(part for part in rest.split('\n\n') if not part.startswith('python '))
    command = ' '.join(['python', one.file, *arguments])
    parts.append(f'\n## {one.file}\n\n{title}\n\n{told}\n\n{failed}```text\n$ {command}\n')
    parts.append(f'{one.text}\n```\n')
  return ''.join(parts)


def main(arguments: Sequence[str]) -> int:
  """Runs the benchmarks that are named before `--` with what comes after it; returns 0 or 1."""
  at = arguments.index('--') if '--' in arguments else len(arguments)
  files, given = arguments[:at], arguments[at + 1 :]
  machine = Machine.now()
  printed = []
  for file in files:
    print(f'\n== {file} {" ".join(given)}', flush=True)
    printed.append(run(file, given))
  PAGE.write_text(page(machine, given, printed), encoding='utf-8')
  return 1 if any(one.code for one in printed) else 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
