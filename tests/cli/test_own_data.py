import gzip
import re

import pytest
from tfx_balance.cli.own_data import OwnData, inspect, inspect_images
from tfx_balance.errors import DataError

from tests.cli.helpers_own_data import CLASSES, write_image, write_records, write_table


@pytest.mark.parametrize('name', ['a.tfrecord', 'a.tfrecord.gz', 'part-00000', 'a.tfrecords'])
def test_tfrecords_of_any_name_are_read(tmp_path, name):
  write_records(tmp_path / name, [{'kind': k, 'size': 1.5, 'n': 2, 'gap': None} for k in CLASSES])
  found = inspect(tmp_path, 'kind')
  assert found.file_kind == 'tfrecord'
  assert found.folder == tmp_path
  assert found.notes[0] == '4 columns: the label, 2 numeric, 1 empty'


def test_hidden_files_do_not_count(tmp_path):
  (tmp_path / '.DS_Store').write_text('x')
  (tmp_path / '_SUCCESS').write_text('')
  write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},2' for k in CLASSES])
  assert inspect(tmp_path, 'kind').file_kind == 'csv'


def test_whole_floats_are_classes(tmp_path):
  write_records(tmp_path / 'a', [{'kind': float(len(k)), 'n': 1} for k in CLASSES])
  assert inspect(tmp_path, 'kind').notes == ('2 columns: the label, 1 numeric',)


@pytest.mark.parametrize(
  ('files', 'given', 'message'),
  [
    ([], 'nowhere', 'nowhere does not exist; pass the folder'),
    (['a.csv'], 'a.csv', 'is a file; pass its folder'),
    ([], '', 'has no data files; put TFRecord, CSV or Parquet files there, or'),
    (['Split-train/a'], '', 'has the folders Split-train: pass one of these'),
    (['a.csv', 'b.tfrecord'], '', 'a.csv is CSV, b.tfrecord is not'),
  ],
  ids=['no folder', 'a file', 'no files', 'folders', 'mixed kinds'],
)
def test_what_is_no_folder_of_data_is_refused(tmp_path, files, given, message):
  for name in files:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).touch()
  with pytest.raises(DataError, match=re.escape(message)):
    inspect(tmp_path / given, 'kind')


@pytest.mark.parametrize('option', ['--label', '--ignore'])
def test_an_unknown_name_lists_the_features(tmp_path, option):
  write_records(tmp_path / 'a', [{'kind': 'x', 'size': 1.5}])
  message = f"no feature is called 'sort'; pass one of these as {option}: kind (text), size (float)"
  label, ignored = ('sort', []) if option == '--label' else ('kind', ['size', 'sort'])
  with pytest.raises(DataError, match=re.escape(message)):
    inspect(tmp_path, label, ignored=ignored)


@pytest.mark.parametrize(('header', 'ignored'), [('kind', []), ('kind,n', ['n'])])
def test_a_label_alone_is_refused(tmp_path, header, ignored):
  write_table(tmp_path / 'a.csv', header, [header.replace('kind', k) for k in CLASSES])
  with pytest.raises(DataError, match="no feature to learn from besides the label 'kind'"):
    inspect(tmp_path, 'kind', ignored=ignored)


def test_what_is_ignored_is_not_checked(tmp_path):
  write_table(tmp_path / 'a.csv', 'kind;n;m', [f'{k};1,5;{i}' for i, k in enumerate(CLASSES)])
  with pytest.raises(DataError, match="column 'n' has the value '1,5'"):
    inspect(tmp_path, 'kind')
  notes = inspect(tmp_path, 'kind', ignored=['n']).notes
  assert notes == ('3 columns: the label, 1 numeric, 1 ignored',)


