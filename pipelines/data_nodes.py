"""The sample pipeline's nodes before the model: reading, describing, balancing."""

from collections.abc import Sequence

from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance import BalancedAugmenter
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


def describe(
  examples: tfx.types.BaseChannel, schema_path: str | None
) -> tuple[list[BaseComponent], tfx.types.BaseChannel]:
  """Returns the components that describe and validate the data, and the schema.

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
  validator = tfx.components.ExampleValidator(
    statistics=statistics_gen.outputs['statistics'], schema=schema
  )
  return [*components, validator], schema


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
