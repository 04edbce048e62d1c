"""The Python of docs/input.md runs, given the inputs, the model and the data that it speaks of."""

import importlib.util
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from tfx_balance.augment import CutMix
from tfx_balance.inputs import BalancedInputs, SetShares

PAGE = Path(__file__).parents[2] / 'docs/input.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', PAGE.read_text('utf-8'), re.S)
IMAGES = np.random.default_rng(0).random((1000, 8, 8, 3)).astype(np.float32)
CODES = np.repeat([0, 1], (900, 100))
NAMES = np.array(['fine', 'fraud'])[CODES]
FEWER = {'steps_per_epoch=500, epochs=10': 'steps_per_epoch=2, epochs=2', 'epochs=10': 'epochs=1'}


def inputs(labels=NAMES, name='image'):
  return BalancedInputs.from_arrays(IMAGES if name is None else {name: IMAGES}, labels)


def model():
  inner = tf_keras.Sequential(
    [tf_keras.layers.Flatten(), tf_keras.layers.Dense(2, activation='softmax')]
  )
  inner.build([None, 8, 8, 3])
  inner.compile('adam', 'sparse_categorical_crossentropy')
  return inner


def encoded():
  png = tf.io.encode_png(np.zeros((8, 8, 3), np.uint8)).numpy()
  return BalancedInputs.from_arrays({'image': np.full(len(NAMES), png, object)}, NAMES)


GIVEN = [  # of each snippet, by a word that is in it alone
  pytest.param('MultiWorkerMirroredStrategy()', lambda: {'inputs': inputs()}, id='hosts'),
  pytest.param('the same on any host', lambda: {'inputs': inputs()}, id='state'),
  pytest.param(
    'shares.set(step + 100', lambda: {'inputs': inputs(), 'SetShares': SetShares}, id='shares'
  ),
  pytest.param('decode_png', lambda: {'inputs': encoded()}, id='decode'),
  pytest.param('flip_left_right', lambda: {'inputs': inputs()}, id='augment'),
  pytest.param(
    'raise_lagging_classes',
    lambda: {'inputs': inputs(CODES, None), 'model': model()},
    id='lagging classes',
    marks=pytest.mark.skipif(
      importlib.util.find_spec('tensorboard') is None, reason='its log is for TensorBoard'
    ),
  ),
  pytest.param('MixUp(', lambda: {'inputs': inputs(name='pixels')}, id='mixup'),
  pytest.param(
    'decode_and_mix',
    lambda: {'inputs': inputs(), 'CutMix': CutMix, 'decode': lambda features: features},
    id='cutmix',
  ),
  pytest.param(
    'prioritized_model',
    lambda: {'labels': CODES, 'features': IMAGES, 'inner': model()},
    id='selection',
  ),
  pytest.param(
    'class TwoClasses', lambda: {'labels': CODES, 'features': IMAGES}, id='custom selector'
  ),
]


@pytest.mark.parametrize(('word', 'given'), GIVEN)
def test_snippet_runs(word, given, tmp_path, monkeypatch):
  monkeypatch.setenv('TF_USE_LEGACY_KERAS', '1')
  (snippet,) = [snippet for snippet in SNIPPETS if word in snippet]
  for long, short in FEWER.items():
    snippet = snippet.replace(long, short)
  names = {
    'tf': tf,
    'keras': tf_keras,
    'step': 0,
    'fn_args': SimpleNamespace(model_run_dir=str(tmp_path)),
    **given(),
  }
  exec(compile(snippet, str(PAGE), 'exec'), names)
  for made in ('train', 'batches'):
    if made in names:
      next(iter(names[made]))
  if word == 'class TwoClasses':
    images, labels = names['dataset'][3]
    assert labels.sum() == 128
    assert len(images) == 256


@pytest.mark.parametrize(
  ('word', 'n_of_each', 'names'),
  [
    ('from_files(paths, labels)', [2.0, 2.0], {'image'}),
    ('pd.DataFrame', 2, {'amount', 'country'}),
  ],
)
def test_snippet_runs_alone(word, n_of_each, names, tmp_path):
  (snippet,) = [snippet for snippet in SNIPPETS if word in snippet]
  (tmp_path / 'snippet.py').write_text(snippet, 'utf-8')
  found = runpy.run_path(str(tmp_path / 'snippet.py'))
  features, labels = next(iter(found['train']))
  assert set(features) == names
  if labels.dtype == tf.string:
    labels = tf.cast(labels == b'fraud', tf.int32)
  assert tf.reduce_sum(labels, axis=0).numpy().tolist() == n_of_each
