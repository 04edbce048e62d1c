"""Compares how well splits keep the distribution of labels, and how long they take.

Ours is `stratified_indices`. Peers are scikit-learn's StratifiedShuffleSplit, for splits of 80 and
20 percent by class; its StratifiedGroupKFold, for 5 folds that keep groups; and for 5 folds of
label sets iterative-stratification's MultilabelStratifiedKFold and scikit-multilearn's
IterativeStratification, the latter with pairs of labels.

Measures are those of Sechidis, Tsoumakas and Vlahavas (2011), over the k splits: the labels
distribution LD is the mean, over labels and splits, of the distance between the ratio of records
with and without the label in the split and that in all data; the examples distribution ED is the
mean distance in records between the size of a split and its share. Both are medians of 5 seeds (of
one from 100,000 records on), as is the CPU time of a split. Less is better in all three.

Tables are scikit-learn's digits, those in the folder that TFX_BALANCE_DATA names, and made ones.
The groups of real tables are made: records whose first feature is equal. Their label sets are the
features that are more than a standard deviation above their mean.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table as Printed

from benchmarks.harness import PROJECT, Case, Piece, Result, Work, find_peers
from benchmarks.quality_peers import Ints, split_seeds
from benchmarks.quality_tables import Table, read_table, real_tables
from benchmarks.report import empty_table

FOLDS = 5
OURS = 'ours'
LABELS, EXAMPLES = 'LD', 'ED'
_SEEDS = 5
_PEERS = {
  'classes': ('StratifiedShuffleSplit',),
  'groups': ('StratifiedGroupKFold',),
  'label sets': ('MultilabelStratifiedKFold', 'IterativeStratification'),
}
_MADE = {
  'classes': [f'10,000 records and {n} labels' for n in (3, 10, 100)],
  'groups': [f'{n:,} groups and 5 labels' for n in (10, 30, 100, 1_000, 10_000)],
  'label sets': [f'5,000 records and {n} labels' for n in (3, 10, 30, 100)],
}
_LARGE = ['50,000 groups and 5 labels', '500,000 groups and 5 labels']
_MANY = (
  100_000  # records, from which on a table is split with fewer seeds, since a peer takes minutes
)
_SLACK = 1e-9  # differences below are rounding


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  tables = ['digits'] if size == 'tiny' else real_tables()
  found = []
  for by in _PEERS:
    made = [] if size == 'tiny' else _MADE[by]
    large = _LARGE if size == 'full' and by == 'groups' else []
    found += [table_case(by, table) for table in (*tables, *made, *large)]
  return found


def table_case(by: str, table: str) -> Case:
  """Returns the case of one table, whose records are split by classes, groups or label sets."""
  records, peers = len(read_table(table, by).labels), _PEERS[by]
  given = {'table': table, 'by': by, 'seeds': _SEEDS if records < _MANY else 1}
  return Case(
    name=f'{table} by {by}',
    records=records,
    sides={
      OURS: Piece('benchmarks.quality:split', given),
      **{peer: Piece('benchmarks.quality:split', {**given, 'peer': peer}) for peer in peers},
    },
    peers=peers,
    ours=(OURS,),
  )


def split(
  table: str,
  by: str,
  seeds: int,
  peer: str | None = None,
  data: Any = None,
  root: str = '',
  beam_args: Sequence[str] = (),
) -> Work:
  """Returns the work of splitting a table, once for each seed."""
  read = read_table(table, by)
  if peer is None:
    ours = split_by_ours(by, read)
    ours(0)  # so that imports are not measured
    run = partial(split_seeds, ours, seeds)
  else:
    folder = Path(root)
    folder.mkdir(parents=True, exist_ok=True)
    groups = {} if read.groups is None else {'groups': read.groups}
    np.savez(folder / 'in.npz', labels=read.labels, **groups)
    run = partial(run_peer, find_peers('quality'), peer, seeds, folder)
  return Work(run, lambda found: measure_splits(by, read, *found))


def split_by_ours(by: str, table: Table) -> Callable[[int], Ints]:
  """Returns the function from a seed to the split of each record, int64 [n]."""
  from tfx_balance import stratified_indices

  def split_once(seed: int) -> Ints:
    if by == 'classes':
      found = stratified_indices(table.labels, {'train': FOLDS - 1, 'test': 1}, seed)
    else:
      found = stratified_indices(
        table.labels,
        {'train': 1},
        seed,
        folds=FOLDS,
        groups=table.groups,
        multilabel=table.labels.ndim == 2,
      )
    split_of = np.empty(len(table.labels), np.int64)
    for number, rows in enumerate(found.values()):
      split_of[rows] = number
    return split_of

  return split_once


def run_peer(
  python: str, peer: str, seeds: int, folder: Path
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
  """Returns what `split_seeds` returns of a peer, from its environment."""
  files = [str(folder / name) for name in ('in.npz', 'out.npz')]
  command = [python, '-W', 'ignore', '-m', 'benchmarks.quality_peers']
  subprocess.run([*command, peer, str(FOLDS), str(seeds), *files], check=True, cwd=PROJECT)
  found = np.load(files[1])
  return found['splits'], found['seconds']


def measure_splits(
  by: str, table: Table, splits: npt.NDArray[np.int64], seconds: npt.NDArray[np.float64]
) -> Mapping[str, Any]:
  """Returns the medians of distributions and seconds over the seeds."""
  shares = np.array([FOLDS - 1, 1] if by == 'classes' else [1] * FOLDS) / FOLDS
  found = [distributions(table.matrix, split_of, shares) for split_of in splits]
  labels, examples = np.median(found, axis=0)
  time = float(np.median(seconds))
  figures = {LABELS: float(labels), EXAMPLES: float(examples)}
  return {'records': splits.shape[1], 'seconds': time, 'core_seconds': time, 'figures': figures}


def distributions(
  matrix: npt.NDArray[np.uint8], split_of: Ints, shares: npt.NDArray[np.float64]
) -> tuple[float, float]:
  """Returns the labels distribution and the examples distribution of Sechidis et al. (2011).

  A ratio to no record without the label is that to one.

  Args:
    matrix: Whether a record has a label, [n, labels].
    split_of: Split of each record, [n].
    shares: Share of each split, [splits], 1 in all.
  """
  n = np.bincount(split_of, minlength=len(shares))
  having = np.stack([matrix[split_of == j].sum(axis=0, dtype=np.int64) for j in range(len(shares))])
  in_split = having / np.maximum(n[:, np.newaxis] - having, 1)
  in_all = having.sum(axis=0) / np.maximum(n.sum() - having.sum(axis=0), 1)
  labels = np.abs(in_split - in_all).mean()
  return float(labels), float(np.abs(n - shares * n.sum()).mean())


def comparison(results: Sequence[Result]) -> Printed:
  """Returns the table of our figures and each peer's; 'worse' marks rows where ours are."""
  figures = ('our LD', "peer's", 'our ED', "peer's", 'our s', "peer's", '')
  table = empty_table('case', 'peer', *figures, words=2)
  for result in results:
    for peer in result.case.peers:
      pairs = [[figure(result, side, name) for side in (OURS, peer)] for name in (LABELS, EXAMPLES)]
      if None in [*pairs[0], *pairs[1]]:
        continue  # its error is printed below
      worse = any(ours > other + _SLACK for ours, other in pairs)
      seconds = [result.seconds(side) for side in (OURS, peer)]
      table.add_row(
        result.case.name,
        peer,
        *(f'{value:.3g}' for pair in (*pairs, seconds) for value in pair),
        '[bold red]worse[/]' if worse else '',
      )
  return table


def figure(result: Result, side: str, name: str) -> Any:
  """Returns a figure of a side; None if it failed."""
  return result.median(side, lambda run: run.figures[name])
