"""Balanced batches by torch, grain and MosaicML streaming, read in the environment of these."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import index_feeds
from benchmarks.batch_feeds import BATCH_SIZE, Batch, Feed, describe, read_feed
from benchmarks.data import DataFiles
from benchmarks.harness import Work

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_WORKERS = 2
_THREADS = 16  # grain's default


def read(data: dict[str, Any], root: str, beam_args: Any, side: str, seconds: float) -> Work:
  """Returns the work of reading a side's batches for a number of seconds."""
  files = DataFiles.from_json(data)
  columns = np.load(files.arrays)
  feed = FEEDS[side](columns['x'], columns['label'], files)
  classes, steps = files.spec.classes, files.records // BATCH_SIZE
  return Work(lambda: read_feed(feed, seconds), lambda found: describe(feed, found, classes, steps))


def torch_feed(x: Floats, label: Ints, files: DataFiles, batched: bool) -> Feed:
  """Returns draws of torch's WeightedRandomSampler, whole batches at once or single records.

  Torch uses one thread: with more, each batch waits for a core where other processes run.
  """
  import torch
  from torch.utils.data import BatchSampler, DataLoader, TensorDataset, WeightedRandomSampler

  torch.set_num_threads(1)
  records = TensorDataset(torch.from_numpy(x), torch.from_numpy(label))
  weights = torch.from_numpy(1 / np.bincount(label)[label])

  def start(seed: int) -> Iterator[Any]:
    draws = torch.Generator().manual_seed(seed)
    while True:  # epochs, of which each goes on with the generator
      sampler = WeightedRandomSampler(weights, len(label), generator=draws)
      if batched:
        by_batch = BatchSampler(sampler, BATCH_SIZE, drop_last=True)
        yield from DataLoader(records, sampler=by_batch, batch_size=None)
      else:
        yield from DataLoader(records, BATCH_SIZE, sampler=sampler, drop_last=True)

  return Feed(start, lambda batch: (batch[0].numpy(), batch[1].numpy()))


def balanced_feed(x: Floats, label: Ints, files: DataFiles) -> Feed:
  """Returns the batches of `BalancedBatches` in torch's DataLoader, which has two workers."""
  import torch
  from torch.utils.data import DataLoader, TensorDataset

  torch.set_num_threads(1)
  records = TensorDataset(torch.from_numpy(x), torch.from_numpy(label))
  feed = index_feeds.balanced_feed({'x': x}, label)

  def loader(batches: Iterator[Ints]) -> Iterator[Any]:
    return iter(DataLoader(records, sampler=batches, batch_size=None, num_workers=_WORKERS))

  resume = feed.resume
  assert resume is not None
  return Feed(
    lambda seed: loader(feed.start(seed)),
    lambda batch: (batch[0].numpy(), batch[1].numpy()),
    feed.save,
    lambda seed, step: loader(resume(seed, step)),
  )


def imblearn_feed(x: Floats, label: Ints, files: DataFiles) -> Feed:
  """Returns the batches of imbalanced-learn's generator: under-sampled once, then in passes."""
  from imblearn.tensorflow import balanced_batch_generator

  def start(seed: int) -> Iterator[Any]:
    batches, _ = balanced_batch_generator(x, label, batch_size=BATCH_SIZE, random_state=seed)
    return iter(batches)

  return Feed(start, lambda batch: batch)


def grain_feed(x: Floats, label: Ints, files: DataFiles) -> Feed:
  """Returns the batches of grain's mix of a shuffled dataset for each class, of equal weights."""
  import grain

  def start(seed: int) -> Iterator[Any]:
    parts = []
    for i in range(files.spec.classes):
      records = grain.MapDataset.source(RecordsOf(x, label, np.flatnonzero(label == i)))
      parts.append(records.seed(seed + i).shuffle().repeat())
    mixed = grain.MapDataset.mix(parts, [1 / len(parts)] * len(parts)).batch(BATCH_SIZE)
    return iter(mixed.to_iter_dataset(grain.ReadOptions(num_threads=_THREADS)))

  def resume(seed: int, state: Any) -> Iterator[Any]:
    resumed: Any = start(seed)
    resumed.set_state(state)
    return resumed

  def save(batches: Any, _: int) -> Any:
    return batches.get_state()

  return Feed(start, lambda batch: batch, save, resume)


class RecordsOf:
  """Records of one class, with random access."""

  def __init__(self, x: Floats, label: Ints, rows: Ints) -> None:
    self.x, self.label, self.rows = x, label, rows

  def __len__(self) -> int:
    return len(self.rows)

  def __getitem__(self, i: int) -> Batch:
    row = self.rows[i]
    return self.x[row], self.label[row]


def streaming_feed(x: Floats, label: Ints, files: DataFiles) -> Feed:
  """Returns the batches of MosaicML's StreamingDataset, of a stream for each class."""
  from streaming import Stream, StreamingDataLoader, StreamingDataset
  from streaming.base.util import clean_stale_shared_memory

  folder, classes = f'{files.folder}-mds', range(files.spec.classes)
  if not Path(folder).exists():
    write_streams(x, label, folder)

  def loader(seed: int) -> Any:
    clean_stale_shared_memory()  # of a dataset over the same files, which may still be there
    streams = [Stream(local=f'{folder}/{i}', proportion=1 / len(classes)) for i in classes]
    records = StreamingDataset(
      streams=streams,
      epoch_size=len(label),
      batch_size=BATCH_SIZE,
      batching_method='stratified',
      shuffle=True,
      shuffle_seed=seed,
      num_canonical_nodes=1,
    )
    return StreamingDataLoader(records, batch_size=BATCH_SIZE, num_workers=_WORKERS)

  loaders: dict[Any, Any] = {}  # of the iterators

  def start(seed: int, state: Any = None) -> Iterator[Any]:
    made = loader(seed)
    if state:
      made.load_state_dict(state)
    batches = index_feeds.epochs(made)
    loaders[batches] = made
    return batches

  return Feed(
    start,
    lambda batch: (batch['x'].numpy(), batch['label'].numpy()),
    lambda batches, _: loaders[batches].state_dict(),
    start,
  )


def write_streams(x: Floats, label: Ints, folder: str) -> None:
  """Writes a folder of MDS files for each class; all are there or none."""
  from streaming import MDSWriter

  columns = {'x': f'ndarray:float32:{x.shape[1]}', 'label': 'int'}
  part = Path(tempfile.mkdtemp(dir=Path(folder).parent, prefix='part-'))
  try:
    for i in np.unique(label).tolist():
      with MDSWriter(out=str(part / str(i)), columns=columns) as writer:
        for row in np.flatnonzero(label == i):
          writer.write({'x': x[row], 'label': i})
    part.rename(folder)
  finally:
    shutil.rmtree(part, ignore_errors=True)


FEEDS: dict[str, Callable[[Floats, Ints, DataFiles], Feed]] = {
  'torch, batched sampler': functools.partial(torch_feed, batched=True),
  'torch, sampler': functools.partial(torch_feed, batched=False),
  'BalancedBatches, torch': balanced_feed,
  'imbalanced-learn': imblearn_feed,
  'grain, mix': grain_feed,
  'MosaicML, stratified': streaming_feed,
}
"""Feeds by side, from features [n, 20], labels [n] and the files of the same records."""
