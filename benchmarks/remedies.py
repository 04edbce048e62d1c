"""Studies what `tfx_balance.compare` says: regret, false verdicts, power, and a known result.

python -m benchmarks.remedies regret keras null power known
"""

from __future__ import annotations

import math
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
from scipy import stats
from tfx_balance import StratifiedSplits
from tfx_balance.compare.answer import DEFAULTS, recommend
from tfx_balance.compare.arms import ARMS, BALANCED, CORRECTION, NATURAL, SMOTE, THRESHOLD, TRAINED
from tfx_balance.compare.comparing import compared_arms, remedies_of
from tfx_balance.compare.judging import Fold, Judged, judge, threshold_of, with_shifts
from tfx_balance.compare.keras_training import Task, Training
from tfx_balance.compare.metrics import METRICS, Floats, Measures
from tfx_balance.compare.threshold import shifted
from tfx_balance.plan.labels import count_labels

from benchmarks.remedy_nets import (
  BATCH,
  STEPS,
  Data,
  Ints,
  digits,
  mnist,
  read_data,
  table_names,
  train_arm,
)

DECIDING = ('macro_recall', 'worst_class', 'average_precision', 'macro_f1', 'log_loss', 'brier')
PICKED, ANSWERED, DEFAULT = 'picked by inner folds', 'recommended', 'default of the metric'
FIXED = 'best fixed arm of other tables'
Scorer = Callable[[Data, Sequence[tuple[Ints, Ints]]], list[dict[str, Floats]]]


def inner_folds(labels: Ints, rows: Ints, repeats: int = 5) -> Iterator[tuple[int, Ints, Ints]]:
  """Yields the repetition, the rows to train on and those to test of the folds of some rows."""
  for repeat in range(repeats):
    for trained, tested in StratifiedSplits(5, seed=repeat).split(rows, labels[rows]):
      yield repeat, rows[trained], rows[tested]


def of_networks(data: Data, sets: Sequence[tuple[Ints, Ints]]) -> list[dict[str, Floats]]:
  """Returns log probabilities by arm for each (rows to train on, rows to test): of NumPy's MLP."""
  nets = {arm: train_arm(arm, data, [trained for trained, _ in sets]) for arm in TRAINED}
  return [
    {arm: nets[arm].log_p(i, data.x[tested]) for arm in TRAINED}
    for i, (_, tested) in enumerate(sets)
  ]


def of_keras(data: Data, sets: Sequence[tuple[Ints, Ints]]) -> list[dict[str, Floats]]:
  """Returns the same of a Keras MLP, trained as `compare` does."""
  import keras

  size, counts = data.x.shape[1], count_labels(data.labels)[0]

  def make_model() -> Any:
    layers = [keras.layers.Dense(32, 'relu'), keras.layers.Dense(len(counts.classes))]
    model = keras.Sequential([keras.Input([size]), *layers])
    model.compile(keras.optimizers.Adam(0.005))
    return model

  remedies = remedies_of(counts, data.x, None)
  training = Training(
    uuid.uuid4().hex, make_model, data.x, data.labels, remedies, STEPS, BATCH, math.inf
  )
  tasks = [Task(0, i, trained, tested) for i, (trained, tested) in enumerate(sets)]
  return [dict(fold.log_p) for fold in training.folds(tasks, 2)]


def study(data: Data, score: Scorer, outer_folds: int = 5) -> dict[str, dict[str, float]]:
  """Returns, by metric, the value of each arm and policy on the outer folds of a table.

  Args:
    data: Table.
    score: Function such as `of_networks`.
    outer_folds: Number of folds on which arms and policies are tested; the 25 inner folds of each
      decide.
  """
  outer = list(StratifiedSplits(outer_folds, seed=99).split(data.x, data.labels))
  inner = [list(inner_folds(data.labels, trained)) for trained, _ in outer]
  scores = iter(score(data, [(own, rows) for folds in inner for _, own, rows in folds] + outer))
  folds_of = [
    [Fold(repeat, rows, len(own), next(scores)) for repeat, own, rows in folds] for folds in inner
  ]
  measures = Measures.of(np.bincount(data.labels), None)
  values: dict[str, dict[str, list[float]]] = {metric: {} for metric in DECIDING}
  for folds, (_, tested), log_p in zip(folds_of, outer, scores, strict=True):
    for metric in DECIDING:
      found = judged(folds, data, measures, metric)
      t = threshold_of(folds, data.labels, data.log_prior, measures, metric)
      log_p[THRESHOLD] = shifted(log_p[NATURAL], -t * data.log_prior)
      log_p[CORRECTION] = shifted(log_p[BALANCED], data.log_prior)
      own = {arm: measures.better(metric, log_p[arm], data.labels[tested]) for arm in ARMS}
      plain = shifted(log_p[NATURAL], -data.log_prior)
      own['threshold of t = 1'] = measures.better(metric, plain, data.labels[tested])
      better = 1 if METRICS[metric].higher else -1
      own[PICKED] = own[max(found, key=lambda arm: better * found[arm].values[metric])]
      own[ANSWERED] = own[recommend(compared_arms(found, metric), metric)[0]]
      own[DEFAULT] = own[DEFAULTS[metric]]
      for arm, value in own.items():
        values[metric].setdefault(arm, []).append(value)
  return {m: {arm: float(np.mean(v)) for arm, v in arms.items()} for m, arms in values.items()}


