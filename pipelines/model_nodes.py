"""Nodes of the sample pipeline that train and evaluate models."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow_model_analysis as tfma
from tfx import v1 as tfx
from tfx.dsl.components.base.base_component import BaseComponent
from tfx_balance.cli.evaluation import BALANCED_MODEL, NATURAL_MODEL
from tfx_balance.cli.model_training import ADJUSTED, CLASS_ID, PROBABILITIES

from pipelines.rounds import TRAIN, Round

DIGITS_MODEL = 'pipelines.digits_model'
TABULAR_MODEL = 'tfx_balance.cli.tabular_model'
IMAGES_MODEL = 'tfx_balance.cli.image_model'
"""Modules of user code, importable wherever Transform and Trainer run. Each has a
`preprocessing_fn` of Transform, a `run_fn` that trains on balanced batches, and a `natural_run_fn`
that trains the same model on natural batches of raw records."""


@dataclass(frozen=True)
class ModelNodes:
  """Makes the nodes that train and evaluate.

  Attributes:
    model: Module of the user code.
    natural: Raw examples with natural class distribution.
    balanced: BalancedInputGen component.
    transform: Transform component.
    schema: Schema of the raw examples.
    test: Examples of which one split is evaluated.
    label: Name of the feature to predict.
    steps: Number of training batches.
    gates: Validators that must pass before training.
    splits: Splits to train on and to evaluate.
  """

  model: str
  natural: tfx.types.BaseChannel
  balanced: BaseComponent
  transform: BaseComponent
  schema: tfx.types.BaseChannel
  test: tfx.types.BaseChannel
  label: str
  steps: int
  gates: Sequence[BaseComponent]
  splits: Round

  def of_seed(self, seed: int, compare: bool, suffix: str) -> Iterator[BaseComponent]:
    """Yields a Trainer, optionally one for natural batches before it, and an Evaluator.

    The former takes the natural shares from the latter's model, as its `base_model`.

    Args:
      seed: Seed of the models' weights and of the order of the data.
      compare: Whether to train on natural batches as well.
      suffix: Suffix of the node ids.
    """
    options = {'label': self.label, 'seed': seed, 'tune': self.splits.eval != self.splits.test}
    baseline = None
    if compare:
      trainer = self._trainer(
        f'{self.model}.natural_run_fn', options, self.splits.train, examples=self.natural
      ).with_id(f'NaturalTrainer{suffix}')
      yield trainer
      baseline = trainer.outputs['model']
    trainer = self._trainer(
      f'{self.model}.run_fn',
      options,
      (TRAIN,),  # into which BalancedInputGen merges the splits to train on
      examples=self.balanced.outputs['examples'],
      hyperparameters=self.balanced.outputs['hyperparameters'],
      base_model=baseline,
    ).with_id(f'Trainer{suffix}')
    yield trainer
    yield tfx.components.Evaluator(
      examples=self.test,
      example_splits=[self.splits.test],
      model=trainer.outputs['model'],
      baseline_model=baseline,
      eval_config=evaluation_config(self.label, compare),
    ).with_id(f'Evaluator{suffix}')

  def _trainer(
    self, run_fn: str, options: Mapping[str, Any], train: Sequence[str], **inputs: Any
  ) -> BaseComponent:
    trainer = tfx.components.Trainer(
      run_fn=run_fn,
      transform_graph=self.transform.outputs['transform_graph'],
      schema=self.schema,
      train_args=tfx.proto.TrainArgs(splits=list(train), num_steps=self.steps),
      eval_args=tfx.proto.EvalArgs(splits=[self.splits.eval]),
      custom_config=dict(options),
      **inputs,
    )
    # Trainer reads no output of the validators, so it needs an explicit dependency on them.
    trainer.add_upstream_nodes(self.gates)
    return trainer


def evaluation_config(label: str, compare: bool) -> tfma.EvalConfig:
  """Returns the configuration that measures accuracy and log loss, recall and precision per class.

  It uses slices (accuracy in one is recall) instead of metrics by class id, because the number of
  classes, and with it the ids of a per-class metric or of TFMA's macro average, is unknown before
  the data has been read.

  Args:
    label: Name of the feature that holds the class.
    compare: Whether there is a baseline model, trained on natural batches. Both models then have
      adjusted probabilities as a second output: TFX's Evaluator takes no more than two models.
  """
  names = [BALANCED_MODEL, NATURAL_MODEL] if compare else ['']
  return tfma.EvalConfig(
    model_specs=[
      tfma.ModelSpec(
        name=name,
        is_baseline=name == NATURAL_MODEL,
        model_type=tfma.TF_GENERIC,
        signature_name='adjusted' if compare else 'serving_default',
        preprocessing_function_names=['transform_labels'],
        label_key=CLASS_ID,
      )
      for name in names
    ],
    slicing_specs=[tfma.SlicingSpec(), tfma.SlicingSpec(feature_keys=[label])],
    metrics_specs=[
      tfma.MetricsSpec(
        metrics=[
          tfma.MetricConfig(class_name='ExampleCount'),
          tfma.MetricConfig(class_name='SparseCategoricalAccuracy', config='{"name": "accuracy"}'),
          tfma.MetricConfig(class_name='MultiClassConfusionMatrixPlot'),  # for precision
          # Of records whose class training lacks, which have the class id -1, it is not defined.
          tfma.MetricConfig(
            class_name='SparseCategoricalCrossentropy',
            config='{"name": "log_loss", "ignore_class": -1}',
          ),
        ],
        output_names=[PROBABILITIES, ADJUSTED] if compare else [],
      )
    ],
  )
