"""A folder of images is read as it is, and what does not belong in it is named."""

import pickle

import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import SPEC, example, write_artifact, write_file


def png(value):
  return tf.io.encode_png(tf.fill([2, 2, 1], tf.constant(value, tf.uint8))).numpy()


@pytest.fixture
def folder(tmp_path):
  """Returns a folder of 4 cats and 2 dogs, with a bracket in its name."""
  root = tmp_path / 'pets [1]'
  for name, values in {'dog': (5, 6), 'cat': (1, 2, 3)}.items():
    (root / name).mkdir(parents=True)
    for value in values:
      (root / name / f'{value}.png').write_bytes(png(value))
  (root / 'cat' / '4.JPG').write_bytes(tf.io.encode_jpeg(tf.zeros([2, 2, 1], tf.uint8)).numpy())
  (root / 'cat' / '.DS_Store').write_bytes(b'x')
  return root


def test_a_folder_of_images_gives_balanced_batches_and_an_ordered_pass(folder):
  made = BalancedInputs.from_files(folder)
  ((features, labels),) = made.train(4).take(1)
  assert sorted(labels.numpy()) == [b'cat', b'cat', b'dog', b'dog']
  values = [int(tf.io.decode_image(image)[0, 0, 0]) for image in features['image']]
  assert all((value >= 5) == (label == b'dog') for value, label in zip(values, labels, strict=True))
  ((features, labels),) = made.eval(99)
  assert labels.numpy().tolist() == [b'cat'] * 4 + [b'dog'] * 2
  assert features['image'].numpy()[0] == png(1)


@pytest.mark.parametrize(
  ('path', 'message'),
  [
    ('cat/broken.png', r'cat/broken\.png is neither a PNG nor a JPEG file'),
    ('cat/more/1.png', r'cat/more is a folder, .* move its images up'),
    ('loose.png', r'loose\.png is not a folder; .* TFRecord files need label='),
    ('empty/.hidden', r'empty has no images'),
  ],
)
def test_what_does_not_belong_in_a_folder_of_images_is_named(folder, path, message):
  (folder / path).parent.mkdir(exist_ok=True)
  (folder / path).write_bytes(b'no image')
  with pytest.raises(DataError, match=message):
    BalancedInputs.from_files(folder)


def test_images_past_the_budget_or_none_are_refused(folder, tmp_path):
  with pytest.raises(DataError, match='more than memory_budget=100 bytes of images'):
    BalancedInputs.from_files(folder, memory_budget=100)
  (tmp_path / 'none').mkdir()
  with pytest.raises(DataError, match='has no folders; give it a folder of images for each class'):
    BalancedInputs.from_files(tmp_path / 'none')


def test_a_folder_of_tfrecords_is_read_or_what_it_needs_is_said(tmp_path, folder):
  (tmp_path / 'records').mkdir()
  write_file(tmp_path / 'records' / 'a.gz', [example(i, i % 2) for i in range(6)])
  made = BalancedInputs.from_files(tmp_path / 'records', 'label', SPEC)
  assert made.source.counts.records == (3, 3)
  with pytest.raises(DataError, match=r'a\.gz is not a folder; .* TFRecord files need label='):
    BalancedInputs.from_files(tmp_path / 'records')
  with pytest.raises(DataError, match='has the folder cat; give a folder of TFRecord files'):
    BalancedInputs.from_files(folder, 'label', SPEC)
  with pytest.raises(ConfigError, match=r'feature_spec=None, and files=.* files need both'):
    BalancedInputs.from_files(str(tmp_path / 'records' / 'a.gz'), 'label')


def test_an_image_that_cannot_be_decoded_is_named(folder):
  broken = folder / 'cat' / '3.png'
  broken.write_bytes(broken.read_bytes()[:40])
  made = BalancedInputs.from_files(folder)

  def decode(features):
    return {'image': tf.io.decode_png(features['image'], channels=1)}

  for make in (made.train, made.eval):
    with pytest.raises(tf.errors.InvalidArgumentError, match=r'cat/3\.png.* cannot be decoded'):
      list(make(4, decode_fn=decode).take(4))
  broken.write_bytes(png(3))
  batches = list(BalancedInputs.from_files(folder).eval(4, decode_fn=decode))
  assert [features['image'][0, 0, 0, 0].numpy() for features, _ in batches] == [1, 5]


def test_a_folder_that_is_not_there_is_named(tmp_path):
  with pytest.raises(DataError, match='none matches no file; give a file'):
    BalancedInputs.from_files(tmp_path / 'none')


def test_inputs_can_be_pickled(folder, tmp_path):
  write_artifact(tmp_path / 'artifact', [9, 3])
  write_file(tmp_path / 'a.gz', [example(i, i % 2) for i in range(6)])
  for made in (
    BalancedInputs.from_files(folder),
    BalancedInputs.from_files(tmp_path / 'a.gz', 'label', SPEC),
    BalancedInputs.load(str(tmp_path / 'artifact'), SPEC),
  ):
    expected = [label.numpy().tolist() for _, label in made.train(4).take(3)]
    again = pickle.loads(pickle.dumps(made))
    assert [label.numpy().tolist() for _, label in again.train(4).take(3)] == expected
