"""A whole TFX pipeline on CSV files with imbalanced classes: `python whole_pipeline.py DATA RUNS`.

DATA is a folder of CSV files with the columns `species` (text) and `mass`, `wing` (numbers); RUNS
gets what the pipeline writes. Copy the file, and change the three names below and the model.
"""

import os
import sys

os.environ.setdefault('TF_USE_LEGACY_KERAS', '1')  # as TFX does in the processes that it starts

import tensorflow as tf
import tensorflow_transform as tft
from tfx import v1 as tfx
from tfx_balance import BalancedInputGen, ClassDistributionValidator, StratifiedSplitter
from tfx_balance.inputs import BalancedInputs

LABEL, NUMBERS, N_CLASSES = 'species', ('mass', 'wing'), 3
BATCH = 64


def preprocessing_fn(inputs):
  """Scales the numbers, and numbers the classes; Transform analyses natural data."""
  outputs = {name: tft.scale_to_z_score(inputs[name]) for name in NUMBERS}
  outputs[LABEL] = tft.compute_and_apply_vocabulary(inputs[LABEL], vocab_filename=LABEL)
  return outputs


def run_fn(fn_args):
  """Trains on batches that hold each class at the same share, and evaluates on natural data."""
  inputs = BalancedInputs.from_fn_args(fn_args)
  x = {name: tf.keras.Input([1], name=name) for name in NUMBERS}
  hidden = tf.keras.layers.Dense(16, 'relu')(tf.keras.layers.Concatenate()(list(x.values())))
  model = tf.keras.Model(x, tf.keras.layers.Dense(N_CLASSES, 'softmax')(hidden))
  model.compile('adam', 'sparse_categorical_crossentropy', ['accuracy'])
  model.fit(
    inputs.train(BATCH, label_as='index'),
    steps_per_epoch=fn_args.train_steps,
    validation_data=inputs.eval(BATCH, label_as='index'),
    verbose=2,
  )
  model.export(fn_args.serving_model_dir)


def create_pipeline(data, root):
  """Returns the pipeline."""
  example_gen = tfx.components.CsvExampleGen(input_base=data)
  splitter = StratifiedSplitter(
    examples=example_gen.outputs['examples'],
    stratify_by=LABEL,
    splits={'train': 8, 'eval': 1, 'test': 1},
  )
  statistics_gen = tfx.components.StatisticsGen(examples=splitter.outputs['examples'])
  schema_gen = tfx.components.SchemaGen(statistics=statistics_gen.outputs['statistics'])
  gate = ClassDistributionValidator(
    statistics=statistics_gen.outputs['statistics'],
    examples=splitter.outputs['examples'],
    label=LABEL,
  )
  transform = tfx.components.Transform(
    examples=splitter.outputs['examples'],
    schema=schema_gen.outputs['schema'],
    module_file=__file__,
  )
  input_gen = BalancedInputGen(examples=transform.outputs['transformed_examples'], label=LABEL)
  trainer = tfx.components.Trainer(
    module_file=__file__,
    examples=input_gen.outputs['examples'],
    hyperparameters=input_gen.outputs['hyperparameters'],
    transform_graph=transform.outputs['transform_graph'],
    train_args=tfx.proto.TrainArgs(num_steps=100),
    eval_args=tfx.proto.EvalArgs(),
  )
  trainer.add_upstream_node(gate)  # which stops the run where classes break its rules
  return tfx.dsl.Pipeline(
    pipeline_name='whole',
    pipeline_root=os.path.join(root, 'artifacts'),
    components=[
      *(example_gen, splitter, statistics_gen, schema_gen, gate, transform, input_gen, trainer)
    ],
    metadata_connection_config=tfx.orchestration.metadata.sqlite_metadata_connection_config(
      os.path.join(root, 'metadata.sqlite')
    ),
    beam_pipeline_args=['--direct_running_mode=in_memory'],
  )


if __name__ == '__main__':
  data, root = sys.argv[1:]
  tfx.orchestration.LocalDagRunner().run(create_pipeline(data, root))