def test_notes_tell_how_a_table_is_read(tmp_path):
  rows = [f'{k},{n},p{i}' for i, (k, n) in enumerate(zip(CLASSES, ['NA', '2'] * 5, strict=True))]
  write_table(tmp_path / 'a.csv', 'kind,n,id', rows)
  assert inspect(tmp_path, 'kind').notes == (
    '3 columns: the label, 1 numeric (1 with gaps), 1 categorical',
    "! columns of text that differs in nearly all rows: 'id' ('p0'); leave them out with --ignore",
  )


@pytest.mark.parametrize('kind', ['csv', 'tfrecord', 'images'])
def test_labels_that_differ_in_spaces_or_case_only(tmp_path, kind):
  labels = ['cat', 'Cat', 'a dog', 'adog '] * 3
  if kind == 'csv':
    write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},{i}' for i, k in enumerate(labels)])
  elif kind == 'tfrecord':
    write_records(tmp_path / 'a', [{'kind': k, 'n': i} for i, k in enumerate(labels)])
  else:
    for i, k in enumerate(labels):
      write_image(tmp_path / k / f'{i}.png', 2, 2, i)
  data = inspect_images(tmp_path) if kind == 'images' else inspect(tmp_path, 'kind')
  (note,) = [note for note in data.notes if 'differ' in note]
  assert re.search(r"in spaces or case only: .*'(cat' and 'Cat|Cat' and 'cat)'.*; write them", note)
  assert re.search(r"'(a dog' and 'adog |adog ' and 'a dog)'", note)


def test_a_word_for_nothing_is_a_class_of_texts_with_a_warning(tmp_path):
  write_table(
    tmp_path / 'a.csv', 'kind,n', [f'{k},{i % 2}' for i, k in enumerate(CLASSES)] + ['None,1'] * 2
  )
  assert inspect(tmp_path, 'kind').notes[1:] == (
    "! the label 'kind' has classes that may stand for a missing label: 'None'; give those records "
    'no label if so',
  )


def test_files_without_records(tmp_path):
  write_records(tmp_path / 'a.tfrecord', [])
  with pytest.raises(DataError, match='hold no records'):
    inspect(tmp_path, 'kind')


def test_the_classes_are_checked(tmp_path):
  write_table(tmp_path / 'a.csv', 'kind,n', [*(f'{k},1' for k in CLASSES), ',1'])
  with pytest.raises(DataError, match="'kind' is missing in 1 of 11 records, the first of them"):
    inspect(tmp_path, 'kind')
  assert inspect(tmp_path, 'kind', 'drop').notes[0] == '2 columns: the label, 1 numeric'


def test_records_are_not_written_anew(tmp_path):
  write_records(tmp_path / 'a', [{'kind': k, 'n': 1} for k in CLASSES])
  assert inspect(tmp_path, 'kind').prepare(tmp_path / 'new') == tmp_path
  assert not (tmp_path / 'new').exists()


def test_tables_of_one_name_are_all_written_anew(tmp_path):
  write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},1' for k in CLASSES])
  (tmp_path / 'a.csv.gz').write_bytes(gzip.compress((tmp_path / 'a.csv').read_bytes()))
  (tmp_path / 'a.tsv').write_text((tmp_path / 'a.csv').read_text().replace(',', '\t'))
  folder = inspect(tmp_path, 'kind').prepare(tmp_path / 'new')
  texts = [path.read_text() for path in folder.iterdir()]
  assert texts == [(tmp_path / 'a.csv').read_text()] * 3


def test_what_is_written_anew_replaces_what_was_written_before(tmp_path):
  (tmp_path / 'new').mkdir()
  (tmp_path / 'new' / 'old.csv').touch()
  data = OwnData(tmp_path, 'csv', rewrite=lambda folder: (folder / 'b.csv').touch())
  folder = data.prepare(tmp_path / 'new')
  assert [path.name for path in folder.iterdir()] == ['b.csv']


def test_images_of_too_few_classes(tmp_path):
  (tmp_path / 'cat').mkdir()
  for i in range(12):
    (tmp_path / 'cat' / f'{i}.png').touch()
  with pytest.raises(DataError, match="has one class only, 'cat'"):
    inspect_images(tmp_path)