def study_table(name: str) -> dict[str, dict[str, float]]:
  """Returns the study of a table with the networks of NumPy."""
  return study(read_data(name), of_networks)


def judged(folds: Sequence[Fold], data: Data, measures: Measures, metric: str) -> dict[str, Judged]:
  """Returns what `compare` finds for scores of folds."""
  every = with_shifts(folds, data.labels, data.log_prior, measures, metric)
  return judge(every, data.labels, measures, metric)


def regret(tables: Sequence[str]) -> None:
  """Prints the mean regret of every arm and policy, in points, and how the best compare."""
  with ProcessPoolExecutor(2) as pool:
    _print_regret(dict(zip(tables, pool.map(study_table, tables), strict=True)))


def keras_regret() -> None:
  """Prints the same for Keras models on the digits, on MNIST's long tail and on a table."""
  data = {'digits': digits(), 'mnist': mnist(), 'vehicle1': read_data('vehicle1')}
  _print_regret({name: study(own, of_keras, outer_folds=3) for name, own in data.items()})


def _print_regret(studies: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
  tables = list(studies)
  for metric in DECIDING:
    arms = list(next(iter(studies.values()))[metric])
    values = np.array([[studies[table][metric][arm] for arm in arms] for table in tables])
    of_arms = [arms.index(arm) for arm in ARMS]
    best = values[:, of_arms].max(axis=1, keepdims=True)
    behind = 100 * (best - values)
    others = (behind.sum(axis=0) - behind)[:, of_arms]
    fixed = [behind[i, of_arms[int(np.argmin(row))]] for i, row in enumerate(others)]
    print(f'\n{metric}: mean regret over {len(tables)} tables, in points; largest, and where')
    columns = {arm: behind[:, i] for i, arm in enumerate(arms)}
    columns[FIXED] = np.array(fixed)
    for arm, own in sorted(columns.items(), key=lambda item: float(item[1].mean())):
      worst = int(np.argmax(own))
      print(f'  {arm:32} {own.mean():6.2f}   {own[worst]:6.2f}  {tables[worst]}')
    for policy in (PICKED, ANSWERED, DEFAULT):
      mean, half = _interval(columns[policy] - columns[FIXED])
      print(f'  {policy} less {FIXED}: {mean:+.2f} ± {half:.2f}')


def _interval(values: Floats) -> tuple[float, float]:
  """Returns the mean and half of its 95 % interval (Student)."""
  error = float(np.std(values, ddof=1)) / np.sqrt(len(values))
  return float(np.mean(values)), float(stats.t.ppf(0.975, len(values) - 1)) * error


def equal_arms_differ(seed: int, effect: float = 0.0, n_rare: int = 100) -> dict[str, str]:
  """Returns the verdicts on arms that are all equal, or but for one that has an effect.

  The model is a linear discriminant (Fisher 1936), with noise as further features, drawn anew for
  each fold and arm: so that arms differ in every fold, and not on average. The class of one in five
  has a macro recall of about 0.75 that one more feature would raise by the effect.

  Args:
    seed: Seed of table and noise.
    effect: Difference of macro recall of the arm 'balanced' to the others.
    n_rare: Records of the rare class.
  """
  rng = np.random.default_rng([seed, n_rare, round(1000 * effect)])
  labels = np.repeat([0, 1], [4 * n_rare, n_rare])
  base, raised = (2 * stats.norm.ppf(0.75 + gain) for gain in (0, effect))
  x = rng.normal(size=(len(labels), 2))
  x += np.outer(labels, [base, np.sqrt(raised**2 - base**2)])
  folds = []
  for repeat, trained, tested in inner_folds(labels, np.arange(len(labels))):
    log_p = {}
    for arm in ARMS:
      noise = rng.normal(size=(len(labels), 4))
      seen = np.concatenate([x if arm == BALANCED and effect else x[:, :1], noise], axis=1)
      log_p[arm] = _discriminant(seen[trained], labels[trained], seen[tested])
    folds.append(Fold(repeat, tested, len(trained), log_p))
  found = judge(folds, labels, Measures.of(np.bincount(labels), None), 'macro_recall')
  return {arm: one.verdict for arm, one in found.items()}


def _discriminant(x: Floats, labels: Ints, tested: Floats) -> Floats:
  """Returns log probabilities under equal priors by a linear discriminant, [rows, 2]."""
  means = [x[labels == c].mean(axis=0) for c in (0, 1)]
  within = sum(np.cov(x[labels == c], rowvar=False) for c in (0, 1)) / 2
  slope = np.linalg.solve(within, means[1] - means[0])
  odds = tested @ slope - slope @ (means[0] + means[1]) / 2
  return shifted(np.stack([np.zeros_like(odds), odds], axis=1), [0, 0])


def null(runs: int = 200) -> None:
  """Prints in how many runs equal arms get a verdict that one of them is better or worse."""
  with ProcessPoolExecutor(2) as pool:
    found = list(pool.map(equal_arms_differ, range(runs)))
  false = sum(bool({'helps', 'harms'} & set(verdicts.values())) for verdicts in found)
  print(f'\nfalse verdicts on equal arms: in {false} of {runs} runs; 5 % are {runs * 0.05:.0f}')


def power(runs: int = 40) -> None:
  """Prints how often a planted effect is found, by effect and number of rare records."""
  cells = [(effect, n) for effect in (0.02, 0.05, 0.1) for n in (30, 100, 300, 1000)]
  print(
    f'\nplanted effect in macro recall: helps, no practical difference, cannot tell (of {runs})'
  )
  with ProcessPoolExecutor(2) as pool:
    for effect, n_rare in cells:
      seeds = range(1000, 1000 + runs)
      done = pool.map(equal_arms_differ, seeds, [effect] * runs, [n_rare] * runs)
      said = [verdicts[BALANCED] for verdicts in done]
      counts = [
        said.count(verdict) for verdict in ('helps', 'no practical difference', 'cannot tell')
      ]
      print(f'  {effect:.2f}  {n_rare:5,} rare records  {counts}', flush=True)


def known(tables: Sequence[str]) -> None:
  """Prints what SMOTE and a threshold do to a logistic model.

  van den Goorbergh et al. 2022, "The harm of class imbalance corrections for risk prediction
  models": SMOTE raises recall and breaks calibration; a threshold does as well without.
  """
  for name in tables:
    data = read_data(name)
    sets = list(inner_folds(data.labels, np.arange(len(data.labels))))
    nets = {
      arm: train_arm(arm, data, [own for _, own, _ in sets], hidden=0) for arm in (NATURAL, SMOTE)
    }
    folds = [
      Fold(repeat, rows, len(own), {arm: nets[arm].log_p(j, data.x[rows]) for arm in nets})
      for j, (repeat, own, rows) in enumerate(sets)
    ]
    found = judged(folds, data, Measures.of(np.bincount(data.labels), None), 'macro_recall')
    print(f'\n{name}: logistic model')
    for arm, one in found.items():
      intercept, slope = one.calibration or (float('nan'), float('nan'))
      print(
        f'  {arm:10} macro recall {one.values["macro_recall"]:.3f} {one.verdict:24}'
        f'log loss {one.values["log_loss"]:.3f}  calibration {intercept:+.2f}, {slope:.2f}'
      )


def main(studies: Sequence[str]) -> int:
  """Runs studies by name; returns 0."""
  tables = table_names()
  binary = [name for name in tables if name != 'satimage']
  runs: dict[str, Callable[[], Any]] = {
    'regret': lambda: regret(tables),
    'keras': keras_regret,
    'null': null,
    'power': power,
    'known': lambda: known(binary),
  }
  for name in studies or runs:
    start = time.time()
    runs[name]()
    print(f'({name}: {time.time() - start:.0f} s)', flush=True)
  return 0


if __name__ == '__main__':
  sys.exit(main(sys.argv[1:]))
