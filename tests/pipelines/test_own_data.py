import re
from pathlib import Path

import pytest
import tensorflow as tf

from pipelines import own_data
from pipelines.own_data import OwnDataError, inspect


def write_records(path: Path, rows: list[dict]) -> None:
  """Writes tf.Examples whose features have one value each, or none for None."""
  options = 'GZIP' if path.suffix == '.gz' else ''
  with tf.io.TFRecordWriter(str(path), options=options) as writer:
    for row in rows:
      example = tf.train.Example()
      for name, value in row.items():
        feature = example.features.feature[name]
        if isinstance(value, str):
          feature.bytes_list.value.append(value.encode())
        elif isinstance(value, float):
          feature.float_list.value.append(value)
        elif value is not None:
          feature.int64_list.value.append(value)
      writer.write(example.SerializeToString())


@pytest.mark.parametrize('name', ['a.tfrecord', 'a.tfrecord.gz', 'part-00000', 'a.tfrecords'])
def test_tfrecords_of_any_name_are_read(tmp_path, name):
  write_records(tmp_path / name, [{'kind': 'x', 'size': 1.5, 'n': 2, 'gap': None}])
  found = inspect(tmp_path, 'kind')
  assert found.file_kind == 'tfrecord'
  assert found.folder == tmp_path
  assert found.features == {'gap': 'empty', 'kind': 'text', 'n': 'int', 'size': 'float'}


def test_csv_is_read_with_its_types_and_gaps(tmp_path):
  (tmp_path / 'a.csv').write_text('kind,size,n,gap\nx,1,2,\ny,1.5,3,\n')
  found = inspect(tmp_path, 'kind')
  assert found.file_kind == 'csv'
  assert found.features == {'gap': 'empty', 'kind': 'text', 'n': 'int', 'size': 'float'}


def test_hidden_files_do_not_count(tmp_path):
  (tmp_path / '.DS_Store').write_text('x')
  (tmp_path / '_SUCCESS').write_text('')
  (tmp_path / 'a.csv').write_text('kind,n\n1,2\n')
  assert inspect(tmp_path, 'kind').file_kind == 'csv'


def test_whole_floats_are_classes(tmp_path):
  write_records(tmp_path / 'a', [{'kind': 1.0, 'n': 1}])
  assert inspect(tmp_path, 'kind').features['kind'] == 'float'


def test_no_such_folder(tmp_path):
  with pytest.raises(OwnDataError, match='nowhere does not exist; pass the folder'):
    inspect(tmp_path / 'nowhere', 'kind')


def test_a_file_in_place_of_its_folder(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_text('kind,n\n1,2\n')
  with pytest.raises(OwnDataError, match='is a file; pass the folder that it is in'):
    inspect(path, 'kind')


def test_an_empty_folder(tmp_path):
  with pytest.raises(OwnDataError, match=r'has no data files$'):
    inspect(tmp_path, 'kind')


def test_a_folder_of_folders_names_them(tmp_path):
  (tmp_path / 'Split-train').mkdir()
  with pytest.raises(OwnDataError, match='has the folders Split-train: pass one of these'):
    inspect(tmp_path, 'kind')


def test_mixed_kinds_of_files(tmp_path):
  (tmp_path / 'a.csv').write_text('kind,n\n1,2\n')
  write_records(tmp_path / 'b.tfrecord', [{'kind': 1, 'n': 1}])
  with pytest.raises(OwnDataError, match=re.escape('a.csv is CSV, b.tfrecord is not')):
    inspect(tmp_path, 'kind')


@pytest.mark.parametrize('kind', ['csv', 'tfrecord'])
def test_an_unknown_label_lists_the_features(tmp_path, kind):
  if kind == 'csv':
    (tmp_path / 'a.csv').write_text('kind,size\nx,1.5\n')
  else:
    write_records(tmp_path / 'a', [{'kind': 'x', 'size': 1.5}])
  message = "no feature is called 'sort'; pass one of these as --label: kind (text), size (float)"
  with pytest.raises(OwnDataError, match=re.escape(message)):
    inspect(tmp_path, 'sort')


def test_a_measure_is_no_label(tmp_path):
  (tmp_path / 'a.csv').write_text('kind,size\nx,1.5\n')
  with pytest.raises(OwnDataError, match=r"'size' has the value 1\.5, which is no class"):
    inspect(tmp_path, 'size')


def test_a_label_alone(tmp_path):
  (tmp_path / 'a.csv').write_text('kind\nx\n')
  with pytest.raises(OwnDataError, match="'kind' is the only feature"):
    inspect(tmp_path, 'kind')


def test_a_table_without_rows(tmp_path):
  (tmp_path / 'a.csv').write_text('kind,size\n')
  with pytest.raises(OwnDataError, match='has no rows; it needs a line of column names'):
    inspect(tmp_path, 'kind')


def test_files_without_records(tmp_path):
  write_records(tmp_path / 'a.tfrecord', [])
  with pytest.raises(OwnDataError, match='hold no records'):
    inspect(tmp_path, 'kind')


def test_a_file_that_is_no_tfrecord(tmp_path):
  (tmp_path / 'notes.txt').write_text('These are notes about the data in this folder.')
  with pytest.raises(OwnDataError, match=r'notes.txt is not a TFRecord file of tf.Example'):
    inspect(tmp_path, 'kind')


@pytest.mark.parametrize(
  ('name', 'other', 'message'),
  [
    ('a.gz', 'a.tfrecord', 'a.gz is not compressed, and its name says otherwise'),
    ('a.tfrecord', 'a.gz', 'a.tfrecord is compressed, and its name says otherwise'),
  ],
)
def test_a_name_that_belies_the_compression(tmp_path, name, other, message):
  write_records(tmp_path / other, [{'kind': 1, 'n': 1}])
  (tmp_path / other).rename(tmp_path / name)
  with pytest.raises(OwnDataError, match=message):
    inspect(tmp_path, 'kind')


@pytest.mark.parametrize(
  ('cell', 'value'), [('1', 1), ('1.0', 1.0), ('x', 'x'), ('', None), ('-2e3', -2000.0)]
)
def test_cells_have_the_narrowest_type(cell, value):
  parsed = own_data.parse_cell(cell)
  assert parsed == value
  assert type(parsed) is type(value)
