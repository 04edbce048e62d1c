"""Shares, loss weights and log priors of classes, relative to how batches are sampled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_choice
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.losses import Loss, logit_adjusted_cross_entropy, weighted_cross_entropy
from tfx_balance.inputs.record_source import RecordSource
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.sampling import SCHEMES, Sampling, all_equal, class_weights, log_shares

_SHOWN_CLASSES = 10


@dataclass(frozen=True, repr=False)
class ClassPriors:
  """The classes of a source: their weights in a loss, and their priors.

  Attributes:
    source: Source of the records.
  """

  source: RecordSource

  def __repr__(self) -> str:
    counts = self.source.counts
    pairs = list(zip(counts.classes, counts.records, strict=True))
    shown = ', '.join(f'{value}: {n:,}' for value, n in pairs[:_SHOWN_CLASSES])
    more = f', and {len(pairs) - _SHOWN_CLASSES:,} more' if len(pairs) > _SHOWN_CLASSES else ''
    n_records, n_classes = sum(counts.records), len(pairs)
    return f'{type(self).__name__}({n_records:,} records, {n_classes:,} classes: {shown}{more})'

  @property
  def classes(self) -> tuple[ClassValue, ...]:
    """The classes in the plan's order, which indices, weights and priors share."""
    return self.source.counts.classes

  @property
  def labels(self) -> tuple[ClassValue, ...]:
    """The labels in the order of 'multi_hot'; the classes where a record has one label."""
    counts = self.source.counts
    return counts.labels if isinstance(counts, LabelSetCounts) else counts.classes

  def label_shares(
    self,
    *,
    strategy: str = 'exact',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
  ) -> npt.NDArray[np.float64]:
    """Returns each label's share of all labels in batches: float64 [n_labels], the sum is 1.

    With one label a record these are the shares asked for. With several, label sets may not allow
    them: then they are the nearest.

    Args:
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by label, as in `train`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    counts = self.source.counts
    _, drawn = counts.units(Sampling(strategy, q, ratios).constant(counts))
    return np.array(drawn, np.float64) / sum(drawn)

  def class_weight(
    self,
    scheme: str = 'balanced',
    *,
    strategy: str = 'natural',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
    beta: float = 0.999,
    split: str | None = None,
  ) -> dict[int, float]:
    """Returns class index to weight in the loss, as `fit(class_weight=...)` takes it.

    Weights are relative to the sampling of the batches: for balanced batches they are 1, and a
    warning says so.

    Args:
      scheme: 'balanced' (scikit-learn's n_samples / (n_classes n_c) on natural batches), or
        'effective' (effective number of samples, Cui et al. 2019); their mean over the samples is
        1 in both.
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by class, as in `train`.
      beta: Parameter of 'effective', 0 or more and below 1.
      split: Split whose natural counts 'effective' uses; see `log_prior`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    sampling = Sampling(strategy, q, ratios)
    return dict(enumerate(self._class_weights(sampling, scheme, beta, split)))

  def weighted_loss(self, scheme: str = 'balanced', **arguments: Any) -> Loss:
    """Returns a cross-entropy of class indices and logits, weighted by `class_weight`.

    Args:
      scheme: 'balanced' or 'effective'; see `class_weight`.
      **arguments: Other arguments of `class_weight`.
    """
    return weighted_cross_entropy(list(self.class_weight(scheme, **arguments).values()))

  def log_prior(self, split: str | None = None) -> npt.NDArray[np.float32]:
    """Returns the log of each class's natural share: float32 [n_classes].

    Args:
      split: One of the input splits that were merged; None where there was only one.

    Raises:
      ConfigError: if several were merged and none is named: copies among them flatten the prior.
      DataError: if a class has no record in it.
    """
    self._check_one_label()
    return np.array(log_shares(self.source.natural_counts(split)), np.float32)

  def prior_correction(
    self,
    *,
    split: str | None = None,
    strategy: str = 'exact',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
  ) -> npt.NDArray[np.float32]:
    """Returns log natural share - log sampled share: float32 [n_classes].

    Add it to the logits of a model that was trained on such batches: its probabilities then are
    those of the natural classes.

    Args:
      split: Split with the natural shares; see `log_prior`.
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by class, as in `train`; a ratio of 0 gives +inf.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    self._check_one_label()
    sampled = Sampling(strategy, q, ratios).constant(self.source.counts)
    correction = self.log_prior(split) - np.array(log_shares(sampled), np.float32)
    _warn_if_equal(correction.tolist(), 'the correction', strategy)
    return correction

  def logit_adjusted_loss(
    self,
    tau: float = 1.0,
    *,
    strategy: str = 'natural',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
  ) -> Loss:
    """Returns the logit-adjusted cross-entropy (Menon et al. 2021) of class indices and logits.

    The prior is that of the batches: on balanced ones this is plain cross-entropy, and a
    warning says so.

    Args:
      tau: Factor of the log prior.
      strategy: Strategy of the batches, as in `train`.
      q: Exponent of the weights, as in `train`.
      ratios: Weight by class, as in `train`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    self._check_one_label()
    sampled = Sampling(strategy, q, ratios).constant(self.source.counts)
    _warn_if_equal([float(weight) for weight in sampled], 'the adjustment', strategy)
    return logit_adjusted_cross_entropy(log_shares(sampled), tau)

  def _class_weights(
    self, sampling: Sampling, scheme: str, beta: float = 0.999, split: str | None = None
  ) -> list[float]:
    """Returns the weights of `class_weight` as a list, for batches sampled in any way."""
    self._check_one_label()
    counts, natural = self.source.counts, None
    check_choice('scheme', scheme, SCHEMES)
    if split is not None or scheme == 'effective':
      natural = self.source.natural_counts(split)
    records = natural if natural and scheme == 'effective' else counts.records
    found = class_weights(records, sampling.constant(counts), scheme, beta)
    _warn_if_equal([weight for weight in found if weight], 'the class weights', sampling.strategy)
    return found

  def _check_one_label(self) -> None:
    if isinstance(self.source.counts, LabelSetCounts):
      raise ConfigError(
        'a weight or prior of classes is asked for, and a record has several labels; weight the '
        'loss of each label by what label_shares() returns'
      )


def _warn_if_equal(values: Sequence[float], what: str, strategy: str) -> None:
  """Warns the caller of a public method where values are all equal."""
  if all_equal(values):
    warnings.warn(
      f'{what} does nothing: under strategy={strategy!r} all classes are sampled equally; leave it '
      f"out, or sample with strategy='natural'",
      stacklevel=4,
    )
