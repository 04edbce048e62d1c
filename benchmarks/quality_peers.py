"""Splits of scikit-learn, iterative-stratification and scikit-multilearn, for those that have them.

It runs in an environment of their own, which has numpy but nothing of this package:
python -m benchmarks.quality_peers PEER FOLDS SEEDS IN.npz OUT.npz
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Splitter = Callable[[int, int], Iterator[tuple[Ints, Ints]]]
"""From a number of folds and a seed to the indices to train and to test on."""


def one_split(folds: int, seed: int) -> Any:
  """Returns scikit-learn's stratified hold-out, whose test split has a share of 1 / folds."""
  from sklearn.model_selection import StratifiedShuffleSplit

  return StratifiedShuffleSplit(n_splits=1, test_size=1 / folds, random_state=seed)


def group_folds(folds: int, seed: int) -> Any:
  """Returns scikit-learn's folds that keep groups."""
  from sklearn.model_selection import StratifiedGroupKFold

  return StratifiedGroupKFold(n_splits=folds, shuffle=True, random_state=seed)


def label_folds(folds: int, seed: int) -> Any:
  """Returns the folds of label sets of iterative-stratification."""
  from iterstrat.ml_stratifiers import MultilabelStratifiedKFold

  return MultilabelStratifiedKFold(n_splits=folds, shuffle=True, random_state=seed)


def pair_folds(folds: int, seed: int) -> Any:
  """Returns the folds of label sets, and of pairs of labels, of scikit-multilearn."""
  from skmultilearn.model_selection import IterativeStratification

  np.random.seed(seed)  # which it draws from, whatever it is given
  return IterativeStratification(n_splits=folds, order=2)


PEERS: dict[str, Callable[[int, int], Any]] = {
  'StratifiedShuffleSplit': one_split,
  'StratifiedGroupKFold': group_folds,
  'MultilabelStratifiedKFold': label_folds,
  'IterativeStratification': pair_folds,
}


def split_seeds(
  split: Callable[[int], Ints], seeds: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
  """Returns the split of each record, int64 [seeds, n], and the seconds of CPU time, [seeds]."""
  found, seconds = [], []
  for seed in range(seeds):
    start = time.process_time()
    found.append(split(seed))
    seconds.append(time.process_time() - start)
  return np.stack(found), np.array(seconds)


def split_by_peer(
  peer: str, folds: int, labels: npt.NDArray[Any], groups: Ints | None, seed: int
) -> Ints:
  """Returns the number of the fold that tests each record; 0 for none."""
  splitter = PEERS[peer](folds, seed)
  rows = np.zeros((len(labels), 1))
  fold_of = np.zeros(len(labels), np.int64)
  for fold, (_, test) in enumerate(splitter.split(rows, labels, groups)):
    fold_of[test] = 1 if peer == 'StratifiedShuffleSplit' else fold
  return fold_of


def main(peer: str, folds: str, seeds: str, source: str, output: str) -> None:
  """Splits the table in a file by a peer, once for each seed, and writes splits and seconds."""
  table = np.load(source)
  labels, groups = table['labels'], table.get('groups')
  PEERS[peer](int(folds), 0)  # so that its import is not measured
  found, seconds = split_seeds(
    lambda seed: split_by_peer(peer, int(folds), labels, groups, seed), int(seeds)
  )
  np.savez(output, splits=found, seconds=seconds)


if __name__ == '__main__':
  main(*sys.argv[1:])
