"""Label sets as the classes of multi-label records: weights that give the labels their shares."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.batch_quota import MAX_RESOLUTION, Weights, bounded_weights
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.distinct_sets import DistinctSets
from tfx_balance.plan.labels import LabelRows
from tfx_balance.plan.ranks import Ints, UInts
from tfx_balance.plan.runs import places_of_runs
from tfx_balance.plan.sampling import Mixture, TrainingCounts

MOST_LABELS = 2000
"""Most labels: a fit holds three matrices of n_labels^2 floats, 96 MB then."""
TOLERANCE = 0.01
"""Relative distance of a label's share from what was asked for, past which a warning tells it."""

_RIDGE = 1e-3  # a label is off by at most 0.1% for each e-fold that it is raised, if sets allow it
_MOST_STEPS = 200
_DONE = 1e-9
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 times the golden ratio's fraction

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class LabelSetCounts(TrainingCounts):
  """The label sets that batches are sampled from; q, ratios and epochs are those of the labels.

  A label's share is its part of all labels of a batch's records. The weights of the sets that have
  such shares and are nearest to the natural ones (least Kullback-Leibler divergence) exist and are
  unique if any do (I-projection: Csiszar 1975, "I-divergence geometry of probability distributions
  and minimization problems"; for two labels a table's raking, Deming and Stephan 1940). Where sets
  do not allow the shares, as for a label that never comes without a commoner one, what is off and
  the divergence are weighed against each other. Records without any label keep their natural share.

  Over- and under-sampling of label sets and labels by heuristics: Charte et al. 2015, "Addressing
  imbalance in multilabel classification: measures and random resampling algorithms" (LP-ROS,
  ML-ROS).

  Sets are in the order of their labels, the commonest first, so that `systematic_sets` spreads the
  records of a label over batches.

  Attributes:
    sets: Labels of each class.
  """

  sets: DistinctSets

  @classmethod
  def of(cls, classes: Sequence[ClassValue], records: Sequence[int]) -> LabelSetCounts:
    """Returns the counts of classes that are label sets, in their order."""
    return cls(tuple(classes), tuple(records), DistinctSets.of(classes))

  @property
  def labels(self) -> tuple[ClassValue, ...]:
    """The labels in canonical order."""
    return self.sets.labels

  def __post_init__(self) -> None:
    if not 0 < len(self.labels) <= MOST_LABELS:
      raise DataError(
        f'there are {len(self.labels)} labels, and batches of label sets take 1 to {MOST_LABELS}; '
        f'leave out the rarest'
      )

  @property
  def label_counts(self) -> TrainingCounts:
    """The labels as classes, with the records that have each."""
    return TrainingCounts(self.labels, tuple(self._sums(self.records).tolist()))

  def weights(
    self, q: float | Mixture | None = None, ratios: Mapping[Any, Any] | None = None
  ) -> Weights:
    """Returns the weights of the sets under which the labels have their shares.

    >>> one, two = ClassValue('int', 1), ClassValue('int', 2)
    >>> classes = [ClassValue('set', labels) for labels in ((one,), (one, two), (two,))]
    >>> sets = LabelSetCounts.of(classes, [80, 10, 10])
    >>> sets.label_shares(sets.weights(q=1)).round(2).tolist()
    [0.82, 0.18]
    >>> sets.label_shares(sets.weights()).round(2).tolist()
    [0.5, 0.5]

    Args:
      q: Exponent of label weights records^q, or a mixture, as in `TrainingCounts`.
      ratios: Weight by label, every label named; the sets that have a label of weight 0 are left
        out.

    Raises:
      ConfigError: if an argument breaks a rule, or ratios leave no set.
    """
    return self.fitted(self.label_counts.weights(q, ratios))

  def units(self, weights: Weights) -> tuple[Sequence[int], Sequence[int]]:
    """Returns the records and the weight of each label; see `TrainingCounts`."""
    return self.label_counts.records, self._sums(weights).tolist()

  def label_shares(self, weights: Weights) -> Floats:
    """Returns each label's share of the labels of records so sampled: float64 [n_labels]."""
    sums = self._sums(weights)
    shares: Floats = sums / sums.sum()
    return shares

  def fitted(self, targets: Weights) -> Weights:
    """Returns the weights of the sets, nearest to the natural ones, that give labels their shares.

    Warns where a label's share is off by more than `TOLERANCE`.

    Args:
      targets: Weight of each label.

    Raises:
      ConfigError: if every set has a label of weight 0.
    """
    wanted = np.array(targets, np.float64) / sum(targets)
    left_out = np.zeros(len(self.classes), np.bool_)
    left_out[self.sets.owners[wanted[self.sets.members] == 0]] = True
    empty = np.diff(self.sets.row_splits) == 0
    used = np.flatnonzero(~left_out & ~empty)
    if not len(used):
      raise ConfigError(
        'ratios= are 0 for a label of every record that has labels; leave such records out of the '
        'data, or give the label a ratio above 0'
      )
    records = np.array(self.records, np.float64)
    fit = _Fit.of(records[used], self.sets.take(used), wanted)
    share = records / records.sum()
    share[left_out] = 0
    share[used] = fit.solve() * (1 - share[empty].sum())
    # A set gets half a unit more by rounding, or the least weight, 1: the sum stays in bounds.
    units = np.rint(share / share.sum() * (MAX_RESOLUTION - 2 * len(share))).astype(np.int64)
    weights = bounded_weights(np.where(left_out, 0, np.maximum(units, 1)).tolist())
    self._warn_of(wanted, self.label_shares(weights))
    return weights

  def _warn_of(self, wanted: Floats, shares: Floats) -> None:
    off = np.abs(shares - wanted) / np.where(wanted > 0, wanted, 1)
    worst = int(np.argmax(off))
    if off[worst] > TOLERANCE:
      n = int((off > TOLERANCE).sum())
      warnings.warn(
        f'the label sets do not allow the shares asked for: label {self.labels[worst]} gets '
        f'{shares[worst]:.4f} of the labels in place of {wanted[worst]:.4f}, and {n} of '
        f'{len(wanted)} labels are off by more than {TOLERANCE:.0%}; label_shares() gives all of '
        f'them; shares nearer to the natural ones, such as q=0.5, are easier to meet',
        stacklevel=2,
      )

  def _sums(self, values: Sequence[int]) -> Ints:
    """Returns the sum over the sets that have each label: int64 [n_labels]."""
    return self.sets.sums(np.array(values, np.int64)[:, np.newaxis])[:, 0]


