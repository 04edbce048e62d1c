"""Batches are counted, and what same seeds and resumed pipelines give is compared, as described."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from rich.console import Console

from benchmarks import batches
from benchmarks.batch_feeds import (
  IN_BATCH,
  IN_EPOCH,
  RESUMED,
  SAME,
  Feed,
  counts_off,
  followed,
)
from benchmarks.harness import Measured, PieceError, Result, find_peers


def batch(n):
  """Returns a batch of 10 records of 5 classes: 1 too many of class 0, and 1 too few of n % 5."""
  label = np.tile(np.arange(5), 2)
  label[1 + n % 4] = 0
  return np.full((10, 1), n, np.float32), label


def feed(save=lambda read, n: n, first=lambda seed, state: state):
  """Returns a feed of `batch`es from a seed on, whose state is a number of batches."""
  return Feed(
    start=lambda seed: map(batch, itertools.count(seed)),
    arrays=lambda one: one,
    save=save,
    resume=lambda seed, state: map(batch, itertools.count(seed + first(seed, state))),
  )


def test_counts_are_compared_with_equal_shares():
  found = counts_off(feed(), classes=5, steps=8)
  # In 8 batches class 0 comes 24 times, class 4, like others that lack 2, 14 times; equal is 16.
  assert found == {IN_BATCH: 1, IN_EPOCH: 8, 'epoch batches': 8}


def test_pipelines_are_followed():
  assert followed(feed()) == {SAME: 1, RESUMED: 1}
  assert followed(feed(first=lambda seed, state: state + 1)) == {SAME: 1, RESUMED: 0}
  assert followed(feed(save=None)) == {SAME: 1}
  starts = itertools.count()
  other = Feed(lambda seed: map(batch, itertools.count(next(starts))), lambda one: one)
  assert followed(other) == {SAME: 0}


def test_what_failed_is_not_run():
  (case, _) = batches.cases('tiny')
  figures = {'start s': 0.5, IN_BATCH: 0.8, IN_EPOCH: 0.6, SAME: 1, RESUMED: 1}
  run = Measured(1.0, 1.0, 0, 0, 0.0, records=10, figures=figures)
  failed = Result('batches', case, {}, {}, {batches.OURS: [run], 'grain, mix': []}, ['why'])
  console = Console(file=io.StringIO(), width=200)
  console.print(batches.comparison([failed]))
  ours, grain = (line.rstrip() for line in console.file.getvalue().splitlines()[1:])
  assert ours.split()[-4:] == ['0.8', '0.6', 'yes', 'yes']
  assert grain.split()[-2:] == ['not', 'run']


def test_peers_that_cannot_be_installed_are_named():
  with pytest.raises(PieceError, match='the peers of nothing cannot be installed: '):
    find_peers('nothing')
