"""Measures the ways of docs/cookbook to load balanced batches: CPU time, and how even they are.

`python tools/measure_cookbook.py` measures those whose libraries are installed. CPU time is that of
all threads, which other processes on the machine disturb less than elapsed time.
"""

import importlib.util
import itertools
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / 'components'))

N, SIZE, SECONDS = 100_000, 256, 3.0
COUNTS = np.array([60, 25, 10, 4, 1]) * N // 100
LABELS = np.random.default_rng(0).permutation(np.repeat(np.arange(5), COUNTS))
FEATURES = np.random.default_rng(1).random((N, 20), np.float32)
ROWS = [np.flatnonzero(LABELS == k) for k in range(5)]  # noqa: SIM300
WEIGHTS = (1 / COUNTS)[LABELS] / 5


def balanced_batches():
  """BalancedBatches."""
  from tfx_balance import BalancedBatches

  batches = BalancedBatches(LABELS, SIZE)
  for rows in itertools.chain.from_iterable(itertools.repeat(batches)):
    yield FEATURES[rows], LABELS[rows]


def numpy_choice():
  """np.random.choice(p=)."""
  rng = np.random.default_rng(0)
  while True:
    rows = rng.choice(N, SIZE, p=WEIGHTS)
    yield FEATURES[rows], LABELS[rows]


def balanced_inputs():
  """BalancedInputs."""
  from tfx_balance.inputs import BalancedInputs

  return BalancedInputs.from_arrays(FEATURES, LABELS).train(SIZE).as_numpy_iterator()


def sample_from_datasets():
  """tf.data sample_from_datasets."""
  import tensorflow as tf

  parts = [
    tf.data.Dataset.from_tensor_slices((FEATURES[rows], LABELS[rows]))
    .shuffle(len(rows), seed=7)
    .repeat()
    for rows in ROWS
  ]
  mixed = tf.data.Dataset.sample_from_datasets(parts, [1 / 5] * 5, seed=7)
  return mixed.batch(SIZE).prefetch(2).as_numpy_iterator()


def rejection_resample():
  """tf.data rejection_resample."""
  import tensorflow as tf

  data = tf.data.Dataset.from_tensor_slices((FEATURES, LABELS)).shuffle(N, seed=7).repeat()
  even = data.rejection_resample(lambda x, y: y, [1 / 5] * 5, COUNTS / N, seed=7)
  return even.map(lambda _, pair: pair).batch(SIZE).prefetch(2).as_numpy_iterator()


def from_generator():
  """tf.data from_generator, one record at a time."""
  import tensorflow as tf

  def records():
    rng = np.random.default_rng(0)
    while True:
      row = rng.choice(ROWS[rng.integers(5)])
      yield FEATURES[row], LABELS[row]

  spec = (tf.TensorSpec([20], tf.float32), tf.TensorSpec([], tf.int64))
  made = tf.data.Dataset.from_generator(records, output_signature=spec)
  return made.batch(SIZE).prefetch(2).as_numpy_iterator()


def _torch_loader(**arguments):
  import torch

  torch.set_num_threads(1)  # a second one waits for the first, which counts as CPU time
  data = torch.utils.data.TensorDataset(torch.tensor(FEATURES), torch.tensor(LABELS))
  loader = torch.utils.data.DataLoader(data, **arguments)
  return (
    (x.numpy(), y.numpy()) for x, y in itertools.chain.from_iterable(itertools.repeat(loader))
  )


def torch_weighted():
  """PyTorch DataLoader(sampler=WeightedRandomSampler)."""
  import torch

  return _torch_loader(
    sampler=torch.utils.data.WeightedRandomSampler(WEIGHTS, N), batch_size=SIZE, drop_last=True
  )


def torch_balanced():
  """PyTorch DataLoader(batch_sampler=BalancedBatches)."""
  from tfx_balance import BalancedBatches

  return _torch_loader(batch_sampler=BalancedBatches(LABELS, SIZE))


def torch_whole_batches():
  """PyTorch DataLoader(sampler=BalancedBatches, batch_size=None)."""
  from tfx_balance import BalancedBatches

  return _torch_loader(sampler=BalancedBatches(LABELS, SIZE), batch_size=None)


def imbalanced_learn():
  """imbalanced-learn balanced_batch_generator."""
  from imblearn.tensorflow import balanced_batch_generator

  batches, _ = balanced_batch_generator(FEATURES, LABELS, batch_size=SIZE, random_state=0)
  return (batch for batch in batches if len(batch[1]) == SIZE)


WAYS = {
  'numpy': (balanced_batches, numpy_choice),
  'tensorflow': (balanced_inputs, sample_from_datasets, rejection_resample, from_generator),
  'torch': (torch_weighted, torch_balanced, torch_whole_batches),
  'imblearn': (imbalanced_learn,),
}


def measure(way):
  """Prints the CPU time of a batch, and the fewest and most records of the rarest class in one."""
  batches = iter(way())
  next(batches)
  counts, before, end = [], time.process_time(), time.monotonic() + SECONDS
  while time.monotonic() < end:
    _, labels = next(batches)
    counts.append(np.count_nonzero(labels == 4))
  rate = f'{len(counts) / (time.process_time() - before):,.0f}'
  print(f'| {way.__doc__[:-1]} | {rate} | {min(counts)} to {max(counts)} | {len(counts):,} |')


if __name__ == '__main__':
  print('| Way | batches per CPU second | rarest class in a batch | batches |')
  for library, ways in WAYS.items():
    if importlib.util.find_spec(library):
      for each in ways:
        measure(each)