@dataclass(frozen=True)
class _Fit:
  """The dual of the projection: a smooth convex function of one multiplier a label.

  With t the wanted shares, a set s is weighted by n_s exp(x . a_s), a_s[l] = [l in s] - t_l |s|.
  The gradient of log(sum of weights) is what the labels' sums are off from t times their total.

  Attributes:
    records: float64 [n_sets].
    row: int64 [n_pairs], set of each pair of a set and a label of it.
    label: int64 [n_pairs], its label.
    both: Sets, and flat positions in [n_labels, n_labels], of each two labels of a set.
    sizes: float64 [n_sets], labels of each set.
    wanted: float64 [n_labels], shares that sum to 1.
  """

  records: Floats
  row: Ints
  label: Ints
  both: tuple[Ints, Ints]
  sizes: Floats
  wanted: Floats

  @classmethod
  def of(cls, records: Floats, sets: DistinctSets, wanted: Floats) -> _Fit:
    row, label, sizes = sets.owners, sets.members, np.diff(sets.row_splits)
    times = sizes[row]  # each pair meets all the pairs of its set
    other = label[places_of_runs(sets.row_splits[row], times)]
    both = np.repeat(row, times), np.repeat(label, times) * len(wanted) + other
    return cls(records, row, label, both, sizes.astype(np.float64), wanted)

  def solve(self) -> Floats:
    """Returns the share of each set, float64 [n_sets]: Newton's method with halved steps."""
    x = np.zeros(len(self.wanted))
    value, share = self._at(x)
    for _ in range(_MOST_STEPS):
      gradient, hessian = self._derivatives(share, x)
      if np.abs(gradient).max() <= _DONE * self.wanted.max():
        break
      step = np.linalg.lstsq(hessian, -gradient, rcond=None)[0]
      slope, size = float(gradient @ step), 1.0
      while size > 1e-10:
        trial, trial_share = self._at(x + size * step)
        if trial <= value + 1e-4 * size * slope:
          break
        size /= 2
      else:
        break  # no step makes it smaller: as near as floats come
      x, value, share = x + size * step, trial, trial_share
    return share

  def _at(self, x: Floats) -> tuple[float, Floats]:
    """Returns the dual and the sets' shares, float64 [n_sets], at multipliers [n_labels]."""
    sums = np.bincount(self.row, x[self.label], len(self.records)).astype(np.float64)
    scores = np.log(self.records) + sums - self.sizes * float(self.wanted @ x)
    top = scores.max()
    each = np.exp(scores - top)
    total = each.sum()
    return float(top + np.log(total) + _RIDGE / 2 * (self.wanted @ x**2)), each / total

  def _derivatives(self, share: Floats, x: Floats) -> tuple[Floats, Floats]:
    """Returns the gradient, float64 [n_labels], and the Hessian, [n_labels, n_labels]."""
    n, t = len(self.wanted), self.wanted
    sums = np.bincount(self.label, share[self.row], n)
    gradient = sums - t * sums.sum()
    rows, places = self.both
    together = np.bincount(places, share[rows], n * n).reshape(n, n)
    sized = np.bincount(self.label, (share * self.sizes)[self.row], n)
    hessian = together - np.outer(sized, t) - np.outer(t, sized)
    hessian += np.outer(t, t) * float(share @ self.sizes**2) - np.outer(gradient, gradient)
    return gradient + _RIDGE * t * x, hessian + np.diag(_RIDGE * t)


