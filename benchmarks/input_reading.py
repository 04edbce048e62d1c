"""A side of the input benchmark as a piece to measure: batches are read for some seconds."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.input_data import InputFiles
from benchmarks.measure import Work

_WARM_UP = 0.2  # of the seconds, before they are counted
_SHORT = 0.1  # seconds: as long as a call takes less, the next one reads twice as many batches


@dataclass(frozen=True)
class Reading:
  """What was read.

  Attributes:
    start_seconds: until the first batch was there, the making of the dataset included.
    seconds: that were counted, from a batch to a batch.
    batches: that were read in them.
    examples: in these.
    classes_a_batch: how many classes a batch held, on average.
    top_share: of a batch's largest class, on average.
    rarest_share: of the class that was seen least, in all that was read.
  """

  start_seconds: float
  seconds: float
  batches: int
  examples: int
  classes_a_batch: float
  top_share: float
  rarest_share: float

  @property
  def examples_per_second(self) -> float:
    """The throughput, start and warm-up not counted."""
    return self.examples / self.seconds

  @classmethod
  def from_json(cls, data: dict[str, Any]) -> Reading:
    """Returns what `asdict` gave."""
    return cls(**{field.name: data[field.name] for field in fields(cls)})


def read(data: dict[str, Any], side: str, batch_size: int, seconds: float) -> Work:
  """Returns the work of reading a side's batches; gives a `Reading`."""
  from benchmarks.input_sides import SIDES

  files = InputFiles(**data)
  return Work(
    lambda: read_batches(lambda: SIDES[side](files, batch_size), seconds),
    check=lambda found: asdict(summed_up(found, files)),
  )


Labels = list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]
"""Of runs of batches: the labels of all their records, and the records of each batch."""


def read_batches(make: Any, seconds: float) -> tuple[float, float, Labels]:
  """Returns the seconds to the first batch, those counted, and the labels read in these."""
  import tensorflow as tf

  start = time.perf_counter()
  iterator = iter(make())
  next(iterator)[1].numpy()
  started = time.perf_counter()

  # As `fit` reads them: from a graph, so that Python is not what is measured.
  @tf.function(reduce_retracing=True)
  def several(n: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    labels = tf.TensorArray(tf.int64, n, element_shape=[None], infer_shape=False)
    sizes = tf.TensorArray(tf.int32, n)
    for i in tf.range(n):
      found = tf.reshape(next(iterator)[1], [-1])
      labels, sizes = labels.write(i, found), sizes.write(i, tf.size(found))
    return labels.concat(), sizes.stack()

  n, counting, counted = 1, 0.0, []
  while True:
    before = time.perf_counter()
    if not counting and before - started >= _WARM_UP * seconds:
      counting = before
    labels, sizes = several(tf.constant(n))
    now = time.perf_counter()
    if counting:
      counted.append((labels.numpy(), sizes.numpy()))
    if counting and now - counting >= seconds:
      return started - start, now - counting, counted
    n = 2 * n if now - before < _SHORT else n


def summed_up(found: tuple[float, float, Labels], files: InputFiles) -> Reading:
  """Returns what `read_batches` found, in numbers."""
  start, seconds, counted = found
  kinds, tops = [], []
  total = np.zeros(files.classes, np.int64)
  for labels, sizes in counted:
    for batch in np.split(labels, np.cumsum(sizes)[:-1]):
      counts = np.bincount(batch - files.first_label, minlength=files.classes)
      total += counts
      kinds.append(np.count_nonzero(counts))
      tops.append(counts.max() / counts.sum())
  n_batches, examples = len(kinds), int(total.sum())
  return Reading(
    start_seconds=start,
    seconds=seconds,
    batches=n_batches,
    examples=examples,
    classes_a_batch=float(np.mean(kinds)),
    top_share=float(np.mean(tops)),
    rarest_share=float(total.min() / total.sum()),
  )
