"""Serialized examples to (features, label): one vectorised call a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tfx_balance.arguments import check_mapping, shown
from tfx_balance.errors import ConfigError
from tfx_balance.inputs.labels import check_label_spec, checked_label, class_values
from tfx_balance.inputs.source import FeatureSpec
from tfx_balance.plan.class_value import ClassValue

_FEATURES = (
  tf.io.FixedLenFeature,
  tf.io.FixedLenSequenceFeature,
  tf.io.RaggedFeature,
  tf.io.SparseFeature,
  tf.io.VarLenFeature,
)
Gather = Callable[[tf.Tensor, Any], tf.Tensor]
"""Graph code: rows int64 [B] and fetched records string [B] to serialized examples, string [B]."""


def parsing_reader(
  gather: Gather, label: str, classes: Sequence[ClassValue], feature_spec: FeatureSpec | None
) -> Callable[[tf.Tensor, tf.Tensor, Any], tuple[Any, tf.Tensor]]:
  """Returns the graph code that gathers a batch, parses it, and checks its labels against the plan.

  Raises:
    ConfigError: if there is no feature spec, or its label does not fit.
  """
  parse = parser(label, feature_spec)
  check_label_spec(label, feature_spec, classes)
  values = class_values(classes)

  def read(rows: tf.Tensor, indices: tf.Tensor, fetched: Any) -> tuple[Any, tf.Tensor]:
    features, found = parse(gather(rows, fetched))
    with tf.control_dependencies([checked_label(found, indices, values, classes)]):
      return features, tf.nest.map_structure(tf.identity, found, expand_composites=True)

  return read


def check_feature_spec(feature_spec: FeatureSpec | None) -> FeatureSpec | None:
  """Returns a feature spec, or None where there is none.

  Raises:
    ConfigError: if it is none.
  """
  if feature_spec is None:
    return None
  example = "{'label': tf.io.FixedLenFeature([], tf.int64)}"
  for name, feature in check_mapping('feature_spec', feature_spec, example).items():
    if not isinstance(name, str) or not isinstance(feature, _FEATURES):
      raise ConfigError(
        f'feature_spec={shown(feature_spec)} must be what tf.io.parse_example takes, and '
        f'{shown(name)}: {shown(feature)} is not; give such as {example}'
      )
  if not feature_spec:
    raise ConfigError(f'feature_spec={{}} has no feature; give such as {example}')
  return feature_spec


def parser(
  label: str, feature_spec: FeatureSpec | None
) -> Callable[[tf.Tensor], tuple[dict[str, Any], Any]]:
  """Returns graph code from serialized examples, string [B], to (features, label).

  Raises:
    ConfigError: if there is no feature spec.
  """
  check_feature_spec(feature_spec)
  if feature_spec is None:
    raise ConfigError(
      'feature_spec=None, and the files must be parsed; pass feature_spec= as tf.io.parse_example '
      'takes it, the label included, or use from_fn_args, which finds the schema'
    )
  spec = dict(feature_spec)

  def parse(serialized: tf.Tensor) -> tuple[dict[str, Any], Any]:
    features = tf.io.parse_example(serialized, spec)
    return features, features.pop(label)

  return parse
