"""Compares BalancedInputs with libraries that draw balanced batches, on the same records.

Records have 20 floats and a label of 5 classes with 60, 25, 10, 4 and 1 percent of the records;
batches of 256 are to hold each class equally. In memory, the peers are torch's
WeightedRandomSampler, whose draws are used as batches of indices or, as is usual, one by one,
imbalanced-learn's balanced_batch_generator, grain's `MapDataset.mix` of a dataset for each class,
and a loop over shuffled rows of each class; BalancedBatches is read by itself and by torch's
DataLoader in two workers. From files, they are `sample_from_datasets`
over a file for each class, `rejection_resample`, and MosaicML's StreamingDataset with a stream for
each class and `batching_method='stratified'`, whose files are not compressed; the others are.
Streamed: a quarter of the data fits into the memory budget. Torch, grain and MosaicML's library run
in an environment of their own, of 6 GB.

start s: time to the first batch, construction included. batch off, epoch off: greatest distance of
the count of a class from its equal share, in records, in any batch of an epoch and in the whole
epoch, whose batches hold as many records as there are; epoch batches: those that could be read in
a minute. same seed: whether a pipeline made anew with the same seed gives the same batches.
resumed: whether a pipeline that goes on from what the library saved after 20 batches gives the next
batches; '-' where the library has nothing for that, as torch, whose torchdata was not measured.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from benchmarks import data as data_files
from benchmarks import index_feeds
from benchmarks.batch_feeds import (
  BATCH_SIZE,
  IN_BATCH,
  IN_EPOCH,
  RESUMED,
  SAME,
  Batch,
  Feed,
  describe,
  read_feed,
)
from benchmarks.data import DataFiles, DataSpec
from benchmarks.harness import Case, Piece, Result, Work
from benchmarks.input import read_batches
from benchmarks.report import empty_table

OURS = 'BalancedInputs'
STREAMED = f'{OURS}, streamed'
_STREAMED = 0.25  # memory budget as a fraction of the data
_IN_MEMORY = (
  *('torch, batched sampler', 'torch, sampler', 'imbalanced-learn', 'grain, mix'),
  index_feeds.LOOP,
)
_IN_TORCH = f'{index_feeds.OURS}, torch'
_FROM_FILES = ('sample_from_datasets', 'rejection_resample', 'MosaicML, stratified')
_HERE = (OURS, STREAMED, 'sample_from_datasets', 'rejection_resample', *index_feeds.FEEDS)
_SIZES = {'full': (400_000, 5.0), 'small': (50_000, 1.0), 'tiny': (2_000, 0.05)}
"""Records, and seconds per side."""


def cases(size: str) -> list[Case]:
  """Returns the cases of a size: batches of arrays, and of files."""
  records, seconds = _SIZES[size]
  spec = DataSpec('small', records, 8)
  return [
    case_of(spec, 'in memory', seconds, (OURS, index_feeds.OURS, _IN_TORCH), _IN_MEMORY),
    case_of(spec, 'from files', seconds, (OURS, STREAMED), _FROM_FILES),
  ]


def case_of(
  spec: DataSpec, source: str, seconds: float, ours: tuple[str, ...], peers: tuple[str, ...]
) -> Case:
  """Returns the case of one source of records; peers that need another environment run there."""
  sides = {}
  for side in (*ours, *peers):
    given = {'side': side, 'seconds': seconds}
    if side in _HERE:
      sides[side] = Piece('benchmarks.batches:read', {'source': source, **given})
    else:
      sides[side] = Piece('benchmarks.batches_peers:read', given, peers='batches')
  return Case(
    name=f'{spec.records:,} records {source}',
    records=spec.records,
    make=Piece('benchmarks.batches:lay_out', {'spec': asdict(spec)}),
    sides=sides,
    peers=peers,
    ours=ours,
  )


def lay_out(spec: dict[str, Any], cache: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of `data.lay_out`, plus the records as arrays in one file."""
  made = data_files.lay_out(spec, cache, beam_args)

  def run() -> Any:
    found = made.run()
    files = DataFiles.from_json(found)
    if not Path(files.arrays).exists():
      write_arrays(files)
    return found

  return Work(run)


def write_arrays(files: DataFiles) -> None:
  """Writes the records of all files as arrays 'x' and 'label', which are there whole or not."""
  import tensorflow as tf

  from benchmarks.input_sides import feature_spec

  batches = tf.data.TFRecordDataset(files.paths(), 'GZIP').batch(4096)
  parsed = [tf.io.parse_example(batch, feature_spec(files)) for batch in batches]
  columns = {name: np.concatenate([one[name].numpy() for one in parsed]) for name in parsed[0]}
  part = f'{files.arrays}.part.npz'
  np.savez(part, **columns)
  os.replace(part, files.arrays)


