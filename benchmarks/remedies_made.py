"""Made tables on which equal remedies are compared, or one of a known effect, many times over.

The model is Fisher's linear discriminant, which has a closed form, so that hundreds of comparisons
take a minute. All features are equally good, and a model has some of them only. Either each fit has
a random projection: it varies between fits about as networks do. Or each remedy has features of its
own: over all tables they are equal, and on one table they differ in the same way in all folds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import log_softmax
from tfx_balance import StratifiedSplits
from tfx_balance.compare.arms import NATURAL, TRAINED
from tfx_balance.compare.intervals import HARMS, HELPS, Interval, corrected_interval
from tfx_balance.compare.judging import EQUIVALENT_RATE, Scores, gaps, judge, verdict
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.trainers import Fold

Array = npt.NDArray[Any]
FEATURES, PROJECTED, APART = 20, 18, 2.5
DRAWN, OWN = FEATURES_OF = ('drawn', 'own')
N_OWN = 10
SHARE = 10
"""Records of both classes for one of the rare class."""
REPEATS, FOLDS = 5, 5


def table(n_rare: int, rng: np.random.Generator) -> tuple[Array, Array]:
  """Returns normal features, [n, FEATURES], and classes 0 and 1, [n], of which 1 is rare."""
  labels = (np.arange(n_rare * SHARE) < n_rare).astype(np.int64)
  apart = APART / np.sqrt(FEATURES)
  return rng.normal(size=(len(labels), FEATURES)) + apart * labels[:, np.newaxis], labels


def score(x: Array, labels: Array, trained: Array, tested: Array) -> Array:
  """Returns log probabilities of a discriminant with equal priors: [n, 2]."""
  own, classes = x[trained], labels[trained]
  means = np.stack([own[classes == c].mean(axis=0) for c in (0, 1)])
  within = np.cov((own - means[classes]).T)
  slopes = np.linalg.solve(within, means.T)
  found: Array = log_softmax(x[tested] @ slopes - np.sum(means.T * slopes, axis=0) / 2, axis=1)
  return found


def folds_of(
  x: Array,
  labels: Array,
  arms: tuple[str, ...],
  seed: int,
  rng: np.random.Generator,
  features: str = DRAWN,
) -> list[Fold]:
  """Returns repeated folds in which all arms are equal, with features `DRAWN` or their `OWN`."""
  own = {arm: x[:, rng.permutation(FEATURES)[:N_OWN]] for arm in arms}
  found = []
  for repeat in range(REPEATS):
    for trained, tested in StratifiedSplits(FOLDS, seed * REPEATS + repeat).split(x, labels):
      scores = {}
      for arm in arms:
        seen = own[arm] if features == OWN else x @ rng.normal(size=(FEATURES, PROJECTED))
        scores[arm] = score(seen, labels, trained, tested)
      found.append(Fold(repeat, tested, np.bincount(labels[trained]), scores))
  return found


def false_verdict(n_rare: int, features: str, arms: tuple[str, ...], seed: int) -> bool:
  """Returns whether any of equal arms is said to help or to harm on a table drawn with a seed."""
  rng = np.random.default_rng([seed, n_rare])
  x, labels = table(n_rare, rng)
  folds = folds_of(x, labels, arms, seed, rng, features)
  scores = Scores(folds, labels, Measures.of(np.bincount(labels)), 'macro_recall')
  found = {name: one for name, one in judge(scores).items() if name in arms}
  level = found[NATURAL].values['macro_recall']
  intervals = dict(gaps(scores, found, NATURAL, len(found) - 1))
  return any(verdict(scores, one, level) in (HELPS, HARMS) for one in intervals.values())


def planted_verdict(n_rare: int, effect: float, seed: int) -> str:
  """Returns the verdict on an arm whose macro recall is higher by an effect.

  Of the records that the arm gets wrong, each is put right with a probability that adds the effect
  to the recall of its class, in all repetitions or in none. The interval is one of five.
  """
  rng = np.random.default_rng([seed, n_rare, 1])
  x, labels = table(n_rare, rng)
  folds = folds_of(x, labels, (NATURAL, 'balanced'), seed, rng)
  measures = Measures.of(np.bincount(labels), None)
  wrong = [
    np.mean(
      np.concatenate([np.argmax(f.log_p[NATURAL][labels[f.rows] == c], axis=1) != c for f in folds])
    )
    for c in (0, 1)
  ]
  right = rng.random(len(labels)) < effect / np.array(wrong)[labels]
  truth = np.log(np.where(np.eye(2)[labels] > 0, 0.9, 0.1))
  differences = []
  for fold in folds:
    better = np.where(right[fold.rows, np.newaxis], truth[fold.rows], fold.log_p['balanced'])
    pair = (better, fold.log_p[NATURAL])
    arm, natural = (measures.measure('macro_recall', p, labels[fold.rows]) for p in pair)
    differences.append(arm - natural)
  share = len(folds[0].rows) / folds[0].counts.sum()
  interval: Interval = corrected_interval(differences, share, len(TRAINED) - 1)
  return interval.verdict(EQUIVALENT_RATE)
