"""Photos that EXIF data say how to turn: read, decoded, changed and written again."""

import io
import struct

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from tfx_balance.augment import ImageAugment, apply, decode_image, from_keras
from tfx_balance.augment.codec import TAGS, read_orientations
from tfx_balance.inputs import BalancedInputs

from tests.augment.helpers_augment import make_images, make_seeds

ORIENTATIONS = range(1, 9)


def photo(orientation=1, order='<', before=b'', kind=3, tag=0x0112):
  """Returns a JPEG file whose top is light and whose left is dark, as its pixels are stored."""
  pixels = np.full([16, 24, 3], 100, np.uint8)
  pixels[:8] = 200
  pixels[:, :8] //= 4
  file = tf.io.encode_jpeg(pixels, quality=100).numpy()
  mark = b'II*\0' if order == '<' else b'MM\0*'
  make = struct.pack(f'{order}HHII', 0x010F, 2, 4, 0x41424300)  # the maker, before it
  value = struct.pack(f'{order}HHIHH', tag, kind, 1, orientation, 0)
  tiff = mark + struct.pack(f'{order}IH', 8, 2) + make + value + bytes(4)
  body = b'Exif\0\0' + tiff
  return file[:2] + before + b'\xff\xe1' + struct.pack('>H', len(body) + 2) + body + file[2:]


def opened(file):
  """Returns the pixels as PIL shows them, an oracle of its own."""
  return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(file))))


def near(one, other):
  assert one.shape == other.shape
  assert np.abs(one.astype(int) - other).mean() < 3


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_a_photo_is_decoded_as_viewers_show_it(orientation, order):
  for before in (b'', b'\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0'):
    file = photo(orientation, order, before)
    assert read_orientations(tf.constant([file, photo()])).numpy().tolist() == [orientation, 1]
    near(decode_image(tf.constant(file)).numpy(), opened(file))
    stored = decode_image(tf.constant(file), exif=False).numpy()
    near(stored, tf.io.decode_jpeg(file).numpy())
  by_pil = io.BytesIO()
  exif = Image.Exif()
  exif[0x0112] = orientation
  Image.fromarray(make_images(1)[0]).save(by_pil, 'JPEG', exif=exif)
  near(decode_image(tf.constant(by_pil.getvalue())).numpy(), opened(by_pil.getvalue()))


@pytest.mark.parametrize(
  'file',
  [
    tf.io.encode_jpeg(make_images(1)[0]).numpy(),
    tf.io.encode_png(make_images(1)[0]).numpy(),
    photo(9),
    photo(0),
    photo(6, kind=4),
    photo(6, tag=0x0113),
    photo(6)[:40],
    b'Exif\0\0',
    b'',
  ],
  ids=['plain', 'PNG', '9', '0', 'long', 'other tag', 'cut', 'mark alone', 'empty'],
)
def test_what_has_no_orientation_stays_as_it_is(file):
  assert read_orientations(tf.constant([file, photo(6)])).numpy().tolist() == [1, 6]


def test_the_tags_that_are_written_are_those_of_pil():
  file = photo()
  for orientation in ORIENTATIONS[1:]:
    tagged = file[:2] + TAGS[orientation] + file[2:]
    assert Image.open(io.BytesIO(tagged)).getexif()[0x0112] == orientation


@pytest.mark.parametrize('orientation', ORIENTATIONS)
@pytest.mark.parametrize(
  ('augment', 'layer'),
  [
    (ImageAugment(contrast=1e-9), None),
    (ImageAugment(flip_left_right=True), np.fliplr),
  ],
  ids=['none', 'mirrored'],
)
def test_a_copy_is_changed_as_it_is_seen_and_keeps_its_orientation(orientation, augment, layer):
  file, many = photo(orientation), 8
  made = augment.batch({'image': tf.constant([file] * many)}, make_seeds(many))['image'].numpy()
  wanted = opened(file)
  shown = [opened(copy) for copy in made]
  mirrored = [] if layer is None else [i for i, own in enumerate(shown) if differs(own, wanted)]
  assert bool(mirrored) == (layer is not None)
  for i, own in enumerate(shown):
    near(own, layer(wanted) if i in mirrored else wanted)
    # Who does not read EXIF sees the copy as the original, too.
    assert Image.open(io.BytesIO(made[i])).size == (24, 16)
  near(decode_image(tf.constant(made[0])).numpy(), shown[0])


def differs(one, other):
  return np.abs(one.astype(int) - other).mean() > 10


def test_without_the_option_pixels_are_changed_as_stored_and_the_orientation_is_lost():
  augment = ImageAugment(contrast=1e-9, exif=False)
  (made,) = augment.batch({'image': tf.constant([photo(6)])}, make_seeds(1))['image'].numpy()
  assert 0x0112 not in Image.open(io.BytesIO(made)).getexif()
  near(opened(made), tf.io.decode_jpeg(photo(6)).numpy())


@pytest.mark.parametrize('orientation', [1, 3, 6])
def test_crops_of_images_on_their_side_stay_inside(orientation):
  augment = ImageAugment(crop=0.5, rotation=5, cutout=0.2)
  files = tf.constant([photo(orientation), photo(1)] * 10)
  made = augment.batch({'image': files}, make_seeds(20))['image'].numpy()
  assert {opened(file).shape for file in made} == {opened(photo(orientation)).shape, (16, 24, 3)}


@pytest.mark.parametrize('orientation', ORIENTATIONS)
def test_keras_layers_see_the_image_upright(orientation):
  augment = from_keras(keras.layers.RandomFlip('horizontal', seed=1))
  file, wanted = photo(orientation), opened(photo(orientation))
  files = apply(augment, {'image': tf.constant([file] * 6)}, make_seeds(6))['image'].numpy()
  shown = [opened(copy) for copy in files]
  mirrored = [differs(own, wanted) for own in shown]
  assert any(mirrored)
  for own, is_mirrored in zip(shown, mirrored, strict=True):
    near(own, np.fliplr(wanted) if is_mirrored else wanted)


def test_photos_of_a_folder_are_decoded_upright_and_the_graph_can_be_saved(tmp_path):
  for name, orientation in (('cat', 1), ('dog', 6)):
    (tmp_path / 'data' / name).mkdir(parents=True)
    (tmp_path / 'data' / name / 'a.jpg').write_bytes(photo(orientation))

  def decode(features):
    image = decode_image(features['image'])
    return {'image': tf.image.resize(image, [24, 24]), 'shape': tf.shape(image)}

  inputs = BalancedInputs.from_files(tmp_path / 'data')
  features, labels = next(iter(inputs.train(2, label_as='index', decode_fn=decode)))
  shapes = dict(zip(labels.numpy().tolist(), features['shape'].numpy().tolist(), strict=True))
  assert shapes == {0: [16, 24, 3], 1: [24, 16, 3]}
  module = tf.Module()
  module.decode = tf.function(decode_image, [tf.TensorSpec([], tf.string)])
  tf.saved_model.save(module, str(tmp_path / 'saved'))
  loaded = tf.saved_model.load(str(tmp_path / 'saved'))
  near(loaded.decode(tf.constant(photo(6))).numpy(), opened(photo(6)))
