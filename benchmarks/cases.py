"""What every benchmark does with its cases: run one after another, keep what is there, report."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.machine import Machine


def run_cases(
  settings: Any,
  run_case: Callable[[Any, Any], Any],
  print_report: Callable[[Machine, Sequence[str], Sequence[Any]], None],
) -> int:
  """Runs a benchmark's cases and prints its report; returns 0, or 1 if a side failed.

  Args:
    settings: has `cases`, `beam_args`, and `json`, the file to write to or None.
    run_case: from a case and the settings to a result with `errors` and `to_json()`.
    print_report: takes the machine, the arguments of Beam and the results.
  """
  machine = Machine.now()
  results: list[Any] = []
  for case in settings.cases:
    results.append(run_case(case, settings))
    if settings.json:  # after each case: the whole list takes long
      written = {
        'machine': asdict(machine),
        'beam_args': settings.beam_args,
        'cases': [result.to_json() for result in results],
      }
      settings.json.write_text(json.dumps(written, indent=1) + '\n')
  print_report(machine, settings.beam_args, results)
  return 1 if any(result.errors for result in results) else 0


def progress(text: str) -> None:
  """Prints a line with the time to standard error."""
  print(f'{time.strftime("%H:%M:%S")} {text}', file=sys.stderr, flush=True)
