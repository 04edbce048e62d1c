"""The plan, the files and the feature spec in a TFX Trainer's `fn_args`, read without TFX."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from tfx_balance.documents.balanced_input import PLAN_NAME, InputPlan
from tfx_balance.documents.json_document import is_document
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.parsing import SEQUENCES, FeatureSpec
from tfx_balance.inputs.staging import given_path, staged


def find_root(fn_args: Any) -> str:
  """Returns the folder of the artifact that the train files are in.

  Raises:
    ConfigError: if there are no train files.
  """
  files = list(getattr(fn_args, 'train_files', None) or [])
  if not files:
    raise ConfigError("fn_args.train_files is empty; give the Trainer BalancedInputGen's examples")
  return os.path.dirname(os.path.dirname(files[0]))


def find_plan(fn_args: Any, root: str) -> InputPlan:
  """Returns the plan in the hyperparameters, or that at the root of the train files' artifact.

  Raises:
    DataError: if there is none, or it cannot be read.
  """
  hyperparameters = getattr(fn_args, 'hyperparameters', None)
  if is_document(hyperparameters, InputPlan):
    source = f'fn_args.hyperparameters, the plan of {root},'
    return InputPlan.from_json(hyperparameters, source)
  return read_plan(root)


def read_plan(root: str) -> InputPlan:
  """Returns the plan at an artifact's root.

  Raises:
    DataError: if there is none, or it cannot be read.
  """
  path = os.path.join(root, PLAN_NAME)
  try:
    with tf.io.gfile.GFile(staged(path), 'rb') as file:
      text = file.read()
  except tf.errors.OpError as error:
    raise DataError(
      f'{given_path(path)} cannot be read; give the examples that BalancedInputGen wrote, or use '
      f'from_files for others'
    ) from error
  return InputPlan.from_json(text, given_path(path))


def find_feature_spec(fn_args: Any) -> FeatureSpec | None:
  """Returns the feature spec of the transform graph, or that of the schema; None without either."""
  for name in ('transform_graph_path', 'transform_output'):
    if graph := getattr(fn_args, name, None):
      return read_feature_spec(os.path.join(graph, 'transformed_metadata', 'schema.pbtxt'))
  for name in ('schema_path', 'schema_file'):
    if path := getattr(fn_args, name, None):
      return read_feature_spec(path)
  return None


def read_feature_spec(path: str) -> FeatureSpec:
  """Returns the feature spec of a schema file in text form.

  Raises:
    DataError: if it cannot be read.
  """
  from google.protobuf import text_format
  from tensorflow_metadata.proto.v0 import schema_pb2
  from tensorflow_transform.tf_metadata import schema_utils

  try:
    with tf.io.gfile.GFile(staged(path)) as file:
      schema = text_format.Parse(file.read(), schema_pb2.Schema())
  except (tf.errors.OpError, text_format.ParseError) as error:
    raise DataError(f'{path} is not a readable schema ({error}); pass feature_spec=') from error
  if any(feature.type == schema_pb2.STRUCT for feature in schema.feature):
    return _sequence_spec(schema)
  return schema_utils.schema_as_feature_spec(schema).feature_spec


def _sequence_spec(schema: Any) -> FeatureSpec:
  """Returns the feature spec of tf.SequenceExamples, as SchemaGen describes them.

  Feature lists are ragged: TFX's readers know no other way. They have their own names, or where a
  feature of the context has the same one, that of the schema's path.
  """
  from tfx_bsl.tfxio import tensor_representation_util as tensors

  tensors.SetTensorRepresentationsInSchema(
    schema, tensors.InferTensorRepresentationsFromMixedSchema(schema)
  )
  context, lists = tensors.CreateTfSequenceExampleParserConfig(schema)
  short = {name: name.removeprefix(f'{SEQUENCES}.') for name in lists}
  named = {(name if short[name] in context else short[name]): lists[name] for name in lists}
  return {**context, SEQUENCES: named}
