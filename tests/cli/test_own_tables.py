import csv
import gzip
import random
import re

import pytest
from tfx.utils import io_utils
from tfx_balance.cli import own_tables
from tfx_balance.errors import DataError
from tfx_bsl.coders import csv_decoder

from tests.cli.helpers_own_data import write_table


def read(tmp_path, content, label='kind'):
  """What is in one file."""
  path = tmp_path / 'a.csv'
  path.write_bytes(content if isinstance(content, bytes) else content.encode())
  return own_tables.read_tables([path], label)


def written(tmp_path, table):
  """The files that CsvExampleGen gets, as text."""
  (tmp_path / 'new').mkdir()
  table.write(tmp_path / 'new')
  paths = sorted((tmp_path / 'new').iterdir())
  for path in paths:
    assert io_utils.load_csv_column_names(str(path)) == [c.name for c in table.columns]
  return [path.read_text('utf-8') for path in paths]


@pytest.mark.parametrize(
  ('cells', 'classes'),
  [
    (['1', '2', '1'], {'1': 2, '2': 1}),
    (['1.0', '2', '1.0'], {'1': 2, '2': 1}),
    (['16777216.0', '16777217.0'], {'16777216': 1, '16777217': 1}),
    (['1', '01', 'x'], {'1': 1, '01': 1, 'x': 1}),
    (['1,5', '1,6'], {'1,5': 1, '1,6': 1}),
  ],
  ids=['int', 'float', 'floats that are one in float32', 'text', 'decimal commas are texts'],
)
def test_every_class_has_one_writing(tmp_path, cells, classes):
  table = read(tmp_path, 'n,kind\n' + ''.join(f'0,"{cell}"\n' for cell in cells))
  assert table.labels.records == classes
  rows = written(tmp_path, table)[0].splitlines()[1:]
  assert {row.split(',', 1)[1].strip('"') for row in rows} == set(classes)


@pytest.mark.parametrize(
  ('cells', 'cell', 'line', 'number'),
  [
    (['7', '007'], '007', 3, 7),
    (['007', '8'], '007', 2, 7),
    (['1e3', '2'], '1e3', 2, 1000),
    (['1', '+5'], '+5', 3, 5),
    (['1', '1.0'], '1.0', 3, 1),
    (['1_000', '2'], '1_000', 2, 1000),
    (['-0', '2'], '-0', 2, 0),
    (['9007199254740993.0', '2'], '9007199254740993.0', 2, 9007199254740992),
  ],
)
def test_a_number_that_is_not_written_plainly_is_no_class(tmp_path, cells, cell, line, number):
  message = (
    f"the label 'kind' has the value {cell!r} in line {line} of {tmp_path}/a.csv, which "
    f'CsvExampleGen reads as the number {number}; write that class as {number} everywhere, or make '
    f"all labels texts, such as 'class {cell}'"
  )
  with pytest.raises(DataError, match=re.escape(message)):
    read(tmp_path, 'n,kind\n' + ''.join(f'0,{cell}\n' for cell in cells))


def test_missing_values_of_numbers_become_empty_cells_and_words_in_texts_stay(tmp_path):
  words = ['NA', '?', 'nan', 'NULL', 'None', '', ' ', 'N/A']
  rows = ''.join(f'{word},{word},{1.5 + i},x\n' for i, word in enumerate(words))
  table = read(tmp_path, f'n,text,m,kind\n{rows}2,red,2,y\n')
  assert [column.type for column in table.columns] == ['int', 'text', 'float', 'text']
  lines = written(tmp_path, table)[0].splitlines()
  assert {line.split(',')[0] for line in lines[1:]} == {'', '2'}
  assert [line.split(',')[1] for line in lines[1:]] == [
    *('NA', '?', 'nan', 'NULL', 'None', '', '', 'N/A', 'red')
  ]