def systematic_sets(weights: Weights, batch_size: int, steps: Ints, key: UInts) -> Ints:
  """Returns the label set in each slot of batches: int64 [n_batches, batch_size].

  Every batch is a systematic sample (Madow 1949, "On the theory of systematic sampling"): the sets
  are laid end to end, each as long as its weight, and cut at batch_size points at equal distances.
  Each set so gets the floor or the ceiling of its share, as does each run of neighbouring sets. The
  first point moves from step to step by the golden ratio, which spreads it evenly (Weyl 1916).

  >>> systematic_sets((2, 1, 1), 4, np.arange(2), np.uint64(0)).tolist()
  [[0, 0, 1, 2], [0, 0, 1, 2]]

  Args:
    weights: Weight of each set.
    batch_size: Records of a batch.
    steps: int64 [n_batches].
    key: Hash of the seed.
  """
  ends = np.cumsum(np.array(weights, np.int64))
  turns = (steps.astype(np.uint64) * _GOLDEN + key) >> np.uint64(32)
  offset = ((turns * np.uint64(ends[-1])) >> np.uint64(32)).astype(np.int64)
  points = (np.arange(batch_size) * ends[-1] + offset[:, None]) // batch_size
  return np.asarray(np.searchsorted(ends, points, side='right'), np.int64)


def count_label_sets(rows: LabelRows) -> tuple[LabelSetCounts, Ints]:
  """Returns the label sets of records and, set by set, the rows that have them.

  >>> counts, order = count_label_sets(LabelRows.of([[1, 0], [1, 1], [1, 0]]))
  >>> [str(value) for value in counts.classes], counts.records, order.tolist()
  (['{0}', '{0, 1}'], (2, 1), [0, 2, 1])

  Args:
    rows: Labels of n records.

  Returns:
    counts: Counts of the label sets.
    order: int64 [n], the rows of the first set in order, then of the second, and so on.

  Raises:
    DataError: if no record has a label, values are no classes, or there are too many labels.
  """
  found, which = rows.distinct()
  records = np.bincount(which)
  common = np.argsort(-found.sums(records[:, None])[:, 0], kind='stable')
  ranks = np.argsort(common)[found.members].tolist()
  bounds = itertools.pairwise(found.row_splits.tolist())
  by_rank = [sorted(ranks[low:high]) for low, high in bounds]
  order = np.array(sorted(range(len(by_rank)), key=by_rank.__getitem__), np.int64)
  sets = found.take(order)
  counts = LabelSetCounts(sets.classes, tuple(records[order].tolist()), sets)
  return counts, np.argsort(np.argsort(order)[which], kind='stable').astype(np.int64)
