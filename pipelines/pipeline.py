"""The sample pipeline itself, for any runner: one function with plain arguments."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance import BalancedAugmenter, StratifiedSplitter
from tfx_balance.augment import ImageAugment

from pipelines.models.training import CLASS_ID

ALL = 'all'  # ExampleGen's only split: StratifiedSplitter divides it anew
TRAIN = 'train'
DATA_FILES = '[!._]*'  # not .DS_Store and not _SUCCESS


@dataclass(frozen=True)
class ModelCode:
  """Dotted names of the user code, importable wherever Transform and Trainer run."""

  preprocessing_fn: str
  run_fn: str


DIGITS_MODEL = ModelCode(
  preprocessing_fn='pipelines.models.digits.preprocessing_fn',
  run_fn='pipelines.models.digits.run_fn',
)
TABULAR_MODEL = ModelCode(
  preprocessing_fn='pipelines.models.tabular.preprocessing_fn',
  run_fn='pipelines.models.tabular.run_fn',
)
# Mild, since a digit here has 8x8 pixels and touches the edge: about one pixel's shift at most, and
# black comes in from outside. No flips: a mirrored 2 is no 2.
DIGITS_AUGMENT = ImageAugment(rotation=10, crop=0.1, brightness=0.05, contrast=0.2, fill='constant')


def read_examples(folder: str, file_kind: str) -> BaseComponent:
  """Returns the ExampleGen of a folder of 'tfrecord' or 'csv' files; one split of all records."""
  one_split = tfx.proto.Input(
    splits=[tfx.proto.Input.Split(name=ALL, pattern=DATA_FILES)],
  )
  # Naming the output split as well stops CsvExampleGen from making its own train and eval.
  same_split = tfx.proto.Output(
    split_config=tfx.proto.SplitConfig(
      splits=[tfx.proto.SplitConfig.Split(name=ALL, hash_buckets=1)]
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


def evaluation_config(label: str) -> tfma.EvalConfig:
  """Returns: accuracy over all records, and over those of each class, which is its recall.

  Slices, and not metrics by class id, since how many classes there are (and so the ids of a
  per-class metric or of TFMA's macro average) is not known before the data has been read.
  """
  return tfma.EvalConfig(
    model_specs=[
      tfma.ModelSpec(
        model_type=tfma.TF_GENERIC,
        signature_name='serving_default',
        preprocessing_function_names=['transform_labels'],
        label_key=CLASS_ID,
      )
    ],
    slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[label])],
    metrics_specs=[
      tfma.MetricsSpec(
        metrics=[
          tfma.MetricConfig(class_name='ExampleCount'),
          tfma.MetricConfig(class_name='SparseCategoricalAccuracy', config='{"name": "accuracy"}'),
        ]
      )
    ],
  )


def create_pipeline(
  name: str,
  root: str,
  examples_folder: str,
  model: ModelCode,
  label: str,
  file_kind: str = 'tfrecord',
  schema_path: str | None = None,
  splits: Mapping[str, int] | None = None,
  augment_fn: ImageAugment | str | None = None,
  seed: int = 0,
  train_steps: int = 300,
  beam_pipeline_args: Sequence[str] = (),
  metadata_connection_config: metadata_store_pb2.ConnectionConfig | None = None,
) -> tfx.dsl.Pipeline:
  """Returns the pipeline from a folder of records to an evaluated model.

  Args:
    name: The pipeline's name in the metadata.
    root: Where the artifacts go; a folder or a bucket.
    examples_folder: Folder of TFRecords of tf.Example (.gz or plain), or of CSV files.
    model: Which preprocessing_fn and run_fn to use.
    label: The feature to split by and to predict.
    file_kind: 'tfrecord' or 'csv'.
    schema_path: A schema.pbtxt; without one the schema is inferred from the statistics.
    splits: Weights by split name, which must have train, eval and test; 8, 1 and 1 if None.
    augment_fn: Makes the copies that bring each class of train up to the largest; a dotted path or
      an object of `tfx_balance.augment`. None leaves train as it is.
    seed: Of the split, of the copies and of the training.
    train_steps: Batches to train for.
    beam_pipeline_args: Handed to Beam by every component that uses it.
    metadata_connection_config: Where runs are recorded; None leaves that to the runner.
  """
  options: dict[str, Any] = {'label': label, 'seed': seed}
  example_gen = read_examples(examples_folder, file_kind)
  weights = dict(splits or {TRAIN: 8, 'eval': 1, 'test': 1})
  splitter = StratifiedSplitter(
    examples=example_gen.outputs['examples'],
    stratify_by=label,
    splits=weights,
    seed=seed,
  )
  natural = splitter.outputs['examples']
  components, schema = describe(natural, schema_path)
  training = natural
  if augment_fn is not None:
    others = [split for split in weights if split != TRAIN]
    balancing = balance(natural, label, seed, augment_fn, schema, others)
    components += balancing
    training = balancing[0].outputs['examples']
  transform = tfx.components.Transform(
    examples=training,
    schema=schema,
    preprocessing_fn=model.preprocessing_fn,
    custom_config=options,
  )
  trainer = tfx.components.Trainer(
    examples=transform.outputs['transformed_examples'],
    transform_graph=transform.outputs['transform_graph'],
    schema=schema,
    run_fn=model.run_fn,
    train_args=tfx.proto.TrainArgs(splits=[TRAIN], num_steps=train_steps),
    eval_args=tfx.proto.EvalArgs(splits=['eval']),
    custom_config=options,
  )
  evaluator = tfx.components.Evaluator(
    examples=natural,  # how often each class really comes
    example_splits=['test'],
    model=trainer.outputs['model'],
    eval_config=evaluation_config(label),
  )
  return tfx.dsl.Pipeline(
    pipeline_name=name,
    pipeline_root=root,
    components=[example_gen, splitter, *components, transform, trainer, evaluator],
    metadata_connection_config=metadata_connection_config,
    beam_pipeline_args=list(beam_pipeline_args),
  )
