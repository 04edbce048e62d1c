"""Finds labels that were made wrong on purpose, beside cleanlab on the same probabilities.

Of the records of the rarest class 5 or 10 % get the label of another class; 'both ways' as many of
the other records do so too. Models are trained on these labels, on the 5 x 5 folds that `compare`
takes, and their mean probabilities of records that they did not train on are ranked: by
`answer.suspects`, and by cleanlab (Northcutt, Jiang and Chuang 2021, "Confident learning"), once
all records by label quality, with probabilities adjusted by class, and once those alone that
`find_label_issues` returns. A figure is how many of the wrong labels are among the first 50, in
percent of those that could be: of 15 wrong labels all 15, of 80 only 50; over all tables and seeds
together. 'tables behind' is on how many tables ours finds fewer than the ranking of all records
does.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from tfx_balance.compare.arms import NATURAL
from tfx_balance.compare.estimator_training import EstimatorTraining
from tfx_balance.compare.judging import out_of_fold
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.suspects import suspects
from tfx_balance.compare.trainers import N_REPEATS, fold_tasks
from tfx_balance.plan.labels import count_labels

from benchmarks.harness import PROJECT, Case, Piece, Result, Work, find_peers
from benchmarks.remedies import MADE, read_or_make
from benchmarks.remedies_estimators import MODELS
from benchmarks.remedies_training import table_names
from benchmarks.report import empty_table
from benchmarks.suspects_peers import ISSUES, RANKED

Array = npt.NDArray[Any]
OURS = 'ours'
FIRST, SHARES = 50, (0.05, 0.1)
_SEEDS = {'full': 3, 'small': 1, 'tiny': 1}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  names = (size != 'tiny' and table_names()) or [MADE]
  return [
    Case(f'{model}, {100 * share:g} % {words}, {name}', 1, {OURS: piece}, peers=(), ours=(OURS,))
    for model in (MODELS if size == 'full' else list(MODELS)[:1])
    for share in SHARES
    for words, both in (('wrong', False), ('wrong both ways', True))
    for name in names
    for table in [{'model': model, 'table': name, 'share': share, 'both': both}]
    for more in [{'seeds': _SEEDS[size], 'peers': size != 'tiny'}]
    for piece in [Piece('benchmarks.suspects:study', table | more)]
  ]


def study(
  model: str, table: str, share: float, both: bool, seeds: int, peers: bool, **_: Any
) -> Work:
  """Returns the work of looking for wrong labels of a table, once for each seed."""
  python = find_peers('quality') if peers else None
  return Work(
    lambda: [found(model, table, share, both, seed, python) for seed in range(seeds)],
    lambda result: {'records': 1, 'result': result},
  )


def found(
  model: str, table: str, share: float, both: bool, seed: int, python: str | None = None
) -> dict[str, int]:
  """Returns how many wrong labels are among the first 50, by who ranks, and how many could be.

  Args:
    model: One of `MODELS`.
    table: Name of the table.
    share: Share of the rarest class's labels that are made wrong.
    both: Whether as many labels of other records are made wrong too.
    seed: Seed of what is drawn.
    python: Python that has cleanlab; None to leave it out.
  """
  x, truth = read_or_make(table)
  labels = truth.copy()
  rng, n_classes = np.random.default_rng(seed), len(np.bincount(truth))
  is_rare = truth == np.bincount(truth).argmin()
  n_wrong = max(round(share * is_rare.sum()), 1)
  ways = (is_rare, ~is_rare) if both else (is_rare,)
  wrong = np.concatenate([rng.choice(np.flatnonzero(own), n_wrong, replace=False) for own in ways])
  labels[wrong] = (labels[wrong] + rng.integers(1, n_classes, len(wrong))) % n_classes
  log_p = log_p_of(model, x, labels, seed)
  ranked = {OURS: [one.row for one in suspects(log_p, labels, FIRST)]}
  if python is not None:
    ranked |= by_cleanlab(python, log_p, labels)
  hits = {name: int(np.isin(rows[:FIRST], wrong).sum()) for name, rows in ranked.items()}
  return {**hits, 'possible': min(len(wrong), FIRST)}


def log_p_of(model: str, x: Array, labels: Array, seed: int) -> Array:
  """Returns the log probabilities that `answer.suspects` ranks, [n, n_classes]."""
  counts = count_labels(labels)[0]
  plain = Remedy(NATURAL, counts.classes, counts.records, (0.0,) * len(counts.classes))
  training = EstimatorTraining.of(MODELS[model], x, labels, plain, np.inf)
  alone = replace(training, remedies={NATURAL: plain})
  tasks = list(fold_tasks(labels, counts.classes, None, None, N_REPEATS, seed))
  return out_of_fold(list(alone.folds(tasks, 1)), len(labels))


def by_cleanlab(python: str, log_p: Array, labels: Array) -> dict[str, list[int]]:
  """Returns the rows that cleanlab suspects, the most suspect first, by how it ranks."""
  with tempfile.TemporaryDirectory() as folder:
    files = [str(Path(folder, name)) for name in ('in.npz', 'out.npz')]
    np.savez(files[0], labels=labels, p=np.exp(log_p))
    command = [python, '-W', 'ignore', '-m', 'benchmarks.suspects_peers', *files]
    subprocess.run(command, check=True, cwd=PROJECT)
    return {name: rows.tolist() for name, rows in np.load(files[1]).items()}


def comparison(results: Sequence[Result]) -> Table:
  """Returns the printed table of the share of wrong labels that are found."""
  names = (OURS, RANKED, ISSUES)
  printed = empty_table(f'found in the first {FIRST}, %', 'wrong labels', *names, 'tables behind')
  totals: dict[str, Counter[str]] = {}
  for result in results:
    if result.runs.get(OURS):
      rows = result.runs[OURS][0].result
      own = Counter({name: sum(row[name] for row in rows) for name in rows[0]})
      total = totals.setdefault(result.case.name.rpartition(', ')[0], Counter())
      total.update({**own, 'tables': 1, 'behind': own[OURS] < own[RANKED]})
  for name, total in totals.items():
    cells = [f'{100 * total[who] / total["possible"]:.0f}' if who in total else '' for who in names]
    behind = f'{total["behind"]} of {total["tables"]}'
    printed.add_row(name, str(total['possible']), *cells, behind)
  return printed
