"""What Transform and Trainer run among stock components; Trainer tells what it reads, and how."""

import json
from pathlib import Path

import tensorflow_transform as tft
from tfx_balance.documents.balanced_input import InputPlan
from tfx_balance.documents.json_document import is_document
from tfx_balance.inputs import BalancedInputs
from tfx_bsl.public import tfxio

BATCH = 25
STEPS = 20
TOLD = 'told.json'


def preprocessing_fn(inputs):
  """Returns the pixels, scaled, the label, and its number in a vocabulary."""
  return {
    'label': inputs['label'],
    'class_id': tft.compute_and_apply_vocabulary(inputs['label']),
    'x': tft.scale_to_z_score(inputs['pixels']),
  }


def run_fn(fn_args):
  """Writes what was read to where the model should be."""
  folder = Path(fn_args.serving_model_dir)
  folder.mkdir(parents=True)
  inputs = BalancedInputs.from_fn_args(fn_args)
  told = {
    'has_plan': is_document(fn_args.hyperparameters, InputPlan),
    'balanced': [
      label.numpy().reshape(-1).tolist() for _, label in inputs.train(BATCH).take(STEPS)
    ],
    'stock': _stock_labels(fn_args),
    'natural': {name: list(counts) for name, counts in inputs.source.natural.items()},
    'evaluated': sum(len(label) for _, label in inputs.eval(BATCH)),
  }
  (folder / TOLD).write_text(json.dumps(told))


def _stock_labels(fn_args):
  """Returns the labels in the order in which TFX's own reader gives the records."""
  schema = tft.TFTransformOutput(fn_args.transform_output).transformed_metadata.schema
  options = tfxio.TensorFlowDatasetOptions(
    batch_size=BATCH, label_key='class_id', shuffle=False, num_epochs=1
  )
  dataset = fn_args.data_accessor.tf_dataset_factory(fn_args.train_files, options, schema)
  return [n for _, label in dataset for n in label.numpy().reshape(-1).tolist()]
