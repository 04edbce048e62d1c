"""Files that `tfx-balance split` writes without TFX: each row or image once, byte for byte."""

import csv
import gc
import gzip
import io
import os
import tracemalloc
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.cli import coded_cells, csv_rows, file_split
from tfx_balance.cli.__main__ import main
from tfx_balance.cli.coded_cells import CodedColumn
from tfx_balance.errors import DataError

from tests.cli.helpers_own_data import write_image
from tests.test_imports import PIPELINE_ONLY, packages_loaded_by

KINDS = ['cat'] * 80 + ['dog'] * 18 + ['"an ""owl"""', 'owl']


def split(path, *arguments):
  """Returns the exit code of a split of a path to a folder beside it."""
  out = path.parent / 'out'
  return main(['split', str(path), '--output', str(out), *arguments]), out


def table(rows, end='\r\n'):
  return ''.join(row + end for row in ['kind,n,text', *rows]).encode()


ROWS = [f'{kind},{i % 7},"{i}, ""said""\r\nline"' for i, kind in enumerate(KINDS)]


def test_rows_of_csv_are_copied_byte_for_byte_once_and_in_their_order(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_bytes(b'\xef\xbb\xbf' + table(ROWS))
  code, out = split(path, '--label', 'kind')
  assert code == 0
  assert sorted(os.listdir(out)) == ['eval.csv', 'test.csv', 'train.csv']
  header = b'\xef\xbb\xbfkind,n,text\r\n'
  places = []
  for name, n in (('train', 80), ('eval', 10), ('test', 10)):
    data = (out / f'{name}.csv').read_bytes()
    assert data.startswith(header)
    rows = data.removeprefix(header).replace(b'\r\nline"\r\n', b'\r\nline"\0').split(b'\0')[:-1]
    assert len(rows) == n
    own = [ROWS.index(row.decode()) for row in rows]
    assert own == sorted(own)
    assert Counter(KINDS[i] for i in own)['cat'] == n * 8 // 10
    places += own
  assert sorted(places) == list(range(100))


def test_the_same_rows_and_seed_give_the_same_files(tmp_path):
  written = []
  for i, seed in enumerate('112'):
    path = tmp_path / str(i) / 'a.csv.gz'
    path.parent.mkdir()
    path.write_bytes(gzip.compress(table(ROWS), mtime=i))
    _, out = split(path, '--label', 'kind', '--seed', seed)
    written.append({each.name: each.read_bytes() for each in out.iterdir()})
  assert written[0] == written[1] != written[2]
  assert gzip.decompress(written[0]['test.csv.gz']).startswith(b'kind,n,text\r\n')


def test_a_last_line_without_its_end_does_not_join_the_next_files_first(tmp_path):
  (tmp_path / 'in').mkdir()
  for name in 'ab':
    rows = table([f'{k},{name}{i},x' for i, k in enumerate(KINDS[:98])], '\n').rstrip(b'\n')
    (tmp_path / 'in' / f'{name}.csv').write_bytes(rows)
  _, out = split(tmp_path / 'in', '--label', 'kind', '--splits', 'train=1,test=1')
  rows = [row for path in out.iterdir() for row in csv.reader(path.read_text().splitlines())]
  assert len(rows) == 2 * 98 + 2
  assert {len(row) for row in rows} == {3}


def read_blocks(data, block):
  """Returns the rows of two columns, read a block at a time, and what is left without an end."""
  got, rest = [], b''
  for at in range(0, len(data), block):
    rest += data[at : at + block]
    # A quote at the end may be half of two, so that what follows it is not known.
    found = csv_rows.find_rows(rest, ord(','), 2, 'x', 2)
    if len(found.starts):
      columns = [found.coded(i) for i in range(2)]
      cells = [[column.distinct[i] for i in column.codes] for column in columns]
      got += map(list, zip(*cells, strict=True))
      rest = rest[int(found.separators[-1, -1]) + 1 :]
  return got, rest


@given(
  st.lists(st.lists(st.text('a",\n\r é', max_size=9), min_size=2, max_size=2), max_size=30),
  st.sampled_from(['\n', '\r\n']),
  st.integers(1, 40),
)
def test_rows_are_those_of_the_csv_module(rows, end, block):
  text = io.StringIO()
  csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
  assert read_blocks(text.getvalue().encode(), block) == (rows, b'')


@given(st.lists(st.sampled_from('a",\n"'), max_size=20).map(''.join), st.integers(1, 25))
def test_any_text_is_read_or_refused_as_by_the_csv_module(text, block):
  text += '\n'
  try:
    wanted = [row for row in csv.reader(io.StringIO(text, newline=''), strict=True) if row]
  except csv.Error:
    wanted = None
  if wanted and {len(row) for row in wanted} != {2}:
    wanted = None
  try:
    got, rest = read_blocks(text.encode(), block)
  except DataError:
    got, rest = None, b''
  assert (None if rest.strip(b'\n') else got) == wanted


@pytest.mark.parametrize(
  ('rows', 'message'),
  [
    ([b'a,1,x', b'b,2'], 'line 3 of .* has 2 cells, and the header 3'),
    ([b'a,1,x', b'b,2,"5" pipe'], 'line 3 of .* has text after a quote that closes its cell'),
    ([b'a,1,x', b'b,2,"open'], 'begins in line 3 does not end; close each quote'),
    ([b'a,1,x', b',2,x'], "label 'kind' is missing in 1 of 2 rows, the first of them row 2"),
    ([b'\xe9,1,x', b'b,2,x'], 'line 2 of .* is not UTF-8; convert it from its encoding'),
  ],
)
def test_rows_at_fault_are_refused_before_anything_is_published(tmp_path, capsys, rows, message):
  path = tmp_path / 'a.csv'
  path.write_bytes(b'\n'.join([b'kind,n,text', *rows, b'']))
  code, out = split(path, '--label', 'kind')
  assert code == 1
  with pytest.raises(DataError, match=message):
    raise DataError(capsys.readouterr().err)
  assert [each.name for each in tmp_path.iterdir()] == ['a.csv']
  assert not out.exists()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
  path = tmp_path / 'a.csv'
  path.write_bytes(table(ROWS))

  def fails(*_):
    raise OSError('No space left on device')

  monkeypatch.setattr(csv_rows, '_created', fails)
  assert split(path, '--label', 'kind')[0] == 1
  assert os.listdir(tmp_path) == ['a.csv']


def test_an_output_that_exists_is_refused(tmp_path, capsys):
  path = tmp_path / 'a.csv'
  path.write_bytes(table(ROWS))
  (tmp_path / 'out').mkdir()
  (tmp_path / 'out' / 'mine').touch()
  assert split(path, '--label', 'kind')[0] == 2
  assert 'out exists and is not an empty folder; pass another --output' in capsys.readouterr().err


def test_groups_times_folds_and_several_columns(tmp_path):
  path = tmp_path / 'a.csv'
  days = [f'2024-01-{1 + i % 25:02d}' for i in range(100)]
  data = [f'{"ab"[i % 2]},{"xy"[i % 4 // 2]},p{i // 5},{day}' for i, day in enumerate(days)]
  path.write_text('\n'.join(['kind,side,patient,day', *data, '']))

  def rows(*arguments):
    out = path.parent / 'out'
    assert main(['split', str(path), '--output', str(out), *arguments]) == 0
    found = {
      each.stem: list(csv.DictReader(each.read_text().splitlines())) for each in out.iterdir()
    }
    for each in out.iterdir():
      each.unlink()
    return found

  found = rows('--label', 'kind', '--group-by', 'patient', '--folds', '5')
  assert sorted(found) == [f'fold-{i}' for i in range(5)]
  assert sum(len({row['patient'] for row in each}) for each in found.values()) == 20
  found = rows('--label', 'kind', '--order-by', 'day')
  assert max(row['day'] for row in found['train']) <= min(row['day'] for row in found['test'])
  found = rows('--stratify-by', 'kind,side', '--splits', 'train=4,test=1')
  assert set(Counter((r['kind'], r['side']) for r in found['test']).values()) == {5}


def test_each_class_has_the_least_number_that_is_asked_for(tmp_path):
  path = tmp_path / 'a.csv'
  path.write_bytes(table([f'{k},1,x' for k in ['a'] * 90 + ['b'] * 3]))
  _, out = split(path, '--label', 'kind', '--at-least', '1')
  assert all(b'\nb,' in each.read_bytes() for each in out.iterdir())


def test_a_word_for_a_gap_is_a_class_among_texts_and_a_gap_among_numbers(tmp_path, capsys):
  path = tmp_path / 'a.csv'
  path.write_bytes(table([f'{k},1,x' for k in ['NA', 'DE'] * 20]))
  assert split(path, '--label', 'kind')[0] == 0
  path.write_bytes(table([f'{k},1,x' for k in ['NA', '7'] * 20]))
  code, _ = split(path, '--label', 'kind', '--output', str(tmp_path / 'b'))
  assert code == 1
  assert "'kind' is missing in 20 of 40 rows" in capsys.readouterr().err


def test_rows_of_parquet_are_each_in_one_split_with_their_schema(tmp_path):
  rows = {
    'kind': pa.array(['a', 'b', None, 'a'] * 250).dictionary_encode(),
    'id': range(1000),
    'at': pa.array(range(1000), pa.timestamp('us', 'UTC')),
  }
  given = pa.table(rows).replace_schema_metadata({'own': 'note'})
  path = tmp_path / 'a.parquet'
  pq.write_table(given, path, row_group_size=90)
  assert split(path, '--label', 'kind')[0] == 1
  code, out = split(path, '--label', 'kind', '--missing-label', 'drop')
  assert code == 0
  parts = [pq.read_table(out / f'{name}.parquet') for name in ('train', 'eval', 'test')]
  assert [part.num_rows for part in parts] == [600, 75, 75]
  assert all(part.schema.equals(given.schema, check_metadata=True) for part in parts)
  kept = np.concatenate([part['id'].to_numpy() for part in parts])
  assert sorted(kept.tolist()) == [i for i in range(1000) if i % 4 != 2]
  more = ['--order-by', 'at', '--missing-label', 'own', '--output', str(tmp_path / 't')]
  code, _ = split(path, '--label', 'kind', *more)
  assert code == 0
  assert pq.read_table(tmp_path / 't' / 'test.parquet')['id'].to_pylist() == [*range(900, 1000)]


def test_images_are_linked_into_a_folder_for_each_class(tmp_path, monkeypatch):
  for i, kind in enumerate(['cat', 'cat', 'cat', 'dog'] * 5):
    write_image(tmp_path / 'in' / kind / f'{i}.png', 2, 2, i)
  code, out = split(tmp_path / 'in', '--splits', 'train=4,test=1')
  assert code == 0
  names = [path.relative_to(out).parts[:2] for path in out.rglob('*.png')]
  assert Counter(names) == {
    **{('train', 'cat'): 12, ('train', 'dog'): 4},
    **{('test', 'cat'): 3, ('test', 'dog'): 1},
  }
  assert all(path.stat().st_nlink == 2 for path in out.rglob('*.png'))

  def refuses(*_):
    raise OSError('Invalid cross-device link')

  monkeypatch.setattr(file_split.os, 'link', refuses)
  code, out = split(tmp_path / 'in', '--output', str(tmp_path / 'copies'))
  copies = list((tmp_path / 'copies').rglob('*.png'))
  assert len(copies) == 20
  for path in copies:
    assert path.read_bytes() == (tmp_path / 'in' / path.parent.name / path.name).read_bytes()
    assert path.stat().st_nlink == 1


def test_a_split_of_tables_and_images_needs_numpy_alone():
  loaded = packages_loaded_by('import tfx_balance.cli.file_split')
  assert not {*PIPELINE_ONLY, 'tensorflow', 'pyarrow', 'rich', 'jinja2'} & set(loaded)


def test_classes_take_few_bytes_a_row():
  n = 1_000_000
  column = CodedColumn('kind', {'a': 0, 'b': 1}, [np.arange(n, dtype=np.int32) % 2])
  tracemalloc.start()
  names, codes, kept = file_split.classes_of([column, column], 'error')
  _, peak = tracemalloc.get_traced_memory()
  tracemalloc.stop()
  assert (names, codes[:3].tolist(), kept.all()) == (['a, a', 'b, b'], [0, 1, 0], True)
  assert peak < 26 * n


def test_the_texts_of_groups_are_not_held_while_splits_are_drawn(tmp_path, monkeypatch):
  path = tmp_path / 'a.csv'
  path.write_bytes(table([f'a,1,p{i}' for i in range(20)]))
  held, draw = [], file_split.draw

  def watched(*arguments, **columns):
    found = [one for one in gc.get_objects() if isinstance(one, CodedColumn)]
    held.append({one.name: len(one.codes) for one in found})
    return draw(*arguments, **columns)

  monkeypatch.setattr(file_split, 'draw', watched)
  assert split(path, '--label', 'kind', '--group-by', 'text')[0] == 0
  assert held == [{'kind': 1, 'text': 0}]


def test_one_text_tells_that_no_word_is_a_gap(monkeypatch):
  asked = []
  monkeypatch.setattr(coded_cells, 'cell_kind', lambda cell: asked.append(cell) or 'text')
  column = CodedColumn('name', {text: i for i, text in enumerate(['Ann', 'NA', ' ', 'Bo'])})
  assert column.missing().tolist() == [False, False, True, False]
  assert asked == ['Ann']
