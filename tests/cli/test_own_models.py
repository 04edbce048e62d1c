import math

import pytest
import tensorflow as tf
from tfx_balance.cli import image_model as images
from tfx_balance.cli import model_training as training
from tfx_balance.cli import tabular_model as tabular


@pytest.mark.parametrize('steps', [1, 4, 5, 7, 300])
def test_rounds_add_up_to_the_steps(steps):
  sizes = training.round_sizes(steps)
  assert sum(sizes) == steps
  assert len(sizes) == min(steps, training.ROUNDS)
  assert max(sizes) - min(sizes) <= 1


def sparse(rows: list[list], dtype: tf.DType) -> tf.SparseTensor:
  return tf.RaggedTensor.from_row_lengths(
    tf.constant([value for row in rows for value in row], dtype), [len(row) for row in rows]
  ).to_sparse()


def test_a_sparse_feature_gives_its_first_value_or_the_filler():
  dense = tabular.first_values(sparse([['a', 'b'], [], ['c']], tf.string), '')
  assert dense.numpy().tolist() == [[b'a'], [b''], [b'c']]


def test_a_batch_in_which_every_value_is_missing_is_all_filler():
  dense = tabular.first_values(sparse([[], []], tf.float32), math.nan)
  assert dense.shape == (2, 1)
  assert all(math.isnan(value) for value in dense.numpy().ravel())


def test_a_dense_vector_keeps_its_length():
  assert tabular.first_values(tf.zeros([4, 2, 3]), 0.0).shape == (4, 6)
  assert tabular.first_values(tf.zeros([4]), 0.0).shape == (4, 1)


def test_ignoring_a_feature_that_is_not_there_is_an_error():
  inputs = {'kind': tf.constant(['a']), 'size': tf.constant([1.0])}
  with pytest.raises(ValueError, match=r"no feature is called 'sise'; ignore some of \['kind', 's"):
    tabular.preprocessing_fn(inputs, {'label': 'kind', 'ignore': ['sise']})


def test_names_of_vocabularies_differ_where_the_features_do():
  names = ['a b', 'a_b', 'a/b', 'ab', 'a_20_b', 'ä b']
  files = [tabular.vocabulary_name(name) for name in names]
  assert len(set(files)) == len(names)
  assert all(name.replace('_', '').isalnum() and name.isascii() for name in files)


@pytest.mark.parametrize(
  ('values', 'names'),
  [
    (['a', 'a\nb', 'a\r\nb', 'a\\nb', ''], ['a', 'a\\nb', 'a\\r\\nb', 'a\\\\nb', '\\empty']),
    ([1, -2], ['1', '-2']),
    ([1.0, 2.0], ['1', '2']),
  ],
  ids=['text', 'int', 'float'],
)
def test_classes_have_names_of_one_line_that_differ(values, names):
  found = tabular.class_names(tf.constant(values)).numpy()
  assert [name.decode() for name in found] == names


def test_images_of_any_size_and_kind_become_of_one_size():
  grey = tf.io.encode_png(tf.fill([7, 90, 1], tf.constant(100, tf.uint8)))
  colour = tf.io.encode_jpeg(tf.fill([200, 65, 3], tf.constant(100, tf.uint8)))
  for encoded in (grey, colour):
    pixels = images.resize(encoded).numpy()
    assert pixels.shape == (64, 64, 3)
    assert abs(pixels.astype(int) - 100).max() <= 2  # JPEG loses a little


def test_files_that_are_no_data_are_left_out_by_their_names(tmp_path):
  for name in ('b.gz', 'a.gz'):
    with tf.io.TFRecordWriter(str(tmp_path / name), 'GZIP') as writer:
      writer.write(name)
  for name in ('.DS_Store', '_SUCCESS', '.a.gz.crc'):
    (tmp_path / name).write_bytes(b'no records')
  (tmp_path / '.hidden').mkdir()
  found = training.read_records([str(tmp_path / '*'), str(tmp_path / '.*')])
  assert list(found.as_numpy_iterator()) == [b'a.gz', b'b.gz']
