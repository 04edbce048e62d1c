"""What is measured of any input pipeline of balanced batches: its speed, its counts, its resuming.

It imports neither TensorFlow nor torch, since it runs in the environments of both.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from benchmarks.harness import core_seconds
from benchmarks.input import Reading, summed_up

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Features, [B, n], and labels, [B]; labels begin at 0."""

BATCH_SIZE = 256
IN_BATCH, IN_EPOCH = 'batch off', 'epoch off'
SAME, RESUMED = 'same seed', 'resumed'
_SEED = 7
_COMPARED = 20  # batches before the state is taken, and after
_LIMIT = 60.0  # seconds, after which slow pipelines are not read to the end of an epoch
_WARM_UP = 0.2  # fraction of the seconds, before counting starts


@dataclass(frozen=True)
class Feed:
  """Input pipeline of batches in which classes are to have equal shares.

  Attributes:
    start: From a seed to a new iterator of batches.
    arrays: From a batch to its features and labels.
    save: From an iterator that `start` returned, and the number of batches that it gave, to its
      state; None if the library has no such function.
    resume: From a seed and a state to a new iterator, which is to go on behind these batches.
  """

  start: Callable[[int], Iterator[Any]]
  arrays: Callable[[Any], Batch]
  save: Callable[[Iterator[Any], int], Any] | None = None
  resume: Callable[[int, Any], Iterator[Any]] | None = None


def read_feed(feed: Feed, seconds: float) -> Reading:
  """Returns the batches that a Python loop reads in a number of seconds, after a warm-up."""
  start = time.perf_counter()
  batches = feed.start(_SEED)
  feed.arrays(next(batches))
  started = time.perf_counter()
  while time.perf_counter() - started < _WARM_UP * seconds:
    next(batches)
  counting, core, labels = time.perf_counter(), all_core_seconds(), []
  while time.perf_counter() - counting < seconds:
    labels.append(feed.arrays(next(batches))[1])
  took, used = time.perf_counter() - counting, all_core_seconds() - core
  sizes = np.array([len(batch) for batch in labels], np.int32)
  return started - start, took, used, [(np.concatenate(labels), sizes)]


def all_core_seconds() -> float:
  """Returns the CPU time of this process and of all its children, those that run included."""
  running = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
  return core_seconds() + sum(used.user + used.system for used in running)


def describe(feed: Feed, reading: Reading, classes: int, steps: int) -> dict[str, Any]:
  """Returns a reading as fields of `Measured`, with what `counts_off` and `followed` find."""
  found = summed_up(reading, 0, classes)
  kept = {name: found['figures'][name] for name in ('start s', 'batches')}
  figures = {**kept, **counts_off(feed, classes, steps), **followed(feed)}
  return {**found, 'figures': figures}


def counts_off(feed: Feed, classes: int, steps: int) -> dict[str, float]:
  """Returns the greatest distances, in records, between counts of a class and its equal share.

  One is that in a batch, the other that in all batches of an epoch of so many steps; what is not
  read after a minute is left out.
  """
  stop = time.perf_counter() + _LIMIT
  total, off, n = np.zeros(classes, np.int64), 0.0, 0
  for batch in itertools.islice(feed.start(_SEED), steps):
    counts = np.bincount(feed.arrays(batch)[1], minlength=classes)
    off = max(off, distance(counts))
    total += counts
    n += 1
    if time.perf_counter() > stop:
      break
  return {IN_BATCH: off, IN_EPOCH: distance(total), 'epoch batches': n}


def distance(counts: npt.NDArray[np.int64]) -> float:
  """Returns the greatest distance between a count and the mean.

  >>> distance(np.array([51, 51, 51, 51, 52]))
  0.7999999999999972
  """
  return float(np.abs(counts - counts.mean()).max())


def followed(feed: Feed) -> dict[str, float]:
  """Returns whether the same seed, and an iterator that is resumed, give the same batches: 1 or 0.

  There is no figure of an iterator that cannot be resumed.
  """
  first = taken(feed, feed.start(_SEED), _COMPARED)
  batches = feed.start(_SEED)
  figures = {SAME: float(equal_batches(first, taken(feed, batches, _COMPARED)))}
  if feed.save and feed.resume:
    state = feed.save(batches, _COMPARED)
    rest = taken(feed, batches, _COMPARED)
    figures[RESUMED] = float(equal_batches(rest, taken(feed, feed.resume(_SEED, state), _COMPARED)))
  return figures


def taken(feed: Feed, batches: Iterator[Any], n: int) -> list[Batch]:
  """Returns the next n batches of an iterator."""
  return [feed.arrays(batch) for batch in itertools.islice(batches, n)]


def equal_batches(one: Sequence[Batch], other: Sequence[Batch]) -> bool:
  """Returns whether the batches have the same features and labels in the same order."""
  return len(one) == len(other) and all(
    np.array_equal(x, its_x) and np.array_equal(label, its_label)
    for (x, label), (its_x, its_label) in zip(one, other, strict=True)
  )
