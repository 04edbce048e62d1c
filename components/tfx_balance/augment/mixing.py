"""MixUp and CutMix: batches whose records are mixed with partners of balanced classes.

The partners of a batch are its own records. Each class that is in the batch is the partner's class
equally often (the floor or the ceiling of batch size / classes), and its records take turns: a rare
class is mixed into as many records as a common one, whatever the batches are sampled like. Labels
are soft targets. All is a function of the batch and a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfx_balance.arguments import check_names, check_number, check_text, format_value
from tfx_balance.errors import ConfigError

MixFn = Callable[[Any, tf.Tensor, tf.Tensor, Sequence[int]], tuple[Any, tf.Tensor]]
"""Graph code: features, classes int64 [B], seed int64 [2] and the records of each class to features
and soft targets, float32 [B, n_classes]."""


@dataclass(frozen=True)
class MixUp:
  """Mixes features and labels: x = lam x_i + (1 - lam) x_j, lam from Beta(alpha, alpha).

  Zhang et al. 2018, "mixup: Beyond empirical risk minimization". Every record has a lam and a
  partner j of its own. With kappa, labels are mixed as in Remix (Chou et al. 2020, "Remix:
  rebalanced mixup"): the label is the rarer class's alone where one class has kappa times the
  records of the other and features of the commoner one weigh less than tau.

  Attributes:
    alpha: Parameter of the distribution, 0.05 or more; 1 is uniform.
    features: Names of the features to mix, which are floats; None for all.
    kappa: Ratio of records from which Remix applies, 1 or more, such as 3; None for plain labels.
    tau: Weight of Remix, 0 to 1.
  """

  alpha: float = 0.2
  features: Sequence[str] | None = None
  kappa: float | None = None
  tau: float = 0.5

  def __post_init__(self) -> None:
    _check(self.alpha, self.kappa, self.tau)
    if self.features is not None:
      object.__setattr__(self, 'features', check_names('features', self.features))

  def __call__(
    self, features: Any, classes: tf.Tensor, seed: tf.Tensor, records: Sequence[int]
  ) -> tuple[Any, tf.Tensor]:
    """Returns the mixed batch; graph code.

    Args:
      features: Tensor or nest of tensors, [B, ...].
      classes: int64 [B], positions of the records' classes.
      seed: Integers [2].
      records: Records of each class, [n_classes].

    Returns:
      features: As given.
      targets: float32 [B, n_classes].

    Raises:
      ConfigError: while the graph is built, if a feature is not there or no float.
    """
    seeds = tf.random.split(seed, 2)
    partners = balanced_partners(classes, seeds[0])
    weight = beta(self.alpha, tf.shape(classes)[:1], seeds[1])
    mixed = lambda value: _mixed(value, partners, weight)  # noqa: E731
    if self.features is None:
      made = tf.nest.map_structure(mixed, features)
    else:
      made = {**features, **{n: mixed(_named(features, n)) for n in self.features}}
    return made, soft_targets(classes, partners, weight, records, self.kappa, self.tau)


@dataclass(frozen=True)
class CutMix:
  """Puts a box of another image into each image; labels are mixed by area.

  Yun et al. 2019, "CutMix: regularization strategy to train strong classifiers with localizable
  features": the box has sides sqrt(1 - lam) of the image's, lam from Beta(alpha, alpha), and its
  centre is uniform in the image; what is outside is cut off, and lam is what is left of the image.

  Attributes:
    alpha: Parameter of the distribution, 0.05 or more; 1 is uniform.
    feature: Name of the feature with the images, [B, height, width, channels]; None where features
      are the images.
    kappa: Ratio of records from which Remix applies, as in `MixUp`; None for plain labels.
    tau: Weight of Remix, 0 to 1.
  """

  alpha: float = 1.0
  feature: str | None = None
  kappa: float | None = None
  tau: float = 0.5

  def __post_init__(self) -> None:
    _check(self.alpha, self.kappa, self.tau)
    if self.feature is not None:
      check_text('feature', self.feature)

  def __call__(
    self, features: Any, classes: tf.Tensor, seed: tf.Tensor, records: Sequence[int]
  ) -> tuple[Any, tf.Tensor]:
    """Returns the mixed batch; graph code. Arguments and results are those of `MixUp`.

    Raises:
      ConfigError: while the graph is built, if there are no images.
    """
    images = features if self.feature is None else _named(features, self.feature)
    if not isinstance(images, tf.Tensor) or images.dtype == tf.string or images.shape.rank != 4:
      raise ConfigError(
        f'CutMix takes images [B, height, width, channels], and these are {format_value(images)}; '
        f'name the feature in feature=, and decode images before they are mixed'
      )
    seeds = tf.random.split(seed, 3)
    partners = balanced_partners(classes, seeds[0])
    inside = _boxes(tf.shape(images), beta(self.alpha, tf.shape(classes)[:1], seeds[1]), seeds[2])
    mixed = tf.where(inside[..., tf.newaxis], tf.gather(images, partners), images)
    weight = 1 - tf.reduce_mean(tf.cast(inside, tf.float64), axis=[1, 2])
    made = mixed if self.feature is None else {**features, self.feature: mixed}
    return made, soft_targets(classes, partners, weight, records, self.kappa, self.tau)


def balanced_partners(classes: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  """Returns a partner for each record, int32 [B]: each class present equally often, to one.

  Args:
    classes: int64 [B].
    seed: Integers [2].
  """
  seeds = tf.random.split(seed, 3)
  slots = tf.range(tf.shape(classes)[0])
  shuffled = tf.random.experimental.stateless_shuffle(slots, seeds[0])
  by_class = tf.gather(shuffled, tf.argsort(tf.gather(classes, shuffled), stable=True))
  present, _, counts = tf.unique_with_counts(tf.gather(classes, by_class))
  starts = tf.cumsum(counts, exclusive=True)
  n = tf.size(present)
  offset = tf.random.stateless_uniform([], seeds[1], maxval=n, dtype=tf.int32)
  which = (slots + offset) % n
  place = tf.gather(starts, which) + (slots // n) % tf.gather(counts, which)
  partners = tf.gather(by_class, place)
  return tf.gather(partners, tf.random.experimental.stateless_shuffle(slots, seeds[2]))


def beta(alpha: float, shape: Any, seed: tf.Tensor) -> tf.Tensor:
  """Returns draws from Beta(alpha, alpha): float64."""
  shape = tf.concat([[2], shape], 0)
  left, right = tf.unstack(tf.random.stateless_gamma(shape, seed, alpha, dtype=tf.float64))
  return left / (left + right)


def soft_targets(
  classes: tf.Tensor,
  partners: tf.Tensor,
  weight: tf.Tensor,
  records: Sequence[int],
  kappa: float | None = None,
  tau: float = 0.5,
) -> tf.Tensor:
  """Returns the mixed labels, float32 [B, n_classes]; rows sum to 1.

  With kappa, the record's label has the weight 0 where its class has kappa times the records of the
  partner's or more and its features weigh less than tau; 1 where the partner's class has kappa
  times its records or more and the partner's features weigh less than tau (Chou et al. 2020).

  Args:
    classes: int64 [B].
    partners: int [B], positions in the batch.
    weight: float64 [B], weight of the record itself.
    records: Records of each class, [n_classes].
    kappa: Ratio of records, 1 or more; None for the weight as it is.
    tau: Weight, 0 to 1.
  """
  others = tf.gather(classes, partners)
  if kappa is not None:
    sizes = tf.constant(list(records), tf.float64)
    own, other = tf.gather(sizes, classes), tf.gather(sizes, others)
    rarer_partner = (own >= kappa * other) & (weight < tau)
    rarer_self = (other >= kappa * own) & (1 - weight < tau)
    weight = tf.where(rarer_partner, tf.zeros_like(weight), weight)
    weight = tf.where(rarer_self, tf.ones_like(weight), weight)
  share = tf.cast(weight, tf.float32)[:, tf.newaxis]
  n = len(records)
  return share * tf.one_hot(classes, n) + (1 - share) * tf.one_hot(others, n)


def _boxes(shape: tf.Tensor, weight: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  """Returns the mask of each image's box: bool [B, height, width]."""
  n, height, width = shape[0], shape[1], shape[2]
  side = tf.sqrt(1 - weight)
  centre = tf.random.stateless_uniform([2, n], seed, dtype=tf.float64)

  def along(length: tf.Tensor, at: tf.Tensor) -> tf.Tensor:
    """Returns the mask of the box along one axis: bool [B, length]."""
    half = tf.cast(length, tf.float64) * side / 2
    middle = at * tf.cast(length, tf.float64)
    pixel = tf.range(length, dtype=tf.int32)
    low = tf.cast(tf.round(middle - half), tf.int32)[:, tf.newaxis]
    high = tf.cast(tf.round(middle + half), tf.int32)[:, tf.newaxis]
    return (pixel >= low) & (pixel < high)

  return along(height, centre[0])[:, :, tf.newaxis] & along(width, centre[1])[:, tf.newaxis, :]


def _mixed(value: Any, partners: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
  if not isinstance(value, tf.Tensor) or not value.dtype.is_floating or value.shape.rank is None:
    raise ConfigError(
      f'MixUp takes features of floats, and {format_value(value)} is none; name those to mix in '
      f'features=, and decode or cast before they are mixed'
    )
  share = tf.cast(tf.reshape(weight, [-1] + [1] * (value.shape.rank - 1)), value.dtype)
  return share * value + (1 - share) * tf.gather(value, partners)


def _named(features: Any, name: str) -> Any:
  if not isinstance(features, dict) or name not in features:
    names = sorted(features) if isinstance(features, dict) else format_value(features)
    raise ConfigError(f'feature {name!r} to mix is not in the batch, which has {names}; name one')
  return features[name]


def _check(alpha: Any, kappa: Any, tau: Any) -> None:
  check_number('alpha', alpha, 0.05, fix='0.2 is usual for MixUp, 1 for CutMix')
  if kappa is not None:
    check_number('kappa', kappa, 1, fix='3 is usual')
  check_number('tau', tau, 0, 1)
