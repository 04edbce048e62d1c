import pytest
import tensorflow as tf
from tfx_balance.cli import own_images
from tfx_balance.errors import DataError

from tests.cli.helpers_own_data import write_image


def touch(path):
  """Makes an empty file, and its folder."""
  path.parent.mkdir(parents=True, exist_ok=True)
  path.touch()


def test_the_folders_are_the_classes(tmp_path):
  for name in (
    'cat/b.png',
    'cat/a.JPG',
    'black dog/a.jpeg',
    'cat/.DS_Store',
    '.git/a',
    'notes.txt',
  ):
    touch(tmp_path / name)
  assert own_images.find_images(tmp_path) == {
    'black dog': [tmp_path / 'black dog' / 'a.jpeg'],
    'cat': [tmp_path / 'cat' / 'a.JPG', tmp_path / 'cat' / 'b.png'],
  }


@pytest.mark.parametrize(
  ('names', 'message'),
  [
    (['cat/a.png', 'b.png'], 'has 1 images outside of its subfolders, such as b.png; move each'),
    (['notes.txt'], 'has no subfolders; add a folder of images for each class'),
    (['train/cat/a.png'], r'train has the subfolder cat; .*: pass .*train if its subfolders are'),
    (['cat/a.png', 'cat/b.gif'], 'cat has 1 files that are neither PNG nor JPEG, such as b.gif'),
    (['cat/a.png', 'dog/.hidden'], 'dog has no images; add images, or remove it from'),
  ],
  ids=['outside of folders', 'no folders', 'folders in folders', 'other files', 'no images'],
)
def test_another_layout_is_refused(tmp_path, names, message):
  for name in names:
    touch(tmp_path / name)
  with pytest.raises(DataError, match=message):
    own_images.find_images(tmp_path)


def test_no_such_folder(tmp_path):
  with pytest.raises(DataError, match='nowhere is not a folder; pass one that has a folder'):
    own_images.find_images(tmp_path / 'nowhere')


def test_images_are_written_as_they_are_in_several_files(tmp_path):
  classes = {
    'cat': [write_image(tmp_path / 'cat' / f'{i}.png', 5, 4 + i, i) for i in range(3)],
    'dög': [write_image(tmp_path / 'dög' / 'a.jpg', 9, 3, 7)],
  }
  (tmp_path / 'new').mkdir()
  own_images.write_images(classes, 'label', tmp_path / 'new', file_images=3, batch_images=2)
  files = sorted(str(path) for path in (tmp_path / 'new').iterdir())
  assert len(files) == 2
  written = []
  for record in tf.data.TFRecordDataset(files).as_numpy_iterator():
    features = tf.train.Example.FromString(record).features.feature
    assert set(features) == {'image', 'label'}
    written.append(tuple(features[n].bytes_list.value[0] for n in ('label', 'image')))
  expected = [(name.encode(), path.read_bytes()) for name, ps in classes.items() for path in ps]
  assert written == expected


def test_an_image_that_is_cut_off(tmp_path):
  path = write_image(tmp_path / 'cat' / 'a.png', 30, 30, 3)
  path.write_bytes(path.read_bytes()[:-30])
  with pytest.raises(DataError, match=r'a.png cannot be decoded as PNG or JPEG; convert it'):
    own_images.write_images({'cat': [path]}, 'label', tmp_path)
