"""The sample pipeline, for any runner."""

import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx import v1 as tfx
from tfx_balance import BalancedInputGen, ClassDistributionValidator, StratifiedSplitter
from tfx_balance.augment import ImageAugment
from tfx_balance.errors import ConfigError

from pipelines.data_nodes import balance, describe, read_examples
from pipelines.model_nodes import ModelNodes
from pipelines.rounds import EVAL, TEST, TRAIN, make_rounds

# Weak augmentation, since digits have 8x8 pixels and touch the edge: shifts of about one pixel at
# most, filled with black. No flips: a mirrored 2 is not a 2.
DIGITS_AUGMENT = ImageAugment(rotation=10, crop=0.1, brightness=0.05, contrast=0.2, fill='constant')


def create_pipeline(
  name: str,
  root: str,
  examples_folder: str,
  model: str,
  label: str,
  file_kind: str = 'tfrecord',
  schema_path: str | None = None,
  held_out_folder: str | None = None,
  splits: Mapping[str, int] | None = None,
  augment_fn: ImageAugment | str | None = None,
  missing_label: str = 'error',
  on_violation: str = 'fail',
  report_dir: str | None = None,
  seed: int = 0,
  train_steps: int = 300,
  n_models: int = 1,
  compare: bool = False,
  beam_pipeline_args: Sequence[str] = (),
  metadata_connection_config: metadata_store_pb2.ConnectionConfig | None = None,
  folds: int = 0,
  ignore: Sequence[str] = (),
) -> tfx.dsl.Pipeline:
  """Returns the pipeline from a folder of records to an evaluated model, or to one per fold.

  With folds, each fold has its own Transform, which learns from the folds to train on only, its
  own BalancedInputGen, Trainer and Evaluator. The split and its checks are shared; the split 'test'
  is not used. Batches are balanced, but there are no copies: which of them a class needs differs
  between the folds to train on.

  Args:
    name: Name of the pipeline in the metadata.
    root: Root folder or bucket of the artifacts.
    examples_folder: Folder of TFRecords of tf.Example (.gz or plain), or of CSV files.
    model: Module of the preprocessing_fn and run_fn, as in `pipelines.model_nodes`.
    label: Name of the feature to split by and to predict.
    file_kind: 'tfrecord' or 'csv'.
    schema_path: Path of a schema.pbtxt; None infers the schema from the statistics.
    held_out_folder: Folder of additional test records of the same kind; None uses split 'test'.
    splits: Weights by split name, including train, eval and test; 8, 1 and 1 if None. With folds
      eval is not used; train and test have 9 and 1 if None.
    augment_fn: Augment function for oversampling each class of train to the largest; a dotted path
      or an object of `tfx_balance.augment`. None leaves train unchanged (batches are balanced).
    missing_label: Treatment of records without a label: 'error', 'own' (an additional
      class) or 'drop'.
    on_violation: 'fail' stops the run before training if a class check fails; 'warn' continues.
    report_dir: Folder for the validators' findings, which is kept if the run fails.
    seed: Seed of the split, of the copies and of the first training.
    train_steps: Number of training batches.
    n_models: Number of trainings, each with a different seed; 1 with folds.
    compare: Whether to train the same number of models on natural batches.
    beam_pipeline_args: Beam arguments of every component that uses Beam.
    metadata_connection_config: Connection to the metadata store; None leaves it to the runner.
    folds: Number of folds of a cross-validation, which uses neither held_out_folder nor augment_fn;
      0 for none.
    ignore: Names of features to leave out of training.

  Raises:
    ConfigError: If n_models is not 1 with folds.
  """
  if folds and n_models != 1:
    raise ConfigError(
      f'n_models={n_models} does not combine with folds={folds}, which train one model per fold; '
      f'leave it out'
    )
  options: dict[str, Any] = {'label': label, 'ignore': list(ignore)}
  example_gen = read_examples(examples_folder, file_kind)
  default = {TRAIN: 9, TEST: 1} if folds else {TRAIN: 8, EVAL: 1, TEST: 1}
  weights = dict(splits or default)
  splitter = StratifiedSplitter(
    examples=example_gen.outputs['examples'],
    stratify_by=label,
    splits=weights,
    seed=seed,
    missing_label=missing_label,
    folds=folds,
  )
  natural = splitter.outputs['examples']
  describers, statistics, schema = describe(natural, schema_path)
  rules: dict[str, Any] = {
    'schema': schema,
    'label': label,
    'on_violation': on_violation,
    'max_missing': None if missing_label in ('own', 'own_stratum') else 0.0,
  }
  # Checks the distances between splits, and the leakage between them.
  split_gate = ClassDistributionValidator(
    examples=natural,
    statistics=statistics,
    check_leakage='records',
    report_dir=report_dir and posixpath.join(report_dir, 'splits'),
    **rules,
  )
  gates = [split_gate]  # that must pass before training
  components = [example_gen, splitter, *describers]
  training = natural
  if augment_fn is not None and not folds:
    others = [split for split in weights if split != TRAIN]
    augmenter, statistics_gen = balance(natural, label, seed, augment_fn, schema, others)
    components += [augmenter, statistics_gen]
    training = augmenter.outputs['examples']
    # Checks that the classes of train are equal in size, within one percent.
    balance_gate = ClassDistributionValidator(
      examples=training,
      statistics=statistics_gen.outputs['statistics'],
      max_imbalance_ratio={TRAIN: 1.01},
      compare=[],
      report_dir=report_dir and posixpath.join(report_dir, 'balance'),
      **rules,
    )
    gates.append(balance_gate.with_id('BalanceValidator'))
  components += gates
  test = natural  # with the natural class distribution
  if held_out_folder and not folds:
    held_out = read_examples(held_out_folder, file_kind, TEST).with_id('HeldOutExampleGen')
    components.append(held_out)
    test = held_out.outputs['examples']
  for of_round in make_rounds(folds):
    used = [*of_round.train, of_round.eval]
    transform = tfx.components.Transform(
      examples=training,
      schema=schema,
      # Without folds it analyzes train and transforms all splits.
      splits_config=tfx.proto.SplitsConfig(analyze=of_round.train, transform=used)
      if folds
      else None,
      preprocessing_fn=f'{model}.preprocessing_fn',
      custom_config=options,
      disable_statistics=True,  # StatisticsGen has those of what goes in
      disable_analyzer_cache=True,  # no later run reads it
    ).with_id(f'Transform{of_round.suffix}')
    input_gen = BalancedInputGen(
      examples=transform.outputs['transformed_examples'],
      label=label,
      train_splits=of_round.train,
      seed=seed,
    ).with_id(f'BalancedInputGen{of_round.suffix}')
    components += [transform, input_gen]
    nodes = ModelNodes(
      model, natural, input_gen, transform, schema, test, label, train_steps, gates, of_round
    )
    for i in range(n_models):
      suffix = f'_{i}' if i else ''
      components += nodes.of_seed(seed + i, compare, of_round.suffix + suffix)
  return tfx.dsl.Pipeline(
    pipeline_name=name,
    pipeline_root=root,
    components=components,
    metadata_connection_config=metadata_connection_config,
    beam_pipeline_args=list(beam_pipeline_args),
  )
