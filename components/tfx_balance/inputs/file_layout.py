"""Where a plan's records are: which classes are held in memory, and in which file a record lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.inputs.records import RECORD_OVERHEAD

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class FileLayout:
  """The segments of a plan's files in the order of the records' numbers.

  Attributes:
    starts: int64 [n_segments], number of each segment's first record.
    file: int64 [n_segments], index of its file in the plan.
    offset: int64 [n_segments], records that stand before it in its file.
    held: bool [n_files], whether a file is held in memory.
    windows: for each class, the sizes of the runs of records that are shuffled together.
    window_bytes: that one window of each streamed class takes, added up.
  """

  starts: Ints
  file: Ints
  offset: Ints
  held: npt.NDArray[np.bool_]
  windows: tuple[tuple[int, ...], ...]
  window_bytes: int

  @classmethod
  def of(cls, plan: InputPlan, memory_budget: int) -> FileLayout:
    """Returns the layout under a budget of bytes.

    All is held where the budget allows. Otherwise half the budget holds the smallest classes, and
    the other half is for windows of the rest, each a file or several.
    """
    segments = _segments(plan)
    total = sum(file.n_bytes for file in plan.files)
    budget = memory_budget if total <= memory_budget else memory_budget // 2
    held = _held(plan, segments, budget)
    streamed = sum(any(not held[f] for f, _, _ in own) for own in segments)
    window = budget // (2 * streamed) if streamed else 0
    grouped = [_windows(plan, own, held, window) for own in segments]
    flat = [part for own in segments for part in own]
    sizes = np.array([n for _, _, n in flat], np.int64)
    return cls(
      starts=np.cumsum(sizes) - sizes,
      file=np.array([f for f, _, _ in flat], np.int64),
      offset=np.array([before for _, before, _ in flat], np.int64),
      held=held,
      windows=tuple(sizes for sizes, _ in grouped),
      window_bytes=sum(n_bytes for _, n_bytes in grouped),
    )


Part = tuple[int, int, int]  # file, records before the segment in the file, records in it


def _segments(plan: InputPlan) -> list[list[Part]]:
  """Returns each class's segments, in the order of files."""
  found: list[list[Part]] = [[] for _ in plan.classes]
  for i, file in enumerate(plan.files):
    before = 0
    for segment in file.segments:
      found[segment.class_index].append((i, before, segment.records))
      before += segment.records
  return found


def _held(plan: InputPlan, segments: list[list[Part]], budget: int) -> npt.NDArray[np.bool_]:
  """Returns which files to hold: those of the smallest classes, as far as the budget reaches."""
  size = [file.n_bytes for file in plan.files]
  records = [file.records for file in plan.files]
  per_class = [sum(size[f] * n // records[f] for f, _, n in own) for own in segments]
  held = np.zeros(len(plan.files), np.bool_)
  for c in np.argsort(per_class, kind='stable').tolist():
    new = {f for f, _, _ in segments[c] if not held[f]}
    budget -= sum(size[f] for f in new)
    if budget < 0:
      break
    held[list(new)] = True
  return held


def _windows(
  plan: InputPlan, own: list[Part], held: npt.NDArray[np.bool_], window_bytes: int
) -> tuple[tuple[int, ...], int]:
  """Returns the sizes of a class's windows, and the bytes of the largest one (0 if held)."""
  if all(held[f] for f, _, _ in own):
    return (sum(n for _, _, n in own),), 0
  sizes: list[int] = []
  used, largest = 0, 0
  for f, _, n in own:
    file = plan.files[f]
    size = (file.n_bytes + RECORD_OVERHEAD * file.records) * n // file.records  # its part of it
    if sizes and used + size <= window_bytes:
      sizes[-1] += n
      used += size
    else:
      sizes.append(n)
      used = size
    largest = max(largest, used)
  return tuple(sizes), largest
