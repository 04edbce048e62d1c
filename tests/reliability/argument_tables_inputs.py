"""What each argument of the inputs, the selectors and the augment functions takes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import tensorflow as tf
import tf_keras
from tfx_balance import augment, inputs
from tfx_balance.inputs import selection

from tests.reliability.arguments import (
  COUNT,
  FINITE,
  FINITE_FROM_0,
  FLAG,
  INTEGERS,
  LABELS,
  LIST_OF_NAMES,
  NAMES,
  NONE,
  SEED,
  SHARE,
  TEXTS,
  Api,
  without,
)


def inputs_apis(folder: Path) -> Iterator[Api]:
  """Yields what makes batches.

  Args:
    folder: an artifact of BalancedInputGen, with a file `Split-train/data_tfrecord-*`.
  """
  spec = {
    'id': tf.io.FixedLenFeature([], tf.int64),
    'label': tf.io.FixedLenFeature([], tf.int64),
  }
  made = inputs.BalancedInputs
  rows = {'features': {'x': np.zeros((4, 2), np.float32)}, 'labels': [0, 0, 0, 1]}
  arrays = made.from_arrays(**rows)
  loaded = made.load(str(folder), spec)
  files = sorted(map(str, (folder / 'Split-train').iterdir()))
  fn_args = SimpleNamespace(train_files=files)
  budget = {'memory_budget': COUNT | {'0'}}
  yield Api('from_fn_args', made.from_fn_args, {'fn_args': fn_args}, {**budget})
  yield Api(
    'load',
    made.load,
    {'uri': str(folder)},
    {**budget},
    data=frozenset({'uri'}),
  )
  yield Api(
    'from_arrays',
    made.from_arrays,
    rows,
    {},
    data=frozenset({'features', 'labels', 'multilabel', 'sample_weight'}),
  )
  yield Api(
    'from_arrays, two labels',
    made.from_arrays,
    {'labels': [0, 1]},
    {'features': frozenset({'np.array', '["x", "x"]', 'range'})},
    data=frozenset({'features'}),
  )
  yield Api(
    'from_arrays, two features',
    made.from_arrays,
    {'features': np.zeros(2)},
    {'labels': frozenset({'np.array', '["x", "x"]', 'range'})},
    data=frozenset({'labels'}),
  )
  yield Api(
    'from_files',
    made.from_files,
    {'files': files, 'label': 'label', 'feature_spec': spec},
    {
      'label': frozenset(),
      'feature_spec': frozenset(),
      'memory_budget': frozenset({'10**9'}),  # the smaller ones are too small for the files
    },
    data=frozenset({'files', 'label', 'memory_budget', 'multilabel'}),
  )
  yield Api(
    'from_generator',
    made.from_generator,
    {'generator': lambda: iter([({'x': 1.0}, 0), ({'x': 2.0}, 1)])},
    {'memory_budget': frozenset({'10**9'})},
    data=frozenset({'generator', 'memory_budget', 'multilabel'}),
  )
  classes = {'q': NONE | FINITE, 'ratios': NONE}
  shared = {'strategy': frozenset(), **classes}
  epoch = COUNT
  yield Api(
    'train',
    without(arrays.train, mock.patch('tfx_balance.inputs.balanced_inputs.draw_dataset')),
    {'batch_size': 2},
    {
      'batch_size': INTEGERS,
      **shared,
      'schedule': NONE | {'int'},
      'epoch': epoch,
      'seed': NONE | SEED,
      'augment': frozenset({'range'}),
      'start_step': NONE | COUNT | {'0', 'int', 'lambda'},
      'mix': NONE | {'int', 'lambda'},
      'stop': NONE | COUNT,
      'sample_weight': FLAG | NAMES | TEXTS,  # whether there is such a feature is seen later
    },
    data=frozenset({'augment_fn', 'decode_fn', 'state'}),
  )
  yield Api(
    'train, classes per batch',
    without(arrays.train, mock.patch('tfx_balance.inputs.balanced_inputs.draw_dataset')),
    {'strategy': 'classes_per_batch', 'classes': 1, 'records': 2},
    {'batch_size': NONE | {'2'}, 'classes': frozenset({'1', '2'}), 'records': INTEGERS},
  )
  yield Api(
    'batch_state',
    arrays.batch_state,
    {'step': 1, 'batch_size': 2},
    {
      'step': COUNT | {'0'},
      'batch_size': INTEGERS,
      **shared,
      'schedule': NONE | {'int'},
      'epoch': epoch,
      'seed': NONE | SEED,
    },
    data=frozenset({'state'}),
  )
  yield Api(
    'AdjustableShares',
    inputs.AdjustableShares,
    {},
    {
      'q': NONE | FINITE,
      'ratios': NONE | {'{}', '{"x": 1}', '{1: 1}', '{0: 10**9}', '{0: 10**30}'},
    },
  )
  yield Api('train, files', loaded.train, {'batch_size': 2}, {'feature_spec': NONE})
  yield Api(
    'eval',
    arrays.eval,
    {'batch_size': 2},
    {
      'batch_size': INTEGERS,
      'split': NONE,
    },
  )
  yield Api(
    'eval, files',
    loaded.eval,
    {'batch_size': 2, 'split': 'train'},
    {'feature_spec': NONE, 'split': frozenset()},
    data=frozenset({'split'}),
  )
  yield Api(
    'steps_per_epoch',
    arrays.steps_per_epoch,
    {'batch_size': 2},
    {'batch_size': INTEGERS, 'epoch': epoch, **shared, 'schedule': NONE | {'int'}},
  )
  yield Api(
    'class_weight',
    arrays.class_weight,
    {'scheme': 'effective', 'strategy': 'exact'},
    {
      **shared,
      'beta': frozenset({'0', '0.5', 'np.float32', 'Fraction'}),
    },
  )
  yield Api('weighted_loss', arrays.weighted_loss, {}, {})
  yield Api('log_prior', arrays.log_prior, {}, {})
  yield Api('prior_correction', arrays.prior_correction, {}, {**shared})
  yield Api(
    'logit_adjusted_loss',
    arrays.logit_adjusted_loss,
    {'strategy': 'exact'},
    {'tau': FINITE, **shared},
  )
  yield Api('with_feature_spec', loaded.with_feature_spec, {}, {'feature_spec': NONE})
  yield Api(
    'weighted_cross_entropy',
    inputs.weighted_cross_entropy,
    {},
    {'weights': frozenset({'np.array', 'range'})},
  )
  yield Api(
    'logit_adjusted_cross_entropy',
    inputs.logit_adjusted_cross_entropy,
    {'log_prior': [-1.0, -2.0]},
    {'log_prior': frozenset({'np.array', 'range'}), 'tau': FINITE},
  )


def selection_apis() -> Iterator[Api]:
  """Yields the selectors and what uses them."""
  yield Api(
    'UniformSelector',
    selection.UniformSelector,
    {'n_items': 4},
    {
      'n_items': COUNT,
    },
  )
  yield Api(
    'ClassSelector',
    selection.ClassSelector,
    {'labels': [0, 0, 1]},
    {
      'labels': LABELS,
      'q': NONE | FINITE,
    },
    data=frozenset({'labels'}),
  )
  yield Api(
    'PrioritySelector',
    selection.PrioritySelector,
    {'n_items': 4},
    {
      'n_items': INTEGERS,
      'alpha': FINITE_FROM_0,
      'beta': SHARE | {'lambda', 'int'},
      'epsilon': FINITE_FROM_0,
    },
  )
  yield Api(
    'PrioritySelector.update',
    selection.PrioritySelector(4).update,
    {'items': [1, 2], 'priorities': [0.5, 1.0]},
    {'items': frozenset({'np.array', 'range'}), 'priorities': frozenset({'np.array', 'range'})},
  )
  yield Api(
    'PrioritySelector.restore',
    selection.PrioritySelector(2).restore,
    {},
    {'priorities': frozenset({'np.array', 'range'})},
  )
  yield Api(
    'CurriculumSelector',
    selection.CurriculumSelector,
    {'difficulty': [1.0, 2.0], 'steps': 3},
    {
      'difficulty': frozenset({'np.array', 'range'}),
      'steps': COUNT,
      'start': SHARE - {'0'},
    },
  )
  for selector in (
    selection.UniformSelector(4),
    selection.ClassSelector([0, 0, 1]),
    selection.PrioritySelector(4),
    selection.CurriculumSelector([1.0, 2.0], 3),
  ):
    yield Api(
      f'{type(selector).__name__}.select',
      selector.select,
      {'step': 0, 'batch_size': 2},
      {'step': COUNT | {'0'}, 'batch_size': INTEGERS},
    )
  yield Api(
    'SumTree', selection.SumTree, {'n_items': 4}, {'n_items': INTEGERS, 'weight': FINITE_FROM_0}
  )
  yield Api(
    'SumTree.update',
    selection.SumTree(4).update,
    {'items': [1, 2], 'weights': [0.5, 1.0]},
    {'items': frozenset({'np.array', 'range'}), 'weights': frozenset({'np.array', 'range'})},
  )
  rows = {'features': np.zeros((4, 2)), 'labels': np.zeros(4)}
  yield Api(
    'selection_dataset',
    selection.selection_dataset,
    {**rows, 'selector': selection.UniformSelector(4), 'batch_size': 2, 'keras': 'tf_keras'},
    {
      'batch_size': INTEGERS,
      'steps': NONE | COUNT,
    },
    data=frozenset({'features', 'labels'}),
  )
  yield Api(
    'prioritized_model',
    selection.prioritized_model,
    {
      'model': tf_keras.Sequential([tf_keras.layers.Dense(1)]),
      'selector': selection.PrioritySelector(4),
      'item_loss': tf_keras.losses.sparse_categorical_crossentropy,
    },
    {'item_loss': frozenset({'lambda', 'int'})},
  )


def augment_apis() -> Iterator[Api]:
  """Yields the ready augment functions and what runs them."""
  remix = {
    'alpha': FINITE_FROM_0 - {'0'},
    'kappa': NONE | COUNT | {'1.0', '1.5', '10**30'},
    'tau': SHARE,
  }
  yield Api('MixUp', augment.MixUp, {}, {'features': NONE | LIST_OF_NAMES, **remix})
  yield Api('CutMix', augment.CutMix, {}, {'feature': NONE | TEXTS, **remix})
  below = SHARE - {'1', '1.0'}
  yield Api(
    'ImageAugment',
    augment.ImageAugment,
    {},
    {
      'feature': TEXTS,
      'brightness': SHARE,
      'contrast': SHARE,
      'crop': below,
      'rotation': SHARE | INTEGERS | {'1.5'},
      'cutout': SHARE,
      'value_range': NONE | {'range'},
      'fill_value': SHARE,
      'jpeg_quality': INTEGERS,
    },
  )
  pool = {'pool_size': COUNT, 'max_pool_bytes': COUNT}
  yield Api(
    'Smote',
    augment.Smote,
    {'features': ['a', 'b']},
    {
      'features': LIST_OF_NAMES,
      'categorical': LIST_OF_NAMES | {'[]', '()'},
      'k': COUNT,
      **pool,
    },
  )
  yield Api(
    'SmoothedBootstrap',
    augment.SmoothedBootstrap,
    {},
    {'features': NONE | LIST_OF_NAMES, 'shrink': FINITE_FROM_0, **pool},
  )
  for layer in (tf_keras.layers.RandomFlip(),):
    yield Api(
      'from_keras',
      augment.from_keras,
      {'layer': layer},
      {
        'feature': TEXTS,
        'jpeg_quality': INTEGERS,
      },
    )
  yield Api('load_augment_fn', augment.load_augment_fn, {}, {})
  yield Api(
    'check_augment_fn, function',
    augment.check_augment_fn,
    {'augment_fn': len, 'name': 'x'},
    {'augment_fn': frozenset({'lambda'})},
  )
  yield Api(
    'Applier',
    augment.Applier,
    {'augment_fn': augment.ImageAugment()},
    {'augment_fn': frozenset({'lambda'}), 'label': NONE | TEXTS, 'name': NONE | TEXTS},
  )
