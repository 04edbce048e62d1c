"""Measures whether repeated folds find the remedy that helps, and how sure their verdicts are.

Regret: on each table a small network is trained with every remedy, for equal steps, on 5 folds
outside and 5x5 folds inside each. Inside, the rule that `compare` has recommends a remedy, and
'argmax' is that of the best estimate; every remedy is trained again on all that is inside, and
measured outside. Regret is the mean over tables of the points behind the best remedy of a table,
which is known only afterwards. The fixed remedy is, for each table, the one that is best on all the
others; 'recommended' less it has a t interval over tables. What it gains over natural batches on a
table has a corrected resampled interval over outer folds. 't = 1' is a threshold that is not tuned.
Tables are those in the folder that TFX_BALANCE_DATA names; without it, and as a smoke test, one is
made.

Equal remedies: runs on made tables in which any of seven equal remedies is said to help or harm.
With 'drawn' features each fit has others, so that remedies differ by chance in every fold. With
'own' features each remedy has its own all along: they are equal over all tables, and what one table
favours, it favours in all folds, which is the harder case.
Planted effects: share of runs with each verdict on one remedy that is better by an effect.
Logistic model: what SMOTE and a threshold do to macro recall, log loss and calibration (van den
Goorbergh et al. 2022, "The harm of class imbalance corrections for risk prediction models").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from scipy import stats
from tfx_balance import StratifiedSplits
from tfx_balance.compare.advice import simplest
from tfx_balance.compare.arms import ARMS, MEAN, NATURAL, TRAINED
from tfx_balance.compare.intervals import HELPS, NO_DIFFERENCE, Interval, corrected_interval
from tfx_balance.compare.judging import Scores as AllScores
from tfx_balance.compare.judging import gaps, judge, mean_log_p, with_means
from tfx_balance.compare.metrics import METRICS, Measures
from tfx_balance.compare.trainers import Fold

from benchmarks import remedies_made as made
from benchmarks.harness import Case, Piece, Result, Work
from benchmarks.remedies_estimators import MODELS, train_estimator
from benchmarks.remedies_keras import NAMES, read_images, train_keras
from benchmarks.remedies_training import HIDDEN, Array, read, table_names, train
from benchmarks.report import empty_table

OURS, PICKER, BEST, UNTUNED = 'ours', 'recommended', 'argmax', 't = 1'
DECIDING = ('macro_recall', 'macro_f1', 'worst_class', 'average_precision', 'log_loss')
FOLDS, REPEATS = 5, 5
MADE = '300 made'
_SIZES = {
  'full': {'outer': 2, 'steps': 400, 'equal': 200, 'planted': 100},
  'small': {'outer': 1, 'steps': 100, 'equal': 40, 'planted': 20},
  'tiny': {'outer': 1, 'steps': 5, 'equal': 1, 'planted': 1},
}
_SMALL = ('car_good', 'vowel0', 'yeast1')
Scores = Mapping[str, Sequence[Array]]
RARE, EFFECTS = (30, 100, 300, 1_000), (0.0, 0.02, 0.05, 0.1)
_EQUAL = (30, 100)


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  given = _SIZES[size]
  names = [n for n in table_names() if size == 'full' or n in _SMALL] if size != 'tiny' else []
  training = {'steps': given['steps']}
  found = [
    _case(f'regret of {name}', 'regret', table=name, repeats=given['outer'], **training)
    for name in names or [MADE]
  ]
  found += [
    _case(f'{model}, regret of {name}', 'estimator_regret', model=model, table=name, repeats=1)
    for model in (MODELS if size != 'tiny' else list(MODELS)[:1])
    for name in names or [MADE]
  ]
  if size == 'full' and names:
    found += [
      _case(f'Keras, regret of {n}', 'keras_regret', table=n, repeats=1, **training) for n in NAMES
    ]
  found += [
    _case(
      f'equal, {n} rare, {features} features',
      'equal',
      n_rare=n,
      features=features,
      runs=given['equal'],
    )
    for features in made.FEATURES_OF
    for n in _EQUAL
  ]
  rare = RARE if size == 'full' else RARE[:2]
  found += [_case(f'planted, {n:,} rare', 'planted', n_rare=n, runs=given['planted']) for n in rare]
  names = [n for n in names if n in _SMALL] or [MADE]
  return found + [_case(f'logistic, {name}', 'logistic', table=name, **training) for name in names]


def _case(name: str, function: str, **arguments: Any) -> Case:
  piece = Piece(f'benchmarks.remedies:{function}', arguments)
  return Case(name, 1, {OURS: piece}, peers=(), ours=(OURS,))


def _work(run: Any) -> Work:
  return Work(run, lambda found: {'records': 1, 'result': found})


def read_or_make(name: str) -> tuple[Array, Array]:
  """Returns features, float32 [n, d], and classes, [n], of a table of a file or a made one."""
  if name != MADE:
    return read(name)
  x, labels = made.table(int(name.split()[0]) // made.SHARE, np.random.default_rng(0))
  return x.astype(np.float32), labels


def splits(x: Array, labels: Array, seed: int, repeats: int) -> list[tuple[int, Array, Array]]:
  """Returns the repetition, the rows to train on and those to test of repeated folds."""
  return [
    (repeat, *rows)
    for repeat in range(repeats)
    for rows in StratifiedSplits(FOLDS, seed * repeats + repeat).split(x, labels)
  ]


def regret(table: str, repeats: int, steps: int, **_: Any) -> Work:
  """Returns the work of picking inside the outer folds of a table and measuring outside."""
  x, labels = read_or_make(table)

  def score(trained: Sequence[Array], tested: Sequence[Array], seed: int) -> Scores:
    return {arm: train(x, labels, trained, tested, arm, steps, HIDDEN, seed) for arm in TRAINED}

  return _work(lambda: list(nested(x, labels, repeats, score)))


def keras_regret(table: str, repeats: int, steps: int, **_: Any) -> Work:
  """Returns the same work with Keras models."""
  x, labels = read_images(table)

  def score(trained: Sequence[Array], tested: Sequence[Array], seed: int) -> Scores:
    return train_keras(x, labels, trained, tested, steps, seed)

  return _work(lambda: list(nested(x, labels, repeats, score)))


def estimator_regret(model: str, table: str, repeats: int, **_: Any) -> Work:
  """Returns the same work with estimators of scikit-learn."""
  x, labels = read_or_make(table)

  def score(trained: Sequence[Array], tested: Sequence[Array], seed: int) -> Scores:
    return train_estimator(model, x, labels, trained, tested, seed)

  return _work(lambda: list(nested(x, labels, repeats, score)))


def nested(
  x: Array, labels: Array, repeats: int, score: Callable[..., Scores]
) -> Iterator[dict[str, dict[str, dict[str, float]]]]:
  """Yields, of each outer fold, values by metric and remedy; higher is better.

  'outside' has those on the records outside, of remedies, of `PICKER`, `BEST` and `UNTUNED`;
  'inside' has the estimates of remedies, of which those that put all records into one class are
  left out.

  Args:
    x: Features, [n, d].
    labels: Index of each record's class, [n].
    repeats: Repetitions of the outer folds.
    score: Function of rows to train on and rows to test of many folds, and a seed, that returns
      the log probabilities of each fold by arm.
  """
  every = Measures.of(np.bincount(labels))
  for number, (_, inside, outside) in enumerate(splits(x, labels, 0, repeats)):
    own = splits(x[inside], labels[inside], number + 1, REPEATS)
    trained = [inside, *(inside[rows] for _, rows, _ in own)]
    tested = [outside, *(np.concatenate([inside[rows], outside]) for _, _, rows in own)]
    log_p = score(trained, tested, number)
    folds = with_means(
      [
        Fold(
          repeat,
          inside[rows],
          np.bincount(labels[inside[used]]),
          {arm: p[i][: len(rows)] for arm, p in log_p.items()},
        )
        for i, (repeat, used, rows) in enumerate(own, 1)
      ],
      len(labels),
    )
    outer_scores = {arm: p[0] for arm, p in log_p.items()}
    outer_scores[MEAN] = mean_log_p([p[-len(outside) :] for p in log_p[NATURAL][1 : FOLDS + 1]])
    last = Fold(0, outside, np.bincount(labels[inside]), outer_scores)
    found: dict[str, dict[str, dict[str, float]]] = {'inside': {}, 'outside': {}}
    for metric in DECIDING:
      measures = replace(every, metrics={metric: METRICS[metric]})
      scores = AllScores(folds, labels, measures, metric)
      judged, decides = judge(scores), METRICS[metric].decides
      strengths = {name: scores.threshold(name) if decides else 0.0 for name in judged}
      values = {
        name: measures.better(metric, scores.of(name, last, t), labels[outside])
        for name, t in strengths.items()
      }
      untuned = scores.of('threshold', last, float(decides))
      sign = 1 if METRICS[metric].higher else -1
      estimates = {name: sign * one.values[metric] for name, one in judged.items()}
      found['outside'][metric] = {
        PICKER: values[simplest(judged, measures, metric)],
        BEST: values[max(estimates, key=lambda name: estimates[name])],
        **values,
        UNTUNED: measures.better(metric, untuned, labels[outside]),
      }
      found['inside'][metric] = {
        name: value
        for name, value in estimates.items()
        if name == NATURAL or not judged[name].collapsed
      }
    yield found


def _ordered(names: Iterable[str]) -> list[str]:
  """Returns the names of rules and arms that there are, in the order of the printed table."""
  there = set(names)
  return [name for name in (PICKER, BEST, *ARMS, UNTUNED) if name in there]


def equal(n_rare: int, features: str, runs: int, **_: Any) -> Work:
  """Returns the work of counting runs with a false verdict on equal remedies."""
  arms = TRAINED
  return _work(
    lambda: {
      'false': sum(made.false_verdict(n_rare, features, arms, seed) for seed in range(runs)),
      'runs': runs,
    }
  )


def planted(n_rare: int, runs: int, **_: Any) -> Work:
  """Returns the work of counting verdicts on remedies of known effects."""
  return _work(
    lambda: {
      str(effect): dict(Counter(made.planted_verdict(n_rare, effect, seed) for seed in range(runs)))
      for effect in EFFECTS
    }
  )


def logistic(table: str, steps: int, **_: Any) -> Work:
  """Returns the work of judging SMOTE and a threshold for a logistic model of a table."""
  return _work(lambda: judge_logistic(*read_or_make(table), steps))


def judge_logistic(x: Array, labels: Array, steps: int) -> dict[str, dict[str, float]]:
  """Returns macro recall, log loss and calibration intercept of a logistic model by remedy."""
  own = splits(x, labels, 0, REPEATS)
  _, trained, tested = zip(*own, strict=True)
  log_p = {arm: train(x, labels, trained, tested, arm, steps, 0) for arm in (NATURAL, 'smote')}
  folds = [
    Fold(repeat, rows, np.bincount(labels[used]), {arm: p[i] for arm, p in log_p.items()})
    for i, (repeat, used, rows) in enumerate(own)
  ]
  scores = AllScores(folds, labels, Measures.of(np.bincount(labels)), 'macro_recall')
  judged = judge(scores)
  intervals = dict(gaps(scores, judged, NATURAL, len(judged) - 1))
  found = {}
  for arm, one in judged.items():
    intercept, slope = one.calibration or (np.nan, np.nan)
    found[arm] = {
      **{name: one.values[name] for name in ('macro_recall', 'log_loss')},
      'low': intervals[arm].low,
      'high': intervals[arm].high,
      'intercept': intercept,
      'slope': slope,
    }
  return found


def comparison(results: Sequence[Result]) -> Group:
  """Returns the printed tables of all parts that were run."""
  found = {r.case.name: r.runs[OURS][0].result for r in results if r.runs.get(OURS)}
  parts: dict[str, dict[str, Any]] = {kind: {} for kind in _PRINTED}
  for name, value in found.items():
    parts[name.split()[0].strip(',')][name] = value
  printed = [show(parts[kind]) for kind, show in _PRINTED.items() if parts[kind]]
  return Group(*printed)


def regrets(values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, Any]]:
  """Returns by metric the mean regret of each remedy, of the fixed one, and the difference.

  Args:
    values: What `means` returns, by table.
  """
  found = {}
  for metric in DECIDING:
    names = _ordered(set.intersection(*(set(table[metric]) for table in values.values())))
    own_arms = [name for name in names if name in ARMS]
    each = {
      name: 100 * np.array([table[metric][name] for table in values.values()]) for name in names
    }
    arms = np.stack([each[arm] for arm in own_arms])
    others = (arms.sum(axis=1, keepdims=True) - arms).argmax(axis=0)
    each['fixed'] = arms[others, np.arange(arms.shape[1])]
    less = each[PICKER] - each['fixed']
    n = len(less)
    half = stats.t.ppf(0.975, n - 1) * stats.sem(less) if n > 1 else np.nan
    found[metric] = {
      **{name: float(np.mean(arms.max(axis=0) - own)) for name, own in each.items()},
      'difference': (float(less.mean()), float(less.mean() - half), float(less.mean() + half)),
      'chosen': dict(Counter(own_arms[i] for i in others).most_common()),
    }
  return found


def gains(splits: Sequence[Mapping[str, Any]], metric: str) -> Interval:
  """Returns what `PICKER` gains over natural batches in the outer folds of a table, in points.

  Args:
    splits: What `nested` yields.
    metric: Metric.
  """
  outside = [split['outside'][metric] for split in splits]
  return corrected_interval(
    [100 * (own[PICKER] - own[NATURAL]) for own in outside], 1 / (FOLDS - 1)
  )


def means(splits: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
  """Returns the mean of what is outside by metric and remedy, of what `nested` yields."""
  outside = [split['outside'] for split in splits]
  return {
    metric: {name: float(np.mean([own[metric][name] for own in outside])) for name in names}
    for metric, names in outside[0].items()
  }


def _print_regret(scores: Mapping[str, Any]) -> Group:
  by_metric = regrets({name: means(splits) for name, splits in scores.items()})
  names = [n for n in next(iter(by_metric.values())) if n not in ('difference', 'chosen')]
  table = empty_table(f'mean regret, {len(scores)} tables', *names, f'{PICKER} - fixed')
  chosen = []
  for metric, own in by_metric.items():
    mean, low, high = own['difference']
    cells = [f'{own[name]:.2f}' for name in names]
    table.add_row(METRICS[metric].words, *cells, f'{mean:+.2f} [{low:+.2f}, {high:+.2f}]')
    counts = ', '.join(f'{arm} {n}' for arm, n in own['chosen'].items())
    chosen.append(f'{METRICS[metric].words}: fixed is {counts}')
  words = [METRICS[metric].words for metric in DECIDING]
  gained = empty_table(f'{PICKER} - {NATURAL}', 'outer folds', *words)
  for name, splits in scores.items():
    intervals = [gains(splits, metric) for metric in DECIDING]
    cells = [f'{one.mean:+.2f} [{one.low:+.2f}, {one.high:+.2f}]' for one in intervals]
    gained.add_row(name, str(len(splits)), *cells)
  return Group(table, *chosen, '', gained, '')


def _print_equal(runs_of: Mapping[str, Any]) -> Table:
  table = empty_table('equal remedies', 'runs', 'with a false verdict')
  for name, own in runs_of.items():
    table.add_row(name, str(own['runs']), str(own['false']))
  return table


def _print_planted(counts_of: Mapping[str, Any]) -> Table:
  table = empty_table(f'{HELPS} / {NO_DIFFERENCE}, %', *(f'{effect:+.2f}' for effect in EFFECTS))
  for name, own in counts_of.items():
    cells = []
    for counts in own.values():
      shares = [100 * counts.get(verdict, 0) / sum(counts.values()) for verdict in _VERDICTS]
      cells.append(' / '.join(f'{share:.0f}' for share in shares))
    table.add_row(name, *cells)
  return table


_VERDICTS = (HELPS, NO_DIFFERENCE)


def _print_logistic(figures: Mapping[str, Any]) -> Table:
  names = ('macro recall', '- natural', 'log loss', 'intercept', 'slope')
  table = empty_table('logistic model', *names)
  for name, own in figures.items():
    for arm, v in own.items():
      interval = '' if arm == NATURAL else f'[{v["low"]:+.3f}, {v["high"]:+.3f}]'
      cells = [f'{v[key]:.3f}' for key in ('log_loss', 'intercept', 'slope')]
      table.add_row(f'{name}: {arm}', f'{v["macro_recall"]:.3f}', interval, *cells)
  return table


_PRINTED: dict[str, Callable[[Mapping[str, Any]], RenderableType]] = {
  'regret': _print_regret,
  **dict.fromkeys(('Keras', *MODELS), _print_regret),
  'equal': _print_equal,
  'planted': _print_planted,
  'logistic': _print_logistic,
}
"""How each part is printed, by the first word of its cases."""