@pytest.mark.parametrize('seed', range(20))
def test_csv_example_gen_infers_the_types_that_were_told(tmp_path, seed):
  draw = random.Random(seed)
  pools = [
    ['1', '-7', '007'],
    ['NA', '', '?'],
    ['1.5', '1e3'],
    ['x', '9223372036854775808', '3,5 m'],
  ]
  chosen = [
    [cell for pool in draw.sample(pools, draw.randint(1, 2)) for cell in pool] for _ in '123'
  ]
  rows = [[draw.choice(cells) for cells in chosen] for _ in range(8)]
  with (tmp_path / 'a.csv').open('w', newline='') as file:
    csv.writer(file, delimiter=';').writerows([['a', 'b', 'c', 'kind'], *([*r, 'x'] for r in rows)])
  table = own_tables.read_tables([tmp_path / 'a.csv'], 'kind')
  inferrer = csv_decoder.ColumnTypeInferrer([c.name for c in table.columns], skip_blank_lines=True)
  (text,) = written(tmp_path, table)
  found = inferrer.create_accumulator()
  for row in list(csv.reader(text.splitlines()))[1:]:
    found = inferrer.add_input(found, [cell.encode() for cell in row])
  words = {'INT': 'int', 'FLOAT': 'float', 'STRING': 'text', 'UNKNOWN': 'empty'}
  assert {name: words[kind.name] for name, kind in found.items()} == {
    column.name: column.type for column in table.columns
  }


@pytest.mark.parametrize('word', ['nan', 'None', 'NA', ''])
def test_a_number_label_without_a_value_is_missing(tmp_path, word):
  table = read(tmp_path, f'n,kind\n1,1.0\n1,{word}\n1,2.0\n')
  assert table.labels.records == {'1': 1, '2': 1}
  assert table.labels.missing == 1
  assert table.labels.first_missing == f'in line 3 of {tmp_path}/a.csv'
  assert written(tmp_path, table) == ['n,kind\n1,1\n1,\n1,2\n']


@pytest.mark.parametrize('delimiter', [',', ';', '\t'])
@pytest.mark.parametrize('suffix', ['.csv', '.csv.gz'])
def test_files_of_any_delimiter_plain_or_compressed(tmp_path, delimiter, suffix):
  path = tmp_path / f'a{suffix}'
  rows = [['"n"', 'note', 'kind'], ['1', '"a, b; c\td"', 'x'], ['2', '5" wide', 'y']]
  text = ''.join(delimiter.join(row) + '\n' for row in rows).encode()
  path.write_bytes(gzip.compress(text) if suffix.endswith('.gz') else text)
  table = own_tables.read_tables([path], 'kind')
  assert table.labels.records == {'x': 1, 'y': 1}
  assert written(tmp_path, table) == ['n,note,kind\n1,"a, b; c\td",x\n2,"5"" wide",y\n']


def test_a_damaged_gzip_file(tmp_path):
  (tmp_path / 'a.csv.gz').write_bytes(gzip.compress(b'n,kind\n' + b'1,x\n' * 9)[:-9])
  with pytest.raises(DataError, match=r'a.csv.gz is damaged \(.*\); write it again'):
    own_tables.read_tables([tmp_path / 'a.csv.gz'], 'kind')


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
  (tmp_path / 'new').mkdir()
  table.write(tmp_path / 'new')
  text = (tmp_path / 'new' / '00000.csv').read_bytes().decode()
  assert text == 'note,kind\n"one\r\ntwo, and ""three""","a\nb"\nx,y\n'


def test_numbers_within_quotes_and_quotes_within_cells_are_read(tmp_path):
  rows = ''.join(f'"{i}","a ""b""",5" wide,{k}\n' for i, k in enumerate(['x', 'y'] * 600))
  table = read(tmp_path, 'n,note,size,kind\n' + rows)
  assert [column.type for column in table.columns] == ['int', 'text', 'text', 'text']
  assert table.columns[1].cells == {'a "b"': 1200}
  assert table.columns[2].cells == {'5" wide': 1200}
  assert table.columns[0].oddity == 'numbered'
  assert written(tmp_path, table)[0].splitlines()[1] == '0,"a ""b""","5"" wide",x'


