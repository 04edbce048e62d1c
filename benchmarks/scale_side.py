"""StratifiedSplitter as a piece to measure that also counts its bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfx_balance.transforms.records import read_frames

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

  def check(counted: dict[str, Any]) -> dict[str, Any]:
    records = count_records(Path(root))
    if sum(records.values()) != data['records']:
      raise RuntimeError(
        f'{data["records"]} records went in, {records} came out; mend the splitter'
      )
    return {**counted, 'records': records}

  return Work(run, check, work.fresh_bytes)


def count_records(root: Path) -> dict[str, int]:
  """Returns the records of each split, checksums verified.

  By the package's own reader: TensorFlow's, which the split benchmark takes, needs minutes for 50
  million records.
  """
  records: Counter[str] = Counter()
  for path in sorted(root.glob('StratifiedSplitter/examples/*/Split-*/*')):
    records[path.parent.name.removeprefix('Split-')] += sum(map(len, read_frames(str(path))))
  return dict(records)
