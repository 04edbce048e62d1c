"""Nodes of the sample pipeline that read, describe, validate and balance the data."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance import BalancedAugmenter, ClassDistributionValidator
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
  example_gens = {
    'tfrecord': tfx.components.ImportExampleGen,
    'csv': tfx.components.CsvExampleGen,
  }
  return example_gens[file_kind](
    input_base=folder, input_config=one_split, output_config=same_split
  )


@dataclass(frozen=True)
class Described:
  """Components that describe the data, and their outputs.

  Attributes:
    components: All these components.
    statistics: Statistics of each split.
    schema: Given or inferred schema.
  """

  components: list[BaseComponent]
  statistics: tfx.types.BaseChannel
  schema: tfx.types.BaseChannel


def describe(examples: tfx.types.BaseChannel, schema_path: str | None) -> Described:
  """Returns the components that describe and validate the data.

  A given schema comes first, since statistics treat an int label as categorical only if the schema
  declares it so.
  """
  if schema_path:
    schema_gen = tfx.components.ImportSchemaGen(schema_file=schema_path)
    schema = schema_gen.outputs['schema']
    statistics_gen = tfx.components.StatisticsGen(examples=examples, schema=schema)
    components = [schema_gen, statistics_gen]
  else:
    statistics_gen = tfx.components.StatisticsGen(examples=examples)
    schema_gen = tfx.components.SchemaGen(
      statistics=statistics_gen.outputs['statistics'], infer_feature_shape=True
    )
    schema = schema_gen.outputs['schema']
    components = [statistics_gen, schema_gen]
  statistics = statistics_gen.outputs['statistics']
  validator = tfx.components.ExampleValidator(statistics=statistics, schema=schema)
  return Described([*components, validator], statistics, schema)


@dataclass(frozen=True)
class Gates:
  """Makes the validators that stop a run whose class distribution violates the limits.

  Attributes:
    label: Name of the feature that holds the class.
    schema: Schema with the label's domain and the limits of distances between distributions.
    on_violation: 'fail' stops the run, 'warn' continues.
    report_dir: Folder for the findings, which is kept if the run fails; None writes none.
    max_missing: Maximum share of records without a class; None for no limit.
  """

  label: str
  schema: tfx.types.BaseChannel
  on_violation: str
  report_dir: str | None
  max_missing: float | None = 0.0

  def after_split(
    self, examples: tfx.types.BaseChannel, statistics: tfx.types.BaseChannel
  ) -> BaseComponent:
    """Returns a validator of the distances between splits and of leakage between them."""
    return self._gate(examples, statistics, 'splits', check_leakage='records')

  def after_balancing(
    self, examples: tfx.types.BaseChannel, statistics: tfx.types.BaseChannel
  ) -> BaseComponent:
    """Returns a validator that the classes of train are equal in size, within one percent."""
    gate = self._gate(
      examples, statistics, 'balance', max_imbalance_ratio={TRAIN: 1.01}, compare=[]
    )
    return gate.with_id('BalanceValidator')

  def _gate(
    self,
    examples: tfx.types.BaseChannel,
    statistics: tfx.types.BaseChannel,
    folder: str,
    **rules: Any,
  ) -> BaseComponent:
    return ClassDistributionValidator(
      statistics=statistics,
      examples=examples,
      schema=self.schema,
      label=self.label,
      on_violation=self.on_violation,
      max_missing=self.max_missing,
      report_dir=self.report_dir and posixpath.join(self.report_dir, folder),
      **rules,
    )


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
