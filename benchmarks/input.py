"""Compares BalancedInputs with the usual input pipelines for imbalanced data.

Each side reads the same records in its own process: small records of 5 and of 1,000 classes, and
PNG and JPEG images, with and without augmentation. All sides decode images, BalancedInputs by
`decode_fn=`, which keeps those of rare classes within the memory budget. The batches of a side are
read from a graph for a few seconds, and their contents are counted; the reported seconds are those
of all records at this rate. Peers that read by class get one file per class, the others mixed
files, and BalancedInputs the output of BalancedInputGen. Streamed: a quarter of the data fits into
the memory budget. start s: time to the first batch, including construction of the dataset; batches:
number of batches counted, after a warm-up; classes, top %: average number of classes in a batch,
and share of its largest class; rarest %: share of the least frequent class. Targets: 1.2 times the
examples/s of the plain pipeline without balancing where images are streamed (1.0 without repeats),
2.5 times for small records, 500 times those of rejection_resample, and a first batch within 2 s.

By priority: each step draws 256 items by priority and updates their priorities; the peer is
NumPy's weighted choice.
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
"""Sides of the case that augments every image of a batch, with `tf.map_fn` and batched."""
IMAGE_SIDES = ('plain', 'exact', 'exact, streamed', 'natural, streamed')
SMALL_SIDES = ('plain', 'rejection_resample', 'exact', 'exact, streamed')
PRIORITY_BATCH = 256
_ITEMS = 1_000_000  # for selection by priority
_LARGE = 7  # half sides of the small images to a side of the large ones
_WARM_UP = 0.2  # fraction of the seconds, before counting starts
_SHORT = 0.1  # seconds; after shorter calls, the number of batches per call is doubled

_SIZES: dict[str, tuple[int, int, int, int, float, tuple[str, ...]]] = {
  # Small records, images, side of an image, classes if there are many, seconds per side, sides.
  'full': (500_000, 20_000, 64, 1_000, 5.0, SIDES),
  'small': (50_000, 500, 64, 1_000, 1.0, SMALL_SIDES),
  'tiny': (2_000, 100, 12, 150, 0.05, ('plain', 'exact', 'exact, streamed')),
}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  records, pictures, side, classes, seconds, sides = _SIZES[size]
  few, images = DataSpec('small', records, 8), DataSpec(f'png{side}x{side}x3', pictures, 2)
  jpegs = [replace(images, kind=f'jpeg{s}x{s}x3') for s in (side, _LARGE * side // 2)]
  many = replace(few, classes=classes)
  return [
    case_of(few, 256, seconds, SIDES if size == 'tiny' else sides),
    case_of(many, 256, seconds, sides),
    case_of(many, 32, seconds, sides),
    case_of(images, 64, seconds, sides),
    *(case_of(spec, 64, seconds, IMAGE_SIDES) for spec in jpegs),
    case_of(images, 64, seconds, AUGMENT_SIDES, augmented=True),
    priority_case(_ITEMS, seconds),
  ]


def case_of(
  spec: DataSpec, batch_size: int, seconds: float, sides: Sequence[str], augmented: bool = False
) -> Case:
  """Returns the case that reads the specified files with several sides."""
  name = f'{spec.records:,} {spec.kind}, {spec.classes:,} classes, by {batch_size}'
  given = {'batch_size': batch_size, 'seconds': seconds}
  pieces = {side: Piece('benchmarks.input:read', {'side': side, **given}) for side in sides}
  peers = ('plain', 'exact, augmented by record') if augmented else ('plain', 'rejection_resample')
  return Case(
    name=f'{name}, augmented' if augmented else name,
    records=spec.records,
    make=Piece('benchmarks.data:lay_out', {'spec': asdict(spec)}),
    sides=pieces,
    peers=tuple(side for side in peers if side in pieces),
    ours=('exact, augmented',) if augmented else ('exact', 'exact, streamed'),
  )


def priority_case(items: int, seconds: float) -> Case:
  """Returns the case that selects items by priority."""
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
  """Returns the work of reading a side's batches for a number of seconds."""
  from benchmarks.input_sides import SIDES as READERS

  files = DataFiles.from_json(data)
  return Work(
    lambda: read_batches(lambda: READERS[side](files, batch_size), seconds),
    lambda found: summed_up(found, files.spec.first_label, files.spec.classes),
  )


Reading = tuple[float, float, float, list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]]]
"""Seconds to the first batch, measured seconds and core-seconds, labels and batch sizes."""


def summed_up(reading: Reading, first_label: int, classes: int) -> dict[str, Any]:
  """Returns a reading as fields of `Measured`; labels are consecutive from the first."""
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
  fields = {'records': int(total.sum()), 'counts': by_label, 'figures': figures}
  return {**fields, 'seconds': seconds, 'core_seconds': core}


def read_batches(make: Callable[[], Any], seconds: float) -> Reading:
  """Returns the batches that a dataset gives in a number of seconds, after a warm-up."""
  import tensorflow as tf

  start = time.perf_counter()
  iterator = iter(make())
  next(iterator)[1].numpy()
  started = time.perf_counter()

  # Read from a graph, as in `fit`, to exclude Python overhead.
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
  """Returns the work of drawing items by priority for a number of seconds."""
  losses, rng = np.linspace(0.1, 5, PRIORITY_BATCH), np.random.default_rng(0)
  if ours:  # imported here so that the peer does not load this package
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
