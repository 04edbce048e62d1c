"""Runs the fuzzer: `python -m tests.fuzz [--minutes 4] [--corpus FOLDER] [TARGET ...]`.

Each target runs in a process of its own, one after another, and keeps the inputs that reached new
code in a folder below --corpus, from which the next run goes on. An input that shows a fault is
written beside it, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path

_CORPUS = Path.home() / '.cache' / 'tfx-balance' / 'fuzz'


def run_target(name: str, seconds: int, corpus: Path) -> bool:
  """Fuzzes one target, prints what came of it, and returns whether it held."""
  folder, faults = corpus / name, corpus / f'faults-{name}-'
  folder.mkdir(parents=True, exist_ok=True)
  started = time.monotonic()
  done = subprocess.run(
    [
      *(sys.executable, '-W', 'ignore', '-m', 'tests.fuzz.run_target'),
      *(name, str(folder)),
      *(f'-max_total_time={seconds}', f'-artifact_prefix={faults}'),
      *('-max_len=1024', '-rss_limit_mb=8192', '-timeout=60', '-print_final_stats=1'),
    ],
    stdout=subprocess.PIPE,
    stderr=subprocess.STDOUT,
    text=True,
    errors='replace',
    check=False,
  )
  found = re.search(r'number_of_executed_units:\s*(\d+)', done.stdout)
  covered = re.findall(r'cov: (\d+)', done.stdout)
  seconds = round(time.monotonic() - started)
  print(
    f'{name:10} {found.group(1) if found else "?":>10} inputs in {seconds} s, '
    f'{covered[-1] if covered else "?"} places of the code reached, '
    f'{"no fault" if done.returncode == 0 else f"A FAULT: see {faults}*"}',
    flush=True,
  )
  if done.returncode:
    print(done.stdout[-4000:], file=sys.stderr)
  return done.returncode == 0


def main() -> int:
  """Runs the targets that are asked for, and returns the exit code."""
  from tests.fuzz.targets import TARGETS

  parser = argparse.ArgumentParser(prog='python -m tests.fuzz', description=__doc__)
  parser.add_argument('targets', nargs='*', metavar='TARGET', help=f'of {", ".join(TARGETS)}')
  parser.add_argument('--minutes', type=float, default=4, help='for all targets together')
  parser.add_argument('--corpus', type=Path, default=_CORPUS)
  options = parser.parse_args()
  unknown = sorted(set(options.targets) - set(TARGETS))
  if unknown:
    parser.error(f'target {unknown[0]!r} is not in {sorted(TARGETS)}')
  names = options.targets or list(TARGETS)
  seconds = max(1, int(options.minutes * 60 / len(names)))
  passed = [run_target(name, seconds, options.corpus) for name in names]
  return 0 if all(passed) else 1


if __name__ == '__main__':
  sys.exit(main())
