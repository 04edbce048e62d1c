"""Images by their paths, with a label for each: the same reading as a folder of classes."""

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import SPEC, example, write_file

LABELS = ['cat', 'dog', 'cat', 'cat']


def png(value):
  return tf.io.encode_png(tf.fill([2, 2, 1], tf.constant(value, tf.uint8))).numpy()


@pytest.fixture
def paths(tmp_path):
  """Returns paths of images in folders of any depth, one with the characters of a pattern."""
  found = [tmp_path / name for name in ('b.png', 'x [1]/a*.PNG', 'y/z/0.png', 'y/1.JPEG')]
  for value, path in enumerate(found):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(png(value))
  found[3].write_bytes(tf.io.encode_jpeg(tf.fill([2, 2, 1], tf.constant(3, tf.uint8))).numpy())
  return found


@pytest.mark.parametrize(
  'form',
  [list, lambda values: np.array(list(map(str, values))), lambda v: pd.Series(v, [5, 3, 1, 0])],
)
def test_paths_and_labels_give_balanced_batches_and_a_pass_in_their_order(paths, form):
  made = BalancedInputs.from_files(form(paths), form(LABELS))
  for features, labels in made.train(4).take(5):
    assert sorted(labels.numpy()) == [b'cat', b'cat', b'dog', b'dog']
    values = [int(tf.io.decode_image(image)[0, 0, 0]) for image in features['image']]
    assert [LABELS[value].encode() for value in values] == labels.numpy().tolist()
  ((features, labels),) = made.eval(99)
  assert features['image'].numpy().tolist() == [path.read_bytes() for path in paths]
  assert labels.numpy().tolist() == [label.encode() for label in LABELS]


def test_images_have_several_labels(paths):
  hot = [[1, 0], [0, 1], [1, 1], [1, 0]]
  made = BalancedInputs.from_files(paths, labels=hot, multilabel=True)
  ((_, labels),) = made.eval(9, label_as='multi_hot')
  assert labels.numpy().tolist() == hot


@pytest.mark.parametrize(
  ('change', 'arguments', 'error', 'message'),
  [
    (
      lambda p: p[:3],
      {},
      DataError,
      'there are 3 files and 4 labels; give one in labels= for each',
    ),
    (lambda p: [*p[:3], p[0].parent / 'no.png'], {}, DataError, r'no\.png cannot be read'),
    (lambda p: [*p[:3], p[0].parent / 'notes.txt'], {}, DataError, r'notes\.txt is neither a PNG'),
    (lambda p: [*p[:3], p[0].parent / 'folder.png'], {}, DataError, r'folder\.png cannot be read'),
    (list, {'labels': [1, 0, 1, None]}, DataError, r'labels\[3\] is missing'),
    (list, {'labels': [0.5, 1, 1, 1]}, DataError, 'label 0.5 must be an integer'),
    (list, {'memory_budget': 99}, DataError, 'the files hold more than memory_budget=99 bytes of'),
    (list, {'memory_budget': '9'}, ConfigError, "memory_budget='9' must be a whole number"),
    (lambda p: str(p[0].parent), {}, ConfigError, 'must be a list of paths, as labels= has one'),
    (lambda p: [], {}, ConfigError, r'files=\[\] must be a list of paths'),
    (lambda p: [*p[:3], 7], {}, ConfigError, 'files: entry=7 must be a path'),
    (list, {'label': 'label'}, ConfigError, 'labels= are those of images, and label= and'),
    (list, {'feature_spec': SPEC}, ConfigError, 'labels= are those of images, and label= and'),
  ],
)
def test_paths_and_labels_that_do_not_fit_are_refused(paths, change, arguments, error, message):
  (paths[0].parent / 'notes.txt').write_bytes(b'no image')
  (paths[0].parent / 'folder.png').mkdir()
  with pytest.raises(error, match=message):
    BalancedInputs.from_files(change(paths), **{'labels': LABELS, **arguments})


def test_a_second_argument_that_names_features_is_no_list_of_labels(paths, tmp_path):
  file = tmp_path / 'a.gz'
  write_file(file, [example(i, i % 2) for i in range(6)])
  for label in ('label', ['label']):
    made = BalancedInputs.from_files([str(file)], label, SPEC)
    assert made.source.counts.records == (3, 3)
  with pytest.raises(ConfigError, match=r'feature_spec=None, .* and a list of images labels='):
    BalancedInputs.from_files(paths, 'label')
  with pytest.raises(ConfigError, match=r'feature_spec=None, .* and a list of images labels='):
    BalancedInputs.from_files(paths, LABELS, multilabel=True)
