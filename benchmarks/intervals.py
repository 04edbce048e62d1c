"""Measures how often intervals of remedies hold, beside those that `compare` has.

Tables are drawn many times over and compared on 5 x 5 folds, with a logistic model; 'nonlinear'
ones on rectified features that each training draws anew, so that trainings differ as those of
networks do. 'equal' arms have columns of their own, which are all as good. The classes of 'null'
tables do not depend on the features. An interval shall hold the mean difference to natural training
over training sets of the size that folds train on. It is measured on 20,000 fresh records, equally
by class and weighted to the shares of the classes. A cell is, in percent of the tables:

- those on which the intervals of all arms hold; the aim is 93 to 99;
- those on which they hold it for the models that the folds of this table train, not its mean
  over tables;
- those on which they hold that of the two models that are trained on the whole table;
- the median over tables of the mean width;
- the share of arms with a verdict.

False is a table with an arm that is said to help or to harm, and has no effect or the opposite one.
Intervals are for all arms together: by Bonferroni for 'folds', and for the others by the joint
quantile of the largest of correlated normal differences, carried over to Student's t. The ways:

- folds: the corrected resampled interval (Nadeau and Bengio 2003), which `compare` has;
- records: the variance of the influence of records (Bayle et al. 2020, "Cross-validation confidence
  intervals for test error"), degrees of freedom from its fourth moment (Satterthwaite 1946);
- repeats: that, plus the variance between repetitions;
- nested: nested cross-validation (Bates et al. 2024, "Cross-validation: what does it estimate and
  how well does it do it?"), with three times the trainings;
- halves: that of records, times the mean over arms of how much more two halves of a table differ,
  each compared on folds of its own, in each repetition; with three times the trainings, of which
  two thirds have half the records. Halves are independent, so that this contains the variance of
  training;
- floor: that of folds, or of records where it is larger: folds have equal shares of the classes, so
  that their differences do not have the variance of these shares in them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from scipy import stats
from tfx_balance.compare.intervals import (
  CANNOT_TELL,
  CONFIDENCE,
  HARMS,
  HELPS,
  Interval,
  corrected_interval,
)
from tfx_balance.compare.judging import EQUIVALENT_PART, EQUIVALENT_RATE
from tfx_balance.compare.metrics import METRICS
from threadpoolctl import threadpool_limits

from benchmarks.harness import Case, Piece, Result, Work
from benchmarks.report import empty_table

Array = npt.NDArray[Any]
OURS = 'folds'
WAYS = (OURS, 'records', 'repeats', 'nested', 'halves', 'floor')
NAMES = ('macro_recall', 'worst_class', 'macro_f1', 'average_precision', 'log_loss')
ARMS = ('natural', 'shift', 'square root', 'weights', 'corrected')
REPORTED = np.array([0, 0, 2, 3, 4])
"""The arm whose probabilities an arm has: a shift moves decisions alone."""
KINDS = ('overlapping', 'nonlinear', 'three classes', 'equal', 'null')
WITHOUT_EFFECT = {'equal': NAMES, 'null': ('macro_recall', 'average_precision')}
REPEATS, FOLDS, FRESH, FEW = 5, 5, 20_000, 30
N, RARE = (300, 1_000, 3_000), (15, 30, 100, 300)
_RUNS = {'full': 200, 'small': 20, 'tiny': 2}


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  runs, sizes = _RUNS[size], N if size == 'full' else N[:1]
  rows = [(n, rare) for n in sizes for rare in RARE if rare < n and (rare >= FEW or n == N[0])]
  return [
    Case(f'{kind}, {n:,} records, {rare} rare', 1, {OURS: piece}, peers=(), ours=(OURS,))
    for kind in KINDS
    for n, rare in (rows if size != 'tiny' else rows[1:2])
    for piece in [
      Piece('benchmarks.intervals:study', {'kind': kind, 'n': n, 'rare': rare, 'runs': runs})
    ]
  ]


def study(kind: str, n: int, rare: int, runs: int, **_: Any) -> Work:
  """Returns the work of judging the intervals of many tables."""

  def run() -> dict[str, Any]:
    one = partial(compared, kind, n, rare)
    if runs < _RUNS['small']:
      return summary(kind, [one(seed) for seed in range(runs)])
    with ProcessPoolExecutor(2, get_context('spawn')) as pool:
      return summary(kind, list(pool.map(one, range(runs))))

  return Work(run, lambda found: {'records': 1, 'result': found})


def shares(kind: str, n: int, rare: int) -> Array:
  """Returns the share of each class, the rarest last."""
  middle = [min(2.5 * rare, (n - rare) / 2)] if kind == 'three classes' else []
  return np.array([n - rare - sum(middle), *middle, rare]) / n


def features(kind: str, labels: Array, rng: np.random.Generator) -> Array:
  """Returns features, [n, d], of records of the classes."""
  rare = labels[:, np.newaxis]
  if kind == 'nonlinear':
    side, x = np.sign(rng.normal(size=rare.shape)), rng.normal(size=(len(labels), 4))
    return np.where(rare == 1, 0.7 * x + side * [1.6, 1.6, 0, 0], x)
  x = rng.normal(size=(len(labels), 20 if kind == 'equal' else 8))
  if kind == 'equal':
    x += 2.5 / np.sqrt(20) * rare
  if kind == 'overlapping':
    x[:, :2] += 1.3 * rare
    x[:, 2] *= 1 + 0.5 * labels
  if kind == 'three classes':
    x[:, :3] += np.array([[0, 0, 0], [1.8, 0, 0], [0, 1.8, 0.8]])[labels]
  return x


def logistic(x: Array, one_hot: Array, weights: Array) -> Array:
  """Returns the slopes of F logistic models with a penalty of 1 / 2: [F, d, n_classes - 1].

  Args:
    x: Features, the last one constant, [n, d].
    one_hot: Class of each record, [n, n_classes]; the logit of the first is 0.
    weights: Weight of each record in each model, [F, n].
  """
  (n, d), k, n_models = x.shape, one_hot.shape[1] - 1, len(weights)
  slopes, ridge = np.zeros((n_models, d, k)), np.append(np.ones(d - 1), 1e-6)
  products = (x[:, :, np.newaxis] * x[:, np.newaxis]).reshape(n, d * d)
  for _ in range(15):
    e = np.exp(np.clip(slopes.transpose(2, 0, 1) @ x.T, -30, 30))
    p = e / (1 + e.sum(axis=0))
    slope = (weights * (p - one_hot.T[1:, np.newaxis])) @ x + ridge * slopes.transpose(2, 0, 1)
    curve = np.empty((n_models, k, d, k, d))
    for a, b in np.ndindex(k, k):
      own = weights * p[a] * ((a == b) - p[b])
      curve[:, a, :, b] = (own @ products).reshape(n_models, d, d) + (a == b) * np.diag(ridge)
    right = slope.transpose(1, 0, 2).reshape(n_models, k * d, 1)
    step = np.linalg.solve(curve.reshape(n_models, k * d, k * d), right)
    slopes -= step.reshape(n_models, k, d).transpose(0, 2, 1)
    if np.abs(step).max() < 1e-4:
      break
  return slopes


def log_scores(x: Array, slopes: Array) -> Array:
  """Returns log probabilities, [F, n, n_classes], of F models."""
  logits = np.clip(slopes.transpose(2, 0, 1) @ x.T, -300, 300)
  others = np.log1p(np.exp(logits).sum(axis=0))
  return np.stack([-others, *(logits - others)], axis=-1)


def shifted(log_p: Array, shift: Array) -> Array:
  """Returns log probabilities after a shift; `log_softmax` takes twice the time."""
  log_p = log_p + shift
  return log_p - np.log(sum(np.exp(log_p[..., c]) for c in range(log_p.shape[-1])))[..., np.newaxis]


def seen(x: Array, columns: Array, drawn: Array | None) -> Array:
  """Returns what a model sees, the last column constant."""
  x = x[:, columns]
  added = [] if drawn is None else [np.maximum(x @ drawn[:-1] + drawn[-1], 0)]
  return np.hstack([*added, x, np.ones((len(x), 1))])


def scored(
  kind: str, x: Array, labels: Array, masks: Array, test: Array, seed: Sequence[int]
) -> Array:
  """Returns log probabilities of all arms: [F, arms, n_tested, n_classes].

  Args:
    kind: Kind of the table.
    x: Features, [n, d].
    labels: Class of each record, [n].
    masks: Records that each of F models is trained on, bool [F, n].
    test: Features of the records that are scored.
    seed: Seeds of the columns of each arm, and of what trainings draw.
  """
  one_hot, d, arms = np.eye(labels.max() + 1)[labels], x.shape[1], []
  counts = masks.astype(np.float64) @ one_hot
  columns, rng = np.random.default_rng(seed[0]), np.random.default_rng(seed)
  for power in [1] * len(ARMS) if kind == 'equal' else [0, 0.5, 1]:
    own = columns.permutation(d)[: d // 2] if kind == 'equal' else np.arange(d)
    weights = counts**-power
    weights *= (counts.sum(axis=1) / (weights * counts).sum(axis=1))[:, np.newaxis]
    weights = weights[:, labels] * masks
    scores = []
    for part in np.split(weights, len(masks)) if kind == 'nonlinear' else [weights]:
      drawn = rng.normal(size=(d + 1, 12)) if kind == 'nonlinear' else None
      slopes = logistic(seen(x, own, drawn), one_hot, part)
      scores.append(log_scores(seen(test, own, drawn), slopes))
    arms.append(np.concatenate(scores))
  if kind != 'equal':
    log_prior = np.log(counts / counts.sum(axis=1, keepdims=True))[:, np.newaxis]
    arms.insert(1, shifted(arms[0], -log_prior))
    arms.append(shifted(arms[-1], log_prior))
  return np.stack(arms, axis=1)


def measured(decide: Array, log_p: Array, labels: Array, weights: Array) -> tuple[Array, Array]:
  """Returns metrics, [M], higher is better, and the influence of each record on them, [M, n].

  Args:
    decide: Log scores that decide, [n, n_classes].
    log_p: Log probabilities that are reported, [n, n_classes].
    labels: Class of each record, [n].
    weights: Weight of each record, [n]; they sum to 1.
  """
  n, k = log_p.shape
  decided = np.argmax(decide, axis=1)
  pairs = np.bincount(labels * k + decided, weights, k * k).reshape(k, k)
  tested, both = pairs.sum(axis=1), pairs.sum(axis=0) + pairs.sum(axis=1)
  recalls, f1 = np.diag(pairs) / tested, 2 * np.diag(pairs) / both
  right = decided == labels
  recall = (right - recalls[labels]) / tested[labels]
  of_f1 = 2 * right / both[labels] - (f1 / both)[labels] - (f1 / both)[decided]
  odds = log_p - np.log(-np.expm1(np.minimum(log_p, -1e-15)))
  ranked = [precision_of(odds[:, c], labels == c, weights) for c in range(int(k == 2), k)]
  own, worst = log_p[np.arange(n), labels], recall * (labels == recalls.argmin())
  mean, of_mean = np.mean([v for v, _ in ranked]), np.mean([each for _, each in ranked], axis=0)
  values = np.array([recalls.mean(), recalls.min(), f1.mean(), mean, own @ weights])
  return values, np.stack([recall / k, worst, of_f1 / k, of_mean, own - values[-1]])


def precision_of(odds: Array, target: Array, weights: Array) -> tuple[float, Array]:
  """Returns average precision and influences: a record moves the precision at lower scores."""
  order = np.argsort(-odds, kind='stable')
  hit, w = target[order].astype(np.float64), weights[order]
  above = np.cumsum(w)
  precision, share = np.cumsum(w * hit) / above, w @ hit
  value = float((w * hit) @ precision / share)
  lower = [np.cumsum(each[::-1])[::-1] for each in (w * hit / above, w * hit / above * precision)]
  found = np.empty(len(odds))
  found[order] = (hit * (precision - value) + hit * lower[0] - lower[1]) / share
  return value, found


def differences(
  kind: str, log_p: Array, labels: Array, weights: Array | None = None
) -> tuple[Array, Array, Array]:
  """Returns metrics of the natural arm, differences to them, and the influences on these.

  Args:
    kind: Kind of the table.
    log_p: Log scores, [arms, n, n_classes].
    labels: Class of each record, [n].
    weights: Weight of each record, [n]; None for equal ones.
  """
  n, reported = len(labels), log_p if kind == 'equal' else log_p[REPORTED]
  weights = np.full(n, 1 / n) if weights is None else weights
  each = [measured(*arm, labels, weights) for arm in zip(log_p, reported, strict=True)]
  values, influences = map(np.stack, zip(*each, strict=True))
  return values[0], values[1:] - values[0], influences[1:] - influences[0]


def fold_numbers(labels: Array, n_folds: int, rng: np.random.Generator) -> Array:
  """Returns a random fold of each record, [n], equally by class."""
  found = np.empty(len(labels), np.int64)
  found[np.lexsort((rng.random(len(labels)), labels))] = np.arange(len(labels)) % n_folds
  return found


@threadpool_limits.wrap(limits=1)
def compared(kind: str, n: int, rare: int, seed: int) -> dict[str, Array]:
  """Returns what intervals of one table are made of, and the truth; see `half_widths`."""
  rng, share = np.random.default_rng([seed, n, rare, KINDS.index(kind)]), shares(kind, n, rare)
  labels = rng.choice(len(share), n, p=share)
  while np.bincount(labels, minlength=len(share)).min() < 2 * FOLDS:
    labels = rng.choice(len(share), n, p=share)
  x = features(kind, labels, rng)
  fresh_labels = np.arange(FRESH) % len(share)
  fresh = features(kind, fresh_labels, rng)
  fresh_weights = (share / np.bincount(fresh_labels))[fresh_labels]
  pairs = {pair: FOLDS + at for at, pair in enumerate(zip(*np.triu_indices(FOLDS, 1), strict=True))}
  found: dict[str, list[Array]] = {name: [] for name in ('value', 'psi', 'fold', 'nested', 'half')}
  for repeat in range(REPEATS):
    fold, side, inner = (
      fold_numbers(labels, FOLDS, rng),
      fold_numbers(labels, 2, rng),
      labels.copy(),
    )
    for half in (0, 1):
      inner[side == half] = fold_numbers(labels[side == half], FOLDS, rng)
    masks = [fold != i for i in range(FOLDS)] + [(fold != i) & (fold != j) for i, j in pairs]
    masks += [(side == half) & (inner != i) for half in (0, 1) for i in range(FOLDS)]
    log_p = scored(kind, x, labels, np.stack(masks), x, [seed, repeat])

    def values(rows: Array, model: Array, log_p: Array = log_p) -> tuple[Array, Array, Array]:
      return differences(kind, log_p[model, :, rows].swapaxes(0, 1), labels[rows])

    natural, value, psi = values(np.arange(n), fold)
    found['value'].append(value)
    found['psi'].append(psi)
    for i in range(FOLDS):
      outside, inside = np.flatnonzero(fold == i), np.flatnonzero(fold != i)
      without = values(inside, fold[inside])[1]
      found['fold'].append(FOLDS * value - (FOLDS - 1) * without)  # jackknife, as `judge` has it
      model = np.array([pairs.get((min(i, j), max(i, j)), 0) for j in range(FOLDS)])[fold[inside]]
      own = psi[..., outside]
      apart = values(inside, model)[1] - value - own.mean(axis=-1)
      found['nested'].append(apart**2 - own.var(axis=-1, ddof=1) / len(outside))
    halves = [np.flatnonzero(side == half) for half in (0, 1)]
    models = [FOLDS + len(pairs) + FOLDS * half + inner[rows] for half, rows in enumerate(halves)]
    one, other = (values(*pair)[1] for pair in zip(halves, models, strict=True))
    found['half'].append((one - other) ** 2 / 4)
  whole = np.stack([*masks[:FOLDS], np.ones(n, np.bool_)])
  fresh_log_p = scored(kind, x, labels, whole, fresh, [seed, REPEATS])
  truths = [differences(kind, each, fresh_labels, fresh_weights)[1] for each in fresh_log_p]
  psi = np.mean(found.pop('psi'), axis=0)
  return {
    **{name: np.stack(each) for name, each in found.items()},
    'natural': natural,
    'n': np.array(n),
    'squares': np.einsum('amn,bmn->mab', psi, psi),
    'fourth': np.sum(psi**4, axis=-1),
    'truths': np.stack(truths),
    'differ': np.mean(log_p[0].argmax(axis=-1) != log_p[0, :1].argmax(axis=-1), axis=1)[1:],
  }


def half_widths(table: Mapping[str, Array], m: int, arms: Array) -> dict[str, Array]:
  """Returns half the width of each arm's interval by way, [arms], for one metric.

  Args:
    table: What `compared` returns.
    m: Index of the metric.
    arms: Indices of the arms whose differences vary.
  """
  n, squares = int(table['n']), table['squares'][m][np.ix_(arms, arms)]
  sums, fourth = np.diag(squares), table['fourth'][arms, m]
  records = sums / n**2
  freedom = np.maximum(2 * sums**2 / np.maximum(fourth - sums**2 / n, 1e-300), 2)
  correlations = squares / np.sqrt(np.outer(sums, sums))
  level = 1 - joint_level(correlations) / 2
  between = np.var(table['value'][:, arms, m], axis=0, ddof=1)
  nested = np.clip(
    (1 - 1 / FOLDS) * table['nested'][:, arms, m].mean(axis=0), records, FOLDS * records
  )
  half = table['half'][:, arms, m].mean(axis=0)
  drawn = REPEATS * len(arms) ** 2 / np.sum(correlations**2)
  folds = [corrected_interval(d, 1 / (FOLDS - 1), len(arms)) for d in table['fold'][:, arms, m].T]
  corrected = np.array([(each.high - each.low) / 2 for each in folds])
  single = stats.t.ppf(1 - (1 - CONFIDENCE) / (2 * len(arms)), FOLDS * REPEATS - 1)
  return {
    OURS: corrected,
    'records': stats.t.ppf(level, freedom) * np.sqrt(records),
    'repeats': stats.t.ppf(level, freedom) * np.sqrt(records + between),
    'nested': stats.t.ppf(level, freedom) * np.sqrt(nested),
    'halves': stats.t.ppf(level, np.minimum(freedom, drawn))
    * np.sqrt(np.mean(half / records) * records),
    'floor': np.maximum(corrected, single * np.sqrt(records)),
  }


def joint_level(correlations: Array) -> float:
  """Returns the chance that one of normal values leaves an interval that all keep to together."""
  values, vectors = np.linalg.eigh(correlations)
  drawn = np.random.default_rng(0).normal(size=(4_000, len(values)))
  drawn = drawn @ (vectors * np.sqrt(np.maximum(values, 0))).T
  return float(2 * stats.norm.sf(np.quantile(np.abs(drawn).max(axis=1), CONFIDENCE)))


def summary(kind: str, tables: Sequence[Mapping[str, Array]]) -> dict[str, Any]:
  """Returns shares of tables by metric and way, and the share of predictions that differ by arm."""
  found: dict[str, Any] = {}
  truths = np.mean([table['truths'][:FOLDS] for table in tables], axis=(0, 1))
  for m, name in enumerate(NAMES):
    seen_ways: dict[str, list[tuple[float, ...]]] = {way: [] for way in WAYS}
    for table in tables:
      apart = np.minimum(np.ptp(table['fold'][..., m], axis=0), np.diagonal(table['squares'][m]))
      arms = np.flatnonzero(apart > 1e-12)  # others have no interval
      own = table['truths'][:, arms, m]
      truth, meant = truths[arms, m], (truths[arms, m], own[:FOLDS].mean(axis=0), own[FOLDS])
      natural = abs(float(table['natural'][m]))
      region = EQUIVALENT_RATE if METRICS[name].rate else EQUIVALENT_PART * natural
      mean = table['value'][:, arms, m].mean(axis=0)
      for way, half in half_widths(table, m, arms).items() if len(arms) else ():
        said = [Interval(v, v - h, v + h).verdict(region) for v, h in zip(mean, half, strict=True)]
        effect = truth * (name not in WITHOUT_EFFECT.get(kind, ()))
        wrong = [
          (v == HELPS and e <= 0) or (v == HARMS and e >= 0)
          for v, e in zip(said, effect, strict=True)
        ]
        covers = [float(np.all(np.abs(mean - t) <= half)) for t in meant]
        decided = np.mean([verdict != CANNOT_TELL for verdict in said])
        seen_ways[way].append((*covers, 2 * half.mean(), float(decided), float(any(wrong))))
    found[name] = {
      way: [*np.mean(each, axis=0)[:3], np.median(each, axis=0)[3], *np.mean(each, axis=0)[4:]]
      for way, each in seen_ways.items()
      if each
    }
  differ = dict(zip(ARMS[1:], np.mean([table['differ'] for table in tables], axis=0), strict=True))
  return {'metrics': found, 'differ': differ}


def comparison(results: Sequence[Result]) -> Group:
  """Returns the printed tables: each kind of table, and all of them together."""
  found = {r.case.name: r.runs[OURS][0].result for r in results if r.runs.get(OURS)}
  every = empty_table('held, own, final / width / decided', *WAYS)
  total: dict[str, dict[str, list[Any]]] = {}
  for case, result in found.items():
    few = f', {RARE[0]} rare' in case
    for name, ways in result['metrics'].items():
      cells = [
        f'{100 * covers:.0f} {100 * own:.0f} {100 * final:.0f} {width:.3f} {100 * decided:.0f}'
        for covers, own, final, width, decided, _ in ways.values()
      ]
      every.add_row(f'{case}: {METRICS[name].words}', *cells)
      for way, own in ways.items():
        null = name in WITHOUT_EFFECT.get(case.split(',')[0], ())
        total.setdefault(f'below {FEW} rare' if few else f'{FEW} rare or more', {}).setdefault(
          way, []
        ).append((*own, own[3] / ways[OURS][3], null))
  headings = (
    'rows',
    'held in',
    'below 93',
    'above 99',
    'own in',
    'below 93',
    'final in',
    'width',
    'decided',
    'false, null',
  )
  rows = empty_table('of all rows', *headings, 'false, other')
  for part, ways in total.items():
    for way, each in ways.items():
      covers, of_own, final, _, decided, false, width, null = np.array(each).T
      spans = [f'{100 * v.min():.0f} to {100 * v.max():.0f}' for v in (covers, of_own, final)]
      worst = [f'{100 * false[of].max(initial=0):.0f}' for of in (null == 1, null == 0)]
      below, above = [(v < 0.93).sum() for v in (covers, of_own)], (covers > 0.99).sum()
      means = [f'{width.mean():.2f}', f'{100 * decided.mean():.0f}']
      counts = [spans[0], below[0], above, spans[1], below[1], spans[2]]
      rows.add_row(f'{part}: {way}', *map(str, [len(each), *counts, *means, *worst]))
  differ = empty_table('predictions that differ, %', *ARMS[1:])
  for case, result in found.items():
    differ.add_row(case, *(f'{100 * share:.0f}' for share in result['differ'].values()))
  return Group(every, '', rows, '', differ)
