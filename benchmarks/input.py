"""Times ways to feed a model from imbalanced data: BalancedInputs beside the usual recipes.

Each side is a process of its own on the same records, small ones of 5 and of 1,000 classes and PNG
images, these also augmented on the way. Its batches are read from a graph for a few seconds, and
what they hold is counted; seconds are what as many examples as the data has take at that rate.
Peers that read by class get one file a class, the others get mixed files; ours gets what
BalancedInputGen wrote. Streamed: a quarter of the data fits into the memory budget. start s: to the
first batch, the making of the dataset included; batches: read while examples were counted, after a
warm-up; classes, top %: classes in a batch and the share of its largest, on average; rarest %:
share of the class that was seen least. What is aimed at: at least the examples/s of the plain
pipeline, which balances nothing, 500 times those of rejection_resample, and a first batch within
2 s.

By priority: a step draws 256 items by priority and changes theirs, beside numpy's weighted choice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import DataFiles, DataSpec
from benchmarks.harness import Case, Piece, Work, core_seconds

_PEERS = 'plain tf_dataset_factory sample_from_datasets group_by_window filter rejection_resample'
_STRATEGIES = ('exact', 'weighted', 'natural')
SIDES = (*_PEERS.split(), *_STRATEGIES, *(f'{strategy}, streamed' for strategy in _STRATEGIES))
AUGMENT_SIDES = ('plain', 'exact', 'exact, augmented by record', 'exact, augmented')
"""Of the case that augments every image of a batch on its way: by `tf.map_fn`, and batched."""
SMALL_SIDES = ('plain', 'rejection_resample', 'exact', 'exact, streamed')
PRIORITY_BATCH = 256
_ITEMS = 1_000_000  # to choose from by priority
_WARM_UP = 0.2  # of the seconds, before they are counted
_SHORT = 0.1  # seconds: as long as a call takes less, the next one reads twice as many batches

_SIZES: dict[str, tuple[int, int, int, int, float, tuple[str, ...]]] = {
  # Small records, images, their side, classes where there are many, seconds a side, sides.
  'full': (500_000, 20_000, 64, 1_000, 5.0, SIDES),
  'small': (50_000, 500, 64, 1_000, 1.0, SMALL_SIDES),
  'tiny': (2_000, 100, 12, 150, 0.05, ('plain', 'exact', 'exact, streamed')),
}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  records, pictures, side, classes, seconds, sides = _SIZES[size]
  few, images = DataSpec('small', records, 8), DataSpec(f'png{side}x{side}x3', pictures, 2)
  many = replace(few, classes=classes)
  return [
    case_of(few, 256, seconds, SIDES if size == 'tiny' else sides),
    case_of(many, 256, seconds, sides),
    case_of(many, 32, seconds, sides),
    case_of(images, 64, seconds, sides),
    case_of(images, 64, seconds, AUGMENT_SIDES, augmented=True),
    priority_case(_ITEMS, seconds),
  ]


def case_of(
  spec: DataSpec, batch_size: int, seconds: float, sides: Sequence[str], augmented: bool = False
) -> Case:
  """Returns the case that reads such files by several sides."""
  name = f'{spec.records:,} {spec.kind}, {spec.classes:,} classes, by {batch_size}'
  given = {'batch_size': batch_size, 'seconds': seconds}
  pieces = {side: Piece('benchmarks.input:read', {'side': side, **given}) for side in sides}
  return Case(
    name=f'{name}, augmented' if augmented else name,
    records=spec.records,
    make=Piece('benchmarks.data:lay_out', {'spec': asdict(spec)}),
    sides=pieces,
    peers=('plain', 'exact, augmented by record') if augmented else ('plain', 'rejection_resample'),
    ours=('exact, augmented',) if augmented else ('exact', 'exact, streamed'),
  )


def priority_case(items: int, seconds: float) -> Case:
  """Returns the case that chooses items by priority."""
  given = {'items': items, 'seconds': seconds}
  sides = {
    'numpy.random.choice': Piece('benchmarks.input:choose', {'ours': False, **given}),
    'PrioritySelector': Piece('benchmarks.input:choose', {'ours': True, **given}),
  }
  name = f'by priority, {PRIORITY_BATCH} of {items:,}'
  return Case(name, items, sides, ('numpy.random.choice',), ('PrioritySelector',))


def read(
  data: dict[str, Any], root: str, beam_args: Any, side: str, batch_size: int, seconds: float
) -> Work:
  """Returns the work of reading a side's batches for some seconds."""
  from benchmarks.input_sides import SIDES as READERS

  files = DataFiles.from_json(data)
  return Work(
    lambda: read_batches(lambda: READERS[side](files, batch_size), seconds),
    lambda found: summed_up(found, files.spec.first_label, files.spec.classes),
  )


Reading = tuple[float, float, float, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]]
"""Seconds to the first batch, seconds and core-seconds counted, labels and batch sizes."""


def summed_up(reading: Reading, first_label: int, classes: int) -> dict[str, Any]:
  """Returns what was read as fields of `Measured`; labels count up from the first."""
  start, seconds, core, runs = reading
  total, kinds, tops = np.zeros(classes, np.int64), [], []
  for labels, sizes in runs:
    for batch in np.split(labels, np.cumsum(sizes)[:-1]):
      counts = np.bincount(batch - first_label, minlength=classes)
      total += counts
      kinds.append(np.count_nonzero(counts))
      tops.append(counts.max() / counts.sum())
  figures = {
    'start s': start,
    'batches': len(kinds),
    'classes': float(np.mean(kinds)),
    'top %': 100 * float(np.mean(tops)),
    'rarest %': 100 * float(total.min() / total.sum()),
  }
  by_label = {str(i + first_label): n for i, n in enumerate(total.tolist())}
  told = {'records': int(total.sum()), 'counts': by_label, 'figures': figures}
  return {**told, 'seconds': seconds, 'core_seconds': core}


def read_batches(make: Callable[[], Any], seconds: float) -> Reading:
  """Returns what a dataset gave in some seconds, after its start and a warm-up."""
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

  n, counting, core, runs = 1, 0.0, 0.0, []
  while True:
    before = time.perf_counter()
    if not counting and before - started >= _WARM_UP * seconds:
      counting, core = before, core_seconds()
    labels, sizes = several(tf.constant(n))
    now = time.perf_counter()
    if counting:
      runs.append((labels.numpy(), sizes.numpy()))
    if counting and now - counting >= seconds:
      return started - start, now - counting, core_seconds() - core, runs
    n = 2 * n if now - before < _SHORT else n


def choose(data: Any, root: str, beam_args: Any, ours: bool, items: int, seconds: float) -> Work:
  """Returns the work of steps for some seconds, each of which draws items by priority."""
  losses, rng = np.linspace(0.1, 5, PRIORITY_BATCH), np.random.default_rng(0)
  if ours:  # or the peer's memory would hold what is ours
    from tfx_balance.inputs.selection import PrioritySelector

    selector = PrioritySelector(items)
  else:
    priorities = np.ones(items)

  def step(n: int) -> None:
    if ours:
      selector.update(selector.select(n, PRIORITY_BATCH).items, losses)
    else:
      drawn = rng.choice(items, PRIORITY_BATCH, p=priorities / priorities.sum())
      priorities[drawn] = losses**0.6

  def run() -> int:
    start, n = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
      n += 1
      step(n)
    return n

  step(0)
  return Work(run, lambda steps: {'records': steps * PRIORITY_BATCH, 'figures': {'steps': steps}})
