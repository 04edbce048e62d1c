"""Compares BalancedAugmenter with peers: plain copies, augmented images, pools of neighbors.

Plain copies oversample 5 classes of 60, 25, 10, 4 and 1 percent to the largest. The peer is a
per-record Beam pipeline that implements the documented algorithm of tfx-addons' Sampler; the lean
peer passes bytes instead of parsed examples between its steps. Augmented images are 10 copies of
each record with random flips, crops, brightness and contrast; the peer is a tf.data pipeline that
maps the same operations over single records. Their floor is the core-seconds of the codecs
and the operations alone: decoding every original once, changing all copies and encoding them. Image
bytes: size of an encoded copy on average, as it depends on how much effort goes into compression.
The last case of images is a pipeline for few of them, beside that of a component that does nothing.
The component is timed as LocalDagRunner.run() of an
importer and BalancedAugmenter, the transform as its Beam pipeline alone. Targets: 20 times the
peer's records per second for copies, 4 times for PNGs and twice for JPEGs, and for few images at
least half of those of the empty component.

`Smote` searches neighbors among the first pool_size records of a class by hash rank. For 500
records of a class of 8 normally distributed numbers each, the 5 nearest neighbors in the pool are
compared with the 5 nearest in the whole class. Recall is the share of the latter that the pool
search finds; distance is the mean distance to the neighbors in the pool divided by that to the
neighbors in the class.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.data import SPLIT, DataFiles, DataSpec
from benchmarks.harness import IMAGE_FLOOR, Case, Piece, Work

COPIES = 'copies'
"""Name of the split of augmented images."""
K = 5
"""Number of neighbors to search for."""
_OURS = 'benchmarks.augment:ours'
_N_COPIES = 10  # copies of each image
_LEAST_IMAGES = 25  # of fewer, a class has none
_FEW = 200  # images, with a copy of each
_OF_FLOOR = 300  # originals that the floor of images is measured on
_POOLS = (500, 2_000, 10_000)
_NUMBERS = 8
_ASKED = 500  # records whose neighbors are searched
_SIZES = {  # records, images written, records of a class
  'full': (1_500_000, 50_000, 50_000),
  'small': (20_000, 2_000, 10_000),
  'tiny': (500, 1_000, 1_000),
}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  records, written, of_class = _SIZES[size]
  kinds = ('png12x12x1',) if size == 'tiny' else ('png28x28x1', 'png64x64x3')
  images = [image_case(kind, written // _N_COPIES) for kind in kinds]
  if size != 'tiny':
    images.append(image_case('jpeg224x224x3', max(written // _N_COPIES // 10, _LEAST_IMAGES)))
  return [copy_case(records), *images, few_case(), pool_case(of_class)]


def copy_case(records: int) -> Case:
  """Returns the case of plain copies; the output has three times as many records as the input."""
  spec = DataSpec('small', records, 8)
  written = spec.classes * max(spec.class_counts())
  return Case(
    name=f'plain copies of {records:,} small',
    records=written,
    make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
    floor=Piece('benchmarks.floor:recode', {'output': written / records}),
    sides={
      'peer': Piece('benchmarks.augment_peers:sample', {'lean': False}),
      'lean peer': Piece('benchmarks.augment_peers:sample', {'lean': True}),
      'component': Piece(_OURS, {'n_copies': 0, 'alone': False}),
      'transform': Piece(_OURS, {'n_copies': 0, 'alone': True}),
    },
    peers=('peer', 'lean peer'),
    ours=('component',),
    aim=20,
  )


def image_case(kind: str, records: int) -> Case:
  """Returns the case of augmented images."""
  given = {'n_copies': _N_COPIES}
  return Case(
    name=f'augmented {kind}',
    records=records * _N_COPIES,
    make=Piece('benchmarks.data:make', {'spec': asdict(DataSpec(kind, records, 2))}),
    floor=Piece('benchmarks.augment:image_floor', given),
    sides={
      'peer': Piece('benchmarks.augment_peers:map_images', given),
      'component': Piece(_OURS, {**given, 'alone': False}),
      'transform': Piece(_OURS, {**given, 'alone': True}),
    },
    peers=('peer',),
    ours=('component',),
    aim=4 if kind.startswith('png') else 2,
  )


def few_case() -> Case:
  """Returns the case of a few augmented images, which compares fixed costs."""
  spec = DataSpec('png28x28x1', _FEW, 1)
  return Case(
    name=f'{_FEW} augmented {spec.kind}',
    records=_FEW,
    make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
    sides={
      'empty component': Piece('benchmarks.components:do_nothing'),
      'component': Piece(_OURS, {'n_copies': 1, 'alone': False}),
    },
    peers=('empty component',),
    ours=('component',),
    aim=0.5,
  )


def pool_case(records: int) -> Case:
  """Returns the case that compares pools of neighbors with the whole class."""
  pools = [n for n in _POOLS if n < records]
  piece, given = 'benchmarks.augment:search_pool', {'records': records}
  whole = {'whole class': Piece(piece, {**given, 'pool_size': records})}
  return Case(
    name=f'{K} neighbors in a class of {records:,}',
    records=_ASKED,
    sides=whole | {f'pool of {n:,}': Piece(piece, {**given, 'pool_size': n}) for n in pools},
    peers=('whole class',),
    ours=tuple(f'pool of {n:,}' for n in pools),
  )


def ours(
  data: dict[str, Any], root: str, beam_args: Sequence[str], n_copies: int, alone: bool
) -> Work:
  """Returns the work of BalancedAugmenter: n_copies augmented copies per image, or plain ones if 0.

  It runs the component in a pipeline with an importer or, if `alone`, its transform without TFX.
  """
  from benchmarks.checks import check_balanced, check_images

  files = DataFiles.from_json(data)
  counts, check = files.spec.class_counts(), check_balanced
  options: dict[str, Any] = {}
  if n_copies:
    from tfx_balance.augment import ImageAugment

    from benchmarks.augment_peers import BRIGHTNESS, CONTRAST, CROP

    look: dict[str, Any] = {'brightness': BRIGHTNESS, 'contrast': CONTRAST, 'crop': CROP}
    check = partial(check_images, side=files.spec.image_shape[0])
    options = {
      'factors': dict.fromkeys(range(files.spec.classes), n_copies + 1),
      'augment_fn': ImageAugment(flip_left_right=True, **look),
      'augmented_split': COPIES,
    }
  targets = [n * n_copies for n in counts] if n_copies else [max(counts)] * len(counts)
  run, output = (_transform if alone else _component)(files, root, beam_args, **options)
  found = f'{output}/Split-{COPIES if n_copies else SPLIT}/*'
  return Work(run, lambda _: check(found, targets), files.fresh_bytes * sum(targets) // sum(counts))


def image_floor(data: dict[str, Any], n_copies: int) -> Work:
  """Returns the work of decoding images, changing copies and encoding them, without all the rest.

  The result is core-seconds for all images, taken from some of them.
  """
  import tensorflow as tf
  from tfx_balance.augment.image_files import Look, change, decode, encode

  files = DataFiles.from_json(data)
  spec = {'image': tf.io.FixedLenFeature([], tf.string)}
  records = tf.data.TFRecordDataset(files.paths(), 'GZIP').take(_OF_FLOOR).batch(_OF_FLOOR)
  originals = tf.io.parse_example(next(iter(records)), spec)['image'].numpy()
  is_png, side = files.spec.kind.startswith('png'), files.spec.image_shape[0]
  window, colors = (1, 1, side - 2, side - 2), np.linspace((0.8, -20), (1.2, 20), n_copies)
  drawn = {
    'windows': np.array([window] * n_copies),
    'mirrored': np.arange(2 * n_copies).reshape(-1, 2) // 2 % 2 == [2, 1],
    'colors': colors,
  }
  look = Look('reflect', 0, 0, 255, 95)
  images = [decode(file, is_png) for file in originals]
  copies = [change(image, drawn, look) for image in images]
  calls: dict[str, Callable[[], Any]] = {
    'decode': lambda: [decode(file, is_png) for file in originals],
    'operations': lambda: [change(image, drawn, look) for image in images],
    'encode': lambda: [encode(some, is_png, 95) for some in copies],
  }

  def run() -> dict[str, float]:
    found = {
      name: _core_seconds(call) * files.records / len(originals) for name, call in calls.items()
    }
    return {**found, IMAGE_FLOOR: sum(found.values())}

  return Work(run)


def _core_seconds(call: Callable[[], Any]) -> float:
  """Returns the CPU time of a call, the second in a row."""
  call()
  start = time.process_time()
  call()
  return time.process_time() - start


def _component(
  files: DataFiles, root: str, beam_args: Sequence[str], **options: Any
) -> tuple[Callable[[], Any], str]:
  """Returns the run of a pipeline of an importer and the component, and its output folder."""
  from tfx_balance import BalancedAugmenter

  from benchmarks.components import import_examples, pipeline_work

  source = import_examples(files)
  component = BalancedAugmenter(source.outputs['result'], splits=(SPLIT,), **options)
  run = pipeline_work([source, component], root, beam_args).run
  return run, f'{root}/{component.id}/examples/*'


def _transform(
  files: DataFiles, root: str, beam_args: Sequence[str], **options: Any
) -> tuple[Callable[[], Any], str]:
  """Returns the run of the transform's Beam pipeline, and its output folder."""
  import apache_beam as beam
  from apache_beam.options.pipeline_options import PipelineOptions
  from tfx_balance.balanced_augmenter.output_plan import AugmentContext
  from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
  from tfx_balance.balanced_augmenter.transform import BalancedAugment
  from tfx_balance.scan.scan import InputFile
  from tfx_balance.writer import write_outputs

  split, work_dir = options.get('augmented_split'), f'{root}/.work'
  arguments: dict[str, Any] = {'label': 'label', 'splits': SPLIT, 'sampling_strategy': 'auto'}
  arguments |= {'factors': options.get('factors'), 'augmented_split': split}
  parameters = AugmenterParameters.decode(arguments)
  context = AugmentContext(parameters, 'FORMAT_TF_EXAMPLE', root, '.gz', work_dir=work_dir)
  Path(work_dir).mkdir(parents=True)
  inputs = [InputFile(path, file_number, SPLIT) for file_number, path in enumerate(files.paths())]
  transform = BalancedAugment(context, (lambda: options['augment_fn']) if options else None)

  def run() -> None:
    with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
      write_outputs(pipeline, inputs, transform, [], [], work_dir)

  return run, root


