"""Weights, priors and losses of classes, relative to how batches are sampled."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from tfx_balance.arguments import check_choice, check_text
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.losses import Loss, logit_adjusted_cross_entropy, weighted_cross_entropy
from tfx_balance.inputs.source import Source
from tfx_balance.inputs.training import Sampling
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.class_weight import Scheme, all_equal, class_weights, log_shares


@dataclass(frozen=True)
class ClassEmphasis:
  """What a loss needs to know of the classes of a source.

  Attributes:
    source: of the records.
  """

  source: Source

  @property
  def classes(self) -> tuple[ClassValue, ...]:
    """The classes in the plan's order, which indices, weights and priors share."""
    return self.source.counts.classes

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

    Weights are relative to what is sampled: for balanced batches they are 1, and a warning says so.

    Args:
      scheme: 'balanced' (scikit-learn's n_samples / (n_classes n_c) on natural batches), or
        'effective' (effective number of samples, Cui et al. 2019); their mean over the samples is
        1 in both.
      strategy: how the batches are sampled, with q and ratios as in `train`.
      q: see `train`.
      ratios: see `train`.
      beta: of 'effective', 0 or more and below 1.
      split: whose natural counts 'effective' uses; see `log_prior`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    return dict(enumerate(self.weights_under(Sampling(strategy, q, ratios), scheme, beta, split)))

  def weighted_loss(self, scheme: str = 'balanced', **arguments: Any) -> Loss:
    """Returns a cross-entropy of class indices and logits with `class_weight`'s weights in it.

    Args:
      scheme: see `class_weight`.
      **arguments: of `class_weight`.
    """
    return weighted_cross_entropy(list(self.class_weight(scheme, **arguments).values()))

  def log_prior(self, split: str | None = None) -> npt.NDArray[np.float32]:
    """Returns the log of each class's natural share: float32 [n_classes].

    Args:
      split: of the input splits that were merged; None where there was only one.

    Raises:
      ConfigError: if several were merged and none is named: copies among them flatten the prior.
      DataError: if a class has no record in it.
    """
    return np.array(log_shares(self._natural(split)), np.float32)

  def prior_correction(
    self,
    *,
    split: str | None = None,
    strategy: str = 'exact',
    q: float | None = None,
    ratios: Mapping[Any, Any] | None = None,
  ) -> npt.NDArray[np.float32]:
    """Returns what to add to the logits of a model trained under a strategy: float32 [n_classes].

    It is log natural share - log sampled share, so that probabilities fit the natural classes.

    Args:
      split: see `log_prior`.
      strategy: how the model was trained, with q and ratios as in `train`.
      q: see `train`.
      ratios: see `train`; a ratio of 0 gives +inf.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    sampled = Sampling(strategy, q, ratios).constant(self.source.counts)
    correction = self.log_prior(split) - np.array(log_shares(sampled), np.float32)
    _warn_if_idle(correction.tolist(), 'the correction', strategy)
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
      tau: strength.
      strategy: how the batches are sampled, with q and ratios as in `train`.
      q: see `train`.
      ratios: see `train`.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    sampled = Sampling(strategy, q, ratios).constant(self.source.counts)
    _warn_if_idle([float(weight) for weight in sampled], 'the adjustment', strategy)
    return logit_adjusted_cross_entropy(log_shares(sampled), tau)

  def weights_under(
    self, sampling: Sampling, scheme: str, beta: float = 0.999, split: str | None = None
  ) -> list[float]:
    """Returns the weights of `class_weight` as a list, for batches sampled in any way."""
    counts = self.source.counts
    if split is not None:
      self._natural(split)
    check_choice('scheme', scheme, get_args(Scheme))
    natural = self._natural(split) if scheme == 'effective' else counts.records
    found = class_weights(natural, sampling.constant(counts), scheme, beta)
    _warn_if_idle([weight for weight in found if weight], 'the class weights', sampling.strategy)
    return found

  def _natural(self, split: str | None) -> tuple[int, ...]:
    """Returns the natural counts of a split, each above 0."""
    natural = self.source.natural
    if split is not None:
      check_text('split', split)
    if split is None and len(natural) > 1:
      raise ConfigError(
        f'splits {list(natural)} were merged, and with copies among them the prior would be '
        f'flattened; name the one that is natural in split='
      )
    name = next(iter(natural)) if split is None else split
    if name not in natural:
      raise ConfigError(f'split {name!r} is not in {list(natural)}; pass one of these in split=')
    for value, n in zip(self.classes, natural[name], strict=True):
      if not n:
        raise DataError(
          f'class {value} has 0 records in split {name!r}, so it has no prior there; name a split '
          f'in split= that has all classes'
        )
    return natural[name]


def _warn_if_idle(values: Sequence[float], what: str, strategy: str) -> None:
  if all_equal(values):
    warnings.warn(
      f'{what} does nothing: under strategy={strategy!r} all classes are sampled alike; leave it '
      f"out, or sample with strategy='natural'",
      stacklevel=4,
    )