@pytest.mark.parametrize(
  ('content', 'message'),
  [
    (
      'n,kind\n1,café\n'.encode('latin-1'),
      'line 2 of .* is not UTF-8; convert .* iconv -f LATIN1 -t UTF-8 a.csv',
    ),
    ('n,kind\n1,a\n'.encode('utf-16'), 'line 1 of .* not UTF-8; .* iconv -f UTF-16 -t UTF-8'),
    ('n,kind\n1,2,a\n', 'line 2 of .* has 3 cells, and the header 2; give each row as many'),
    ('n,kind\n1,"a\n2,b\n', 'begins in line 2 does not end; close each quote'),
    ('n,kind\n1,"a"b\n', 'line 2 of .* has text after a quote that closes its cell'),
    ('n,kind\r1,a\r', 'ends its lines with CR alone; convert it'),
    ('\nn,kind\n', 'has an empty first line; begin it with'),
    ('"n\nm",kind\n1,a\n', "has no column 'kind', for it begins with '\"n'; pass one"),
    ('', 'has an empty first line; begin it with'),
    ('1.5,x\n2.5,y\n', "begins with '1.5,x'; .* add a line of column names"),
    ('1.5;1.5;x\n2.5;1.0;y\n', "begins with '1.5;1.5;x'; .* add a line of column names"),
    ('n,kind,n\n1,a,1\n', "has 2 columns called 'n'; give each a unique name"),
    ('"size, cm",kind\n1,a\n', "has a column called 'size, cm'; give it a name without a comma"),
    ('n,kind\n', 'has no rows; it needs a line of column names, then one line per record'),
    (
      'n,kind\n' + '1,2\n' * 150 + '1,2.5\n',
      "'kind' has the value 2.5 in line 152 of .*, which is not a class; a label",
    ),
    ('n,kind\n1,2\n1,inf\n', "'kind' has the value inf in line 3 of .*, which is not a class"),
  ],
  ids=[
    'latin-1',
    'UTF-16',
    'more cells',
    'open quote',
    'text after a quote',
    'line ends of another kind',
    'empty first line',
    'line break in the header',
    'empty file',
    'no header',
    'no header, and a value twice',
    'a name twice',
    'comma in a name',
    'no rows',
    'a measure, late',
    'not finite',
  ],
)
def test_what_csv_example_gen_cannot_read_is_refused(tmp_path, content, message):
  with pytest.raises(DataError, match=message):
    read(tmp_path, content)


def test_files_of_different_columns(tmp_path):
  a = write_table(tmp_path / 'a.csv', 'kind,n', ['x,1'])
  b = write_table(tmp_path / 'b.csv', 'n,kind', ['1,x'])
  with pytest.raises(DataError, match=re.escape(f'{b} has other columns than a.csv; put files')):
    own_tables.read_tables([a, b], 'kind')


def test_a_label_of_too_many_values_ends_the_reading(tmp_path):
  rows = ''.join(f'k{i},1\n' for i in range(100_001))
  with pytest.raises(DataError, match="'kind' has more than 100,000 values"):
    read(tmp_path, f'kind,n\n{rows}')


@pytest.mark.parametrize(
  ('header', 'names'),
  [
    ('kind,home town', 'kind,home town'),
    ('\ufeffkind,n', 'kind,n'),
    ('"kind","n"', 'kind,n'),
    ('"",kind', 'column 1,kind'),
    ('kind, n ', 'kind,n'),
    ('kind,"a;b;c"', 'kind,a;b;c'),
  ],
  ids=['plain', 'byte order mark', 'quoted', 'without a name', 'spaces', 'semicolons in a name'],
)
def test_csv_example_gen_finds_the_columns(tmp_path, header, names):
  """Its reader of headers takes marks and quotes as parts of the names."""
  path = write_table(tmp_path / 'a.csv', header, ['x,"y\nz"', 'é,1'])
  table = own_tables.read_tables([path], 'kind')
  assert written(tmp_path, table) == [f'{names}\nx,"y\nz"\né,1\n']
