import re

import pytest
from tfx.utils import io_utils

from pipelines import own_labels, own_tables
from pipelines.own_labels import OwnDataError
from tests.pipelines.helpers_own_data import write_table


def read(tmp_path, content, label='kind'):
  """What is in one file."""
  path = tmp_path / 'a.csv'
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return own_tables.read_tables([path], label)


@pytest.mark.parametrize(
  ('cell', 'value'),
  [
    ('1', 1),
    ('1.0', 1.0),
    ('x', 'x'),
    ('', None),
    ('-2e3', -2000.0),
    ('9223372036854775808', '9223372036854775808'),
  ],
)
def test_cells_have_the_narrowest_type(cell, value):
  parsed = own_tables.parse_cell(cell)
  assert parsed == value
  assert type(parsed) is type(value)


@pytest.mark.parametrize(
  ('cells', 'classes'),
  [
    (['1', '01', '2'], {'1': 2, '2': 1}),
    (['1', '1.0', '2'], {'1': 2, '2': 1}),
    (['1', '01', 'x'], {'1': 1, '01': 1, 'x': 1}),
  ],
  ids=['int', 'float', 'text'],
)
def test_cells_are_one_class_where_they_are_one_value_of_the_columns_type(tmp_path, cells, classes):
  table = read(tmp_path, 'n,kind\n' + ''.join(f'0,{cell}\n' for cell in cells))
  assert table.labels.records == classes


def test_labels_are_counted_in_all_rows_and_files(tmp_path):
  a = write_table(tmp_path / 'a.csv', 'kind,n', ['x,1'] * 150 + ['y,1', ',1', '', ',2'])
  b = write_table(tmp_path / 'b.csv', 'kind,n', ['y,1'] * 3)
  labels = own_tables.read_tables([a, b], 'kind').labels
  assert labels.records == {'x': 150, 'y': 4}
  assert labels.missing == 2
  assert labels.first_missing == f'in line 153 of {a}'


def test_text_with_line_breaks_is_a_cell(tmp_path):
  table = read(tmp_path, 'note,kind\r\n"one\r\ntwo, and ""three""","a\nb"\r\nx,y\r\n')
  assert table.labels.records == {'a\nb': 1, 'y': 1}
  assert table.types == {'note': 'text', 'kind': 'text'}


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (
      'n,kind\n1,café\n'.encode('latin-1'),
      'line 2 of .* is not UTF-8; convert .* iconv -f LATIN1 -t UTF-8 a.csv',
    ),
    ('n,kind\n1,a\n'.encode('utf-16'), 'line 1 of .* not UTF-8; .* iconv -f UTF-16 -t UTF-8'),
    ('n,kind\n1,2,a\n', 'line 2 of .* has 3 cells, and the header 2; give each row as many'),
    ('n,kind\n1,"a\n2,b\n', 'ends in a quoted text; close each quote'),
    ('n,kind\n5" wide,a\n6" wide,b\n', r'line 3 of .* is not CSV \(.*\); quote texts'),
    ('n,kind\r1,a\r', 'does not begin with a line of column names'),
    ('\nn,kind\n', 'does not begin with a line of column names'),
    ('"n\nm",kind\n1,a\n', 'does not begin with a line of column names'),
    ('', 'does not begin with a line of column names'),
    ('n,kind,n\n1,a,1\n', "has 2 columns called 'n'; give each a unique name"),
    ('"size, cm",kind\n1,a\n', "has a column called 'size, cm'; give it a name without a comma"),
    ('n,kind\n', 'has no rows; it needs a line of column names, then one line per record'),
    (
      'n,kind\n' + '1,2\n' * 150 + '1,2.5\n',
      "'kind' has the value 2.5, which is not a class; a label",
    ),
    ('n,kind\n1,2\n1,nan\n', "'kind' has the value nan, which is not a class; a label"),
  ],
  ids=[
    'latin-1',
    'UTF-16',
    'more cells',
    'open quote',
    'quotes in texts',
    'line ends of another kind',
    'empty first line',
    'line break in the header',
    'empty file',
    'a name twice',
    'comma in a name',
    'no rows',
    'a measure, late',
    'not a number',
  ],
)
def test_what_csv_example_gen_cannot_read_is_refused(tmp_path, content, message):
  with pytest.raises(OwnDataError, match=message):
    read(tmp_path, content)


def test_files_of_different_columns(tmp_path):
  a = write_table(tmp_path / 'a.csv', 'kind,n', ['x,1'])
  b = write_table(tmp_path / 'b.csv', 'n,kind', ['1,x'])
  with pytest.raises(OwnDataError, match=re.escape(f'{b} has other columns than a.csv; put files')):
    own_tables.read_tables([a, b], 'kind')


def test_a_label_of_too_many_values_ends_the_reading(tmp_path, monkeypatch):
  monkeypatch.setattr(own_labels, 'MOST_CLASSES', 3)
  with pytest.raises(OwnDataError, match="'kind' has more than 3 values"):
    read(tmp_path, 'kind,n\na,1\nb,1\nc,1\nd,1\n')


@pytest.mark.parametrize(
  ('header', 'plain', 'names'),
  [
    ('kind,home town', True, 'kind,home town'),
    ('\ufeffkind,n', False, 'kind,n'),
    ('"kind","n"', False, 'kind,n'),
    ('"",kind', False, 'column 1,kind'),
  ],
  ids=['plain', 'byte order mark', 'quoted', 'without a name'],
)
def test_csv_example_gen_finds_the_columns(tmp_path, header, plain, names):
  """Its reader of headers takes marks and quotes as parts of the names."""
  path = write_table(tmp_path / 'a.csv', header, ['x,"y\nz"', 'é,1'])
  found = own_tables.read_header(path)
  assert found.plain == plain
  assert ','.join(found.names) == names
  (tmp_path / 'new').mkdir()
  own_tables.write_plain([path], found, tmp_path / 'new')
  assert (tmp_path / 'new' / 'a.csv').read_text('utf-8') == f'{names}\nx,"y\nz"\né,1\n'
  assert io_utils.load_csv_column_names(str(tmp_path / 'new' / 'a.csv')) == names.split(',')
  assert (io_utils.load_csv_column_names(str(path)) == names.split(',')) == plain
