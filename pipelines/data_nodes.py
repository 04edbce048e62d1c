"""The sample pipeline's nodes before the model: reading, describing, balancing."""

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance import BalancedAugmenter, ClassDistributionValidator
from tfx_balance.augment import ImageAugment

ALL = 'all'  # ExampleGen's only split: StratifiedSplitter divides it anew
TRAIN, TEST = 'train', 'test'
DATA_FILES = '[!._]*'  # not .DS_Store and not _SUCCESS


def read_examples(folder: str, file_kind: str, split: str = ALL) -> BaseComponent:
  """Returns the ExampleGen of a folder of 'tfrecord' or 'csv' files; one split of all records."""
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
  """What describes the data.

  Attributes:
    components: all that do.
    statistics: of each split.
    schema: given or inferred.
  """

  components: list[BaseComponent]
  statistics: tfx.types.BaseChannel
  schema: tfx.types.BaseChannel


def describe(examples: tfx.types.BaseChannel, schema_path: str | None) -> Described:
  """Returns the components that describe and validate the data.

  A schema given comes first, since statistics take the label for categorical only if told.
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
  """Makes the components that stop a run whose classes are not as they should be.

  Attributes:
    label: the feature that holds the class.
    schema: with the label's domain, and how far distributions may be from each other.
    on_violation: 'fail' stops the run, 'warn' goes on.
    report_dir: a folder for what they found, which outlives a run that fails; None for none.
    max_missing: the largest share of records without a class; None for any.
  """

  label: str
  schema: tfx.types.BaseChannel
  on_violation: str
  report_dir: str | None
  max_missing: float | None = 0.0

  def after_split(
    self, examples: tfx.types.BaseChannel, statistics: tfx.types.BaseChannel
  ) -> BaseComponent:
    """Returns the check that the splits are alike, and that no record is in two of them."""
    return self._gate(examples, statistics, 'splits', check_leakage='records')

  def after_balancing(
    self, examples: tfx.types.BaseChannel, statistics: tfx.types.BaseChannel
  ) -> BaseComponent:
    """Returns the check that the classes of train are equal, within one percent."""
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
  """Returns the components that give 'train' equal classes, and describe what it is then.

  In place, so that Transform analyses the balanced split. The digits' preprocessing takes nothing
  from the data; a model whose does would set `augmented_split` and let Trainer read both.

  Args:
    examples: naturally distributed.
    label: the feature that holds the class.
    seed: of the copies.
    augment_fn: what makes a copy.
    schema: tells the statistics that the label is categorical.
    others: the other splits, which pass through; they were described before.
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
