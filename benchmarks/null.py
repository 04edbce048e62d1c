"""Counts runs with a false verdict where classes do not depend on the features.

Each run draws a table, trains the remedies on the folds that `compare` takes, and makes verdicts as
it does. No remedy can be better than another in macro recall or average precision, so that any
'helps' or 'harms' is false; at most 5 % of runs may have one. Other metrics are left out, as there
remedies differ: on classes that cannot be told apart, class weights make log loss worse. The share
of the rarest class is drawn from 3 to 30 %; with more classes it is at most 0.6 of an equal share,
and the others have unequal ones.

- noise: 500 records, two classes;
- groups: the same in clusters of four records, of equal features and class, given as groups=;
- duplicates: each record stands twice, and groups='duplicates';
- time: features move slowly with the time of the records, given as times=;
- 3 classes; 10 classes, of 1,000 records.

Models are logistic regression, gradient boosting and the small network. 'differ' is the share of
runs in which each remedy that trains other models changes 5 % of the predictions or more: where
none does, no verdict can be false. 'named' is the share of runs that say how many records are equal
to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.table import Table
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from tfx_balance.compare import advice
from tfx_balance.compare.arms import NATURAL, TRAINED
from tfx_balance.compare.comparing import compared_arms
from tfx_balance.compare.duplicates import duplicates_sentence, equal_rows
from tfx_balance.compare.estimator_training import EstimatorTraining, maker_of
from tfx_balance.compare.intervals import HARMS, HELPS
from tfx_balance.compare.judging import Scores, judge, with_means
from tfx_balance.compare.metrics import METRICS, Measures
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import N_FOLDS, N_REPEATS, Fold, fold_tasks
from tfx_balance.plan.labels import count_labels
from threadpoolctl import threadpool_limits

from benchmarks.harness import Case, Piece, Result, Work
from benchmarks.remedies_training import HIDDEN, train
from benchmarks.report import empty_table

Array = npt.NDArray[Any]
OURS, NETWORK = 'ours', 'network'
CLASSES = {'noise': 2, 'groups': 2, 'duplicates': 2, 'time': 2, '3 classes': 3, '10 classes': 10}
ESTIMATORS = {
  'logistic': LogisticRegression(),
  'boosting': HistGradientBoostingClassifier(learning_rate=0.3, max_iter=10, max_leaf_nodes=15),
}
JUDGED = ('macro_recall', 'average_precision')
FEATURES, STEPS, DIFFERENT = 8, 100, 0.05
TOGETHER = {'groups': 4, 'duplicates': 2}
"""Records of equal features and class."""
_RUNS = {'full': (200, 60), 'small': (20, 5), 'tiny': (1, 1)}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  many, few = _RUNS[size]
  return [
    Case(f'{model}, {kind}', 1, {OURS: piece}, peers=(), ours=(OURS,))
    for model in (*ESTIMATORS, NETWORK)
    for kind in (CLASSES if size != 'tiny' else ['time'])
    for runs in [many if model == 'logistic' else few]
    for piece in [Piece('benchmarks.null:study', {'model': model, 'kind': kind, 'runs': runs})]
  ]


def study(model: str, kind: str, runs: int, **_: Any) -> Work:
  """Returns the work of many runs."""
  return Work(
    lambda: [run(model, kind, seed) for seed in range(runs)],
    lambda found: {'records': 1, 'result': found},
  )


def table(kind: str, rng: np.random.Generator) -> tuple[Array, Array, Array | None, Array | None]:
  """Returns features, [n, FEATURES], classes, [n], groups and times; None for those without."""
  k, together = CLASSES[kind], TOGETHER.get(kind, 1)
  n = (1_000 if k == 10 else 500) // together
  others = np.linspace(1, 2, k - 1)
  rare = rng.uniform(0.03, 0.6 / k)
  shares = np.append((1 - rare) * others / others.sum(), rare)
  labels = rng.choice(k, n, p=shares)
  earliest = n // (N_FOLDS + 1) if kind == 'time' else n  # which all folds train on
  while np.bincount(labels).min() < N_FOLDS or len(np.unique(labels[:earliest])) < k:
    labels = rng.choice(k, n, p=shares)
  x = rng.normal(size=(n, FEATURES))
  if kind == 'time':
    return x.cumsum(axis=0) / np.sqrt(n), labels, None, np.arange(n)
  x, labels = x.repeat(together, axis=0), labels.repeat(together)
  return x, labels, equal_rows(x) if together > 1 else None, None


@threadpool_limits.wrap(limits=1)
def run(model: str, kind: str, seed: int) -> dict[str, Any]:
  """Returns, of one table, the false verdicts by metric, the rarest class's records, and so on."""
  x, labels, groups, times = table(kind, np.random.default_rng([seed, list(CLASSES).index(kind)]))
  folds = folds_of(model, x, labels, groups, times, seed)
  found = {m: verdicts(folds, labels, m, times is not None) for m in JUDGED}
  false = {m: [name for name, v in own.items() if v in (HELPS, HARMS)] for m, own in found.items()}
  decided = {
    arm: np.concatenate([fold.log_p[arm].argmax(axis=1) for fold in folds])
    for arm in folds[0].log_p
  }
  differ = [np.mean(own != decided[NATURAL]) for arm, own in decided.items() if arm in TRAINED[1:]]
  counts = count_labels(labels)[0]
  return {
    'false': false,
    'rare': min(counts.records),
    'differ': float(min(differ)),
    'named': duplicates_sentence(equal_rows(x), labels, counts.classes) is not None,
  }