def read(
  data: dict[str, Any], root: str, beam_args: Any, source: str, side: str, seconds: float
) -> Work:
  """Returns the work of reading a side's batches for a number of seconds."""
  files = DataFiles.from_json(data)
  steps, classes = files.records // BATCH_SIZE, files.spec.classes
  if side in index_feeds.FEEDS:
    columns = dict(np.load(files.arrays))
    feed = index_feeds.FEEDS[side](columns, columns['label'])
    return Work(
      lambda: read_feed(feed, seconds), lambda found: describe(feed, found, classes, steps)
    )
  make = our_batches(files, source, side) if side in (OURS, STREAMED) else tf_batches(files, side)
  feed = our_feed(make) if side in (OURS, STREAMED) else tf_feed(make, side, root)
  return Work(
    lambda: read_batches(make, seconds), lambda found: describe(feed, found, classes, steps)
  )


def our_batches(files: DataFiles, source: str, side: str) -> Callable[..., Any]:
  """Returns the function from arguments of `BalancedInputs.train` to its dataset."""
  if source == 'from files':
    from benchmarks.input_sides import ours

    share = _STREAMED if side == STREAMED else None
    return functools.partial(ours, files, BATCH_SIZE, 'exact', share)
  from tfx_balance.inputs import BalancedInputs

  columns = dict(np.load(files.arrays))
  label = columns.pop('label')
  return lambda **given: BalancedInputs.from_arrays(columns, label).train(BATCH_SIZE, **given)


def tf_batches(files: DataFiles, side: str) -> Callable[..., Any]:
  """Returns the function from a seed to the dataset of a side of `input_sides`."""
  import tensorflow as tf

  from benchmarks.input_sides import SIDES

  def make(seed: int = 0) -> Any:
    tf.random.set_seed(seed)  # also starts the seeds of operations anew
    return SIDES[side](files, BATCH_SIZE)

  return make


def our_feed(make: Callable[..., Any]) -> Feed:
  """Returns the feed of BalancedInputs, which is resumed at a step."""
  return Feed(
    start=lambda seed: iter(make(seed=seed)),
    arrays=tf_arrays,
    save=lambda _, n: n,
    resume=lambda seed, n: iter(make(seed=seed, start_step=n)),
  )


def tf_feed(make: Callable[..., Any], side: str, root: str) -> Feed:
  """Returns the feed of a dataset, whose iterator is resumed from a checkpoint."""
  import tensorflow as tf

  def start(seed: int) -> Iterator[Any]:
    return iter(make(seed=seed))

  def save(batches: Iterator[Any], n: int) -> str:
    return tf.train.Checkpoint(batches=batches).save(f'{root}/iterator')

  def resume(seed: int, saved: str) -> Iterator[Any]:
    batches = start(seed)
    tf.train.Checkpoint(batches=batches).restore(saved)
    return batches

  if side == 'rejection_resample':  # a checkpoint is refused: 'RandomUniform is stateful'
    return Feed(start, tf_arrays)
  return Feed(start, tf_arrays, save, resume)


def tf_arrays(batch: Any) -> Batch:
  """Returns the arrays of a batch."""
  features, label = batch
  return features['x'].numpy(), label.numpy()


def comparison(results: Sequence[Result]) -> Table:
  """Returns the table of all sides; a side that failed is 'not run', its error is printed below."""
  figures = ('examples/s', 'core-us', 'start s', IN_BATCH, IN_EPOCH, SAME, RESUMED)
  table = empty_table('case', 'side', *figures, words=2)
  for result in results:
    for side, runs in result.runs.items():
      if not runs:
        table.add_row(result.case.name, side, 'not run')
        continue
      core = (result.core_seconds(side) or 0) / result.case.records * 1e6
      table.add_row(
        result.case.name,
        side,
        f'{result.rate(side):,.0f}',
        f'{core:.2f}',
        f'{result.median(side, lambda run: run.figures["start s"]):.2f}',
        *(f'{max(run.figures[name] for run in runs):,.1f}' for name in (IN_BATCH, IN_EPOCH)),
        *(word([run.figures.get(name) for run in runs]) for name in (SAME, RESUMED)),
      )
  return table


def word(figures: Sequence[float | None]) -> str:
  """Returns a word for what all runs found: 'yes' if all batches were the same.

  >>> word([1.0, 1.0]), word([1.0, 0.0]), word([None])
  ('yes', 'no', '-')
  """
  if None in figures:
    return '-'
  return 'yes' if all(figures) else 'no'
