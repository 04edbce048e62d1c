"""What TFX's `fileio` does with objects, here those of a store in a folder."""

import pytest
from obstore.store import LocalStore
from tfx.dsl.io import fileio
from tfx_balance.tfrecord import object_store
from tfx_balance.tfx_object_store import register_object_stores

register_object_stores()
ROOT = 's3://bucket/root'
NAMES = ['a/1.txt', 'a/2.gz', 'b/c/3.txt', '4.txt']


@pytest.fixture(autouse=True)
def _bucket(tmp_path, monkeypatch):
  """Writes the objects into a bucket."""
  store = LocalStore(tmp_path, automatic_cleanup=True)
  monkeypatch.setattr(object_store, '_bucket', lambda *_: store)
  for name in NAMES:
    with fileio.open(f'{ROOT}/{name}', 'w') as file:
      file.write(f'über {name}')


def test_text_and_bytes_are_read():
  with fileio.open(f'{ROOT}/4.txt') as file:
    assert file.read() == 'über 4.txt'
  with fileio.open(f'{ROOT}/4.txt', 'rb') as file:
    assert file.read() == 'über 4.txt'.encode()
  with pytest.raises(ValueError, match=r"4\.txt cannot be opened with mode 'a'"):
    fileio.open(f'{ROOT}/4.txt', 'a')


@pytest.mark.parametrize(
  ('pattern', 'found'),
  [('*.txt', ['4.txt']), ('*/*.txt', ['a/1.txt']), ('b/?/*', ['b/c/3.txt']), ('a/9*', [])],
)
def test_a_pattern_matches_part_by_part(pattern, found):
  assert fileio.glob(f'{ROOT}/{pattern}') == [f'{ROOT}/{name}' for name in found]


def test_folders_are_walked():
  assert list(fileio.walk(ROOT)) == [
    (ROOT, ['a', 'b'], ['4.txt']),
    (f'{ROOT}/a', [], ['1.txt', '2.gz']),
    (f'{ROOT}/b', ['c'], []),
    (f'{ROOT}/b/c', [], ['3.txt']),
  ]
  assert fileio.listdir(f'{ROOT}/a') == ['1.txt', '2.gz']


def test_a_folder_is_renamed_and_removed():
  fileio.rename(f'{ROOT}/a', f'{ROOT}/z')
  assert not fileio.exists(f'{ROOT}/a')
  assert fileio.listdir(f'{ROOT}/z') == ['1.txt', '2.gz']
  fileio.rmtree(ROOT)
  assert not fileio.isdir(ROOT)


def test_a_copy_overwrites_where_that_is_asked_for():
  source, target = f'{ROOT}/4.txt', f'{ROOT}/a/1.txt'
  with pytest.raises(OSError, match='is there already'):
    fileio.copy(source, target)
  fileio.copy(source, target, overwrite=True)
  assert fileio.stat(target).length == fileio.stat(source).length == len('über 4.txt'.encode())


@pytest.mark.parametrize(
  'call',
  [
    fileio.open,
    fileio.listdir,
    fileio.remove,
    fileio.rmtree,
    lambda path: fileio.stat(path).length,
    lambda path: fileio.copy(path, f'{ROOT}/copied'),
    lambda path: fileio.rename(path, f'{ROOT}/renamed'),
  ],
  ids=['open', 'listdir', 'remove', 'rmtree', 'stat', 'copy', 'rename'],
)
def test_what_is_missing_is_the_error_that_tfx_expects(call):
  with pytest.raises(fileio.NotFoundError, match='missing'):
    call(f'{ROOT}/missing')
