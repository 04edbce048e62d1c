"""StratifiedSplitter as a piece to measure that also counts its bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Work
from benchmarks.meter import metered
from benchmarks.one_component import stratified_split


def split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files; gives what `Meter` counts, and split to records."""
  work = stratified_split(data, root, beam_args)

  def run() -> dict[str, Any]:
    with metered() as meter:
      work.run()
    return meter.to_json()

  return Work(run, lambda counted: {**counted, 'records': work.check(None)})
