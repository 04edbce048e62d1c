"""Nodes of the sample pipeline that read, describe and balance the data."""

from collections.abc import Sequence

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance import BalancedAugmenter
from tfx_balance.augment import ImageAugment

from pipelines.rounds import TRAIN

ALL = 'all'  # ExampleGen's only split, which StratifiedSplitter splits
DATA_FILES = '[!._]*'  # excludes .DS_Store and _SUCCESS


def read_examples(folder: str, file_kind: str, split: str = ALL) -> BaseComponent:
  """Returns an ExampleGen that reads a folder of 'tfrecord' or 'csv' files into one split."""
  one_split = tfx.proto.Input(
    splits=[tfx.proto.Input.Split(name=split, pattern=DATA_FILES)],
  )
  # Naming the output split as well stops CsvExampleGen from making its own train and eval.
  same_split = tfx.proto.Output(
    split_config=tfx.proto.SplitConfig(
      splits=[tfx.proto.SplitConfig.Split(name=split, hash_buckets=1)]
    )
  )
  kinds = {'tfrecord': tfx.components.ImportExampleGen, 'csv': tfx.components.CsvExampleGen}
  return kinds[file_kind](input_base=folder, input_config=one_split, output_config=same_split)


def describe(
  examples: tfx.types.BaseChannel, schema_path: str | None
) -> tuple[list[BaseComponent], tfx.types.BaseChannel, tfx.types.BaseChannel]:
  """Returns the components that describe and validate the data, the statistics and the schema.

  A given schema comes first, since statistics treat an int label as categorical only if the schema
  declares it so.
  """
  if schema_path:
    schema_gen = tfx.components.ImportSchemaGen(schema_file=schema_path)
    statistics_gen = tfx.components.StatisticsGen(
      examples=examples, schema=schema_gen.outputs['schema']
    )
  else:
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    schema_gen = tfx.components.SchemaGen(
      statistics=statistics_gen.outputs['statistics'], infer_feature_shape=True
    )
  statistics, schema = statistics_gen.outputs['statistics'], schema_gen.outputs['schema']
  validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema)
  return [schema_gen, statistics_gen, validator], statistics, schema


def balance(
  examples: tfx.types.BaseChannel,
  label: str,
  seed: int,
  augment_fn: ImageAugment | str,
  schema: tfx.types.BaseChannel,
  others: Sequence[str],
) -> tuple[BaseComponent, BaseComponent]:
  """Returns the components that balance split 'train', and compute its new statistics.

  The copies are added to 'train' itself, so Transform analyzes the balanced split. This is correct
  for the digits, whose preprocessing has no analyzers; with analyzers, set `augmented_split` and
  let Trainer read both splits.

  Args:
    examples: Examples with natural class distribution.
    label: Name of the feature that holds the class.
    seed: Seed of the copies.
    augment_fn: Augment function that makes a copy.
    schema: Schema that declares the label categorical.
    others: Names of the other splits, which pass through and whose statistics exist already.
  """
  augmenter = BalancedAugmenter(
    examples=examples,
    label=label,
    sampling_strategy='not majority',
    augment_fn=augment_fn,
    splits=(TRAIN,),
    seed=seed,
  )
  statistics_gen = tfx.components.StatisticsGen(
    examples=augmenter.outputs['examples'], schema=schema, exclude_splits=list(others)
  ).with_id('BalancedStatisticsGen')
  return augmenter, statistics_gen