def search_pool(
  records: int, pool_size: int, data: Any = None, root: str = '', beam_args: Sequence[str] = ()
) -> Work:
  """Returns the work of a neighbor search in a pool of a class of generated records."""
  rows = np.random.default_rng(0).normal(size=(records, _NUMBERS)).astype(np.float32)
  search = _search(rows, pool_size)

  def check(neighbours: npt.NDArray[np.int64]) -> Mapping[str, Any]:
    true = _search(rows, records)()
    figures = {
      'share': pool_size / records,
      'recall': float((true[:, :, None] == neighbours[:, None, :]).any(axis=2).mean()),
      'distance': _distance(rows, neighbours) / _distance(rows, true),
    }
    return {'records': len(neighbours), 'figures': figures}

  return Work(search, check)


def _search(rows: npt.NDArray[np.float32], pool_size: int) -> Callable[[], npt.NDArray[np.int64]]:
  """Returns a search for the first records' nearest neighbors in the pool, int64 [asked, K]."""
  import tensorflow as tf
  from tfx_balance.augment import Smote
  from tfx_balance.plan.ranks import ranks

  order = np.argsort(ranks(np.arange(len(rows), dtype=np.uint64), 0, 'balance'))[:pool_size]
  bound = Smote(['x'], k=K, pool_size=pool_size).bind({'x': rows[order]})
  asked = {'x': tf.constant(rows[:_ASKED])}
  return lambda: order[bound.neighbours(asked)[0].numpy()]


def _distance(rows: npt.NDArray[np.float32], nearest: npt.NDArray[np.int64]) -> float:
  """Returns the mean distance of the first records to the given neighbors."""
  steps = rows[nearest] - rows[: len(nearest), None]
  return float(np.sqrt((steps**2).sum(axis=2)).mean())