def folds_of(
  model: str, x: Array, labels: Array, groups: Array | None, times: Array | None, seed: int
) -> list[Fold]:
  """Returns the folds of a comparison, with the scores of all arms."""
  counts = count_labels(labels)[0]
  repeats = N_REPEATS if times is None else 1
  tasks = list(fold_tasks(labels, counts.classes, groups, times, repeats, seed))
  if model in ESTIMATORS:
    plain = Remedy(NATURAL, counts.classes, counts.records, (0.0,) * len(counts.classes))
    training = EstimatorTraining.of(maker_of(ESTIMATORS[model]), x, labels, plain, np.inf)
    return with_means(list(training.folds(tasks, 1)), len(labels))
  x, rows = x.astype(np.float32), ([t.trained for t in tasks], [t.tested for t in tasks])
  log_p = {arm: train(x, labels, *rows, arm, STEPS, HIDDEN, seed) for arm in TRAINED}
  folds = [
    Fold(
      task.repeat,
      task.tested,
      np.bincount(labels[task.trained], minlength=len(counts.classes)),
      {arm: own[i] for arm, own in log_p.items()},
    )
    for i, task in enumerate(tasks)
  ]
  return with_means(folds, len(labels))


def verdicts(folds: Sequence[Fold], labels: Array, metric: str, in_time: bool) -> dict[str, str]:
  """Returns the verdicts of `compare` by arm, from the scores of the folds."""
  measures = replace(Measures.of(np.bincount(labels)), metrics={metric: METRICS[metric]})
  scores = Scores(folds, labels, measures, metric, in_time)
  found = judge(scores)
  arms = compared_arms(scores, found, advice.simplest(found, measures, metric))
  return {arm.name: arm.verdict for arm in arms if arm.verdict is not None}


def comparison(results: Sequence[Result]) -> Table:
  """Returns the printed table of false verdicts, with 95 % intervals (Clopper and Pearson 1934)."""
  names = [METRICS[metric].words for metric in JUDGED]
  printed = empty_table('runs with a false verdict, %', 'runs', *names, 'differ', 'named')
  for result in results:
    if not result.runs.get(OURS):
      continue
    found = result.runs[OURS][0].result
    cells = []
    for metric in JUDGED:
      wrong = sum(bool(one['false'][metric]) for one in found)
      ends = stats.binomtest(wrong, len(found)).proportion_ci(method='exact')
      shares = [100 * float(share) for share in (wrong / len(found), ends.low, ends.high)]
      cells.append('{:.1f} [{:.1f}, {:.1f}]'.format(*shares))
    differ, named = (
      f'{100 * np.mean(own):.0f}'
      for own in (
        [one['differ'] >= DIFFERENT for one in found],
        [one['named'] for one in found],
      )
    )
    printed.add_row(result.case.name, str(len(found)), *cells, differ, named)
  return printed
