"""The command `tfx-balance`, as a person runs it."""

import csv
import json
import random
import re
import subprocess
import sys
import textwrap

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx_balance.cli.__main__ import main
from tfx_balance.documents.class_distribution import SIDECAR_NAME

from tests.cli.helpers_own_data import write_image, write_records, write_table
from tests.test_imports import PIPELINE_ONLY, ROOT, packages_loaded_by

KINDS = ['cat', 'cat', 'cat', 'dog'] * 5


@pytest.fixture
def run(capsys):
  """Runs the command; returns its exit code, the lines it printed, and its error."""

  def run_command(*arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, [' '.join(line.split()) for line in out.splitlines()], err

  return run_command


def write_rows(path, rows):
  """Writes columns by name to a file of Parquet."""
  pq.write_table(pa.table(rows), path)
  return path


def test_a_table_is_shown_with_its_columns_classes_and_what_is_odd(tmp_path, run):
  rows = [f'{k},{i % 3 or ""},same' for i, k in enumerate(KINDS)]
  write_table(tmp_path / 'a.csv', 'kind,n,place', rows)
  code, lines, err = run('inspect', tmp_path, '--label', 'kind')
  assert (code, err) == (0, '')
  assert lines[0] == f'{tmp_path}: CSV, 1 file, 20 records'
  assert 'n numeric int 3 7' in lines
  assert 'place categorical text 1 0' in lines
  assert '3 columns: the label, 1 numeric (1 with gaps), 1 categorical' in lines
  assert 'cat 75.0% 15' in lines
  assert 'largest / smallest 3.0' in lines
  assert 'dog ±0.33 / ±0.26 ±0.50 / ±0.50' in lines
  assert lines[-1] == (
    'A part tells the recall of a class to ±0.1 by so many of its records: 93 at 0.5 and 37 at 0.9.'
  )
  odd = "! columns with one value in all rows: 'place' ('same'); leave them out with --ignore"
  assert odd in lines
  code, lines, _ = run('inspect', tmp_path / 'a.csv', '--label', 'kind', '--ignore', 'place')
  assert 'place ignored text 1 0' in lines
  assert odd not in lines


def test_a_label_without_other_columns_is_shown(tmp_path, run):
  write_table(tmp_path / 'a.csv', 'kind', KINDS)
  code, lines, err = run('inspect', tmp_path, '--label', 'kind')
  assert (code, err) == (0, '')
  assert 'cat 75.0% 15' in lines


def test_the_page_shows_what_is_printed(tmp_path, monkeypatch, capsys):
  (tmp_path / 'data').mkdir()
  rows = [f'{k},{i % 3 or ""},here' for i, k in enumerate(KINDS)]
  write_table(tmp_path / 'data' / 'a.csv', 'species,size,place', rows)
  monkeypatch.chdir(tmp_path)
  assert main(['inspect', 'data/', '--label', 'species']) == 0
  printed = textwrap.indent(capsys.readouterr().out, ' ' * 4)
  assert printed in (ROOT / 'docs/command_line.md').read_text()


def test_without_a_label_columns_of_few_values_are_proposed(tmp_path, run):
  write_table(tmp_path / 'a.csv', 'kind,x', [f'{k},{i / 7}' for i, k in enumerate(KINDS)])
  code, lines, _ = run('inspect', tmp_path)
  assert code == 0
  assert 'To count classes, pass a column as --label: kind (2 values)' in lines


def test_records_are_shown(tmp_path, run):
  write_records(tmp_path / 'a', [{'kind': k, 'n': 1, 'v': [1.5, 2.5]} for k in KINDS])
  code, lines, _ = run('inspect', tmp_path, '--label', 'kind')
  assert code == 0
  assert lines[0] == f'{tmp_path}: TFRecord, 1 file, 20 records'
  assert 'v numeric float 1+ 0' in lines
  assert 'dog 25.0% 5' in lines


def test_labels_that_are_not_utf_8_are_shown_and_refused(tmp_path, run):
  write_records(tmp_path / 'a', [{'kind': k, 'n': 1} for k in (b'caf\xe9', b'bar') * 8])
  code, lines, err = run('inspect', tmp_path, '--label', 'kind')
  assert code == 1
  assert 'caf\\xe9 50.0% 8' in lines
  assert "has the value b'caf\\xe9', which is not UTF-8" in err


def test_images_by_folder_are_shown(tmp_path, run):
  for i, kind in enumerate(KINDS):
    write_image(tmp_path / kind / f'{i}.png', 2, 2, i)
  code, lines, _ = run('inspect', tmp_path)
  assert code == 0
  assert lines[0] == f'{tmp_path}: images, 20 files in 2 folders'
  assert 'dog 25.0% 5' in lines


def test_parquet_is_shown(tmp_path, run):
  columns = {
    'kind': pa.array(KINDS).dictionary_encode(),
    'n': [None if i % 4 == 0 else i for i in range(20)],
    'x': [float('nan') if i == 3 else i / 2 for i in range(20)],
    'v': [[i, i] for i in range(20)],
    'day': pa.array(range(20), pa.date32()),
  }
  write_rows(tmp_path / 'a.parquet', columns)
  code, lines, _ = run('inspect', tmp_path, '--label', 'kind')
  assert code == 0
  assert lines[0] == f'{tmp_path}: Parquet, 1 file, 20 records'
  assert 'kind the label text 2 0' in lines
  assert 'n numeric int 15 5' in lines
  assert 'x numeric float 19 1' in lines
  assert 'v numeric int 20 0' in lines
  assert 'day categorical text 20 0' in lines
  assert 'cat 75.0% 15' in lines


@pytest.mark.parametrize(
  ('kinds', 'message'),
  [
    ([1.5, 2.0] * 10, "the label 'kind' has the value 1.5, which is not a class"),
    (
      ['a', None] * 10,
      "the label 'kind' is missing in 10 of 20 records, the first of them row 2",
    ),
  ],
)
def test_labels_of_parquet_that_are_no_classes(tmp_path, run, kinds, message):
  write_rows(tmp_path / 'a.parquet', {'kind': kinds, 'n': range(20)})
  code, _, err = run('inspect', tmp_path, '--label', 'kind')
  assert code == 1
  assert err.startswith(f'tfx-balance inspect: {message}')
  assert err.count('\n') == 1


@pytest.mark.parametrize(
  ('files', 'message'),
  [
    ({'a.parquet': {'kind': [1]}, 'b.parquet': {'k': [1]}}, 'b.parquet has other columns than a'),
    ({'a.parquet': {'kind': []}}, 'a.parquet has no rows'),
    ({'a.parquet': None}, 'a.parquet is not a readable Parquet file'),
  ],
  ids=['other columns', 'no rows', 'another format'],
)
def test_parquet_files_that_cannot_be_read(tmp_path, run, files, message):
  for name, columns in files.items():
    if columns is None:
      (tmp_path / name).write_text('kind,n\n')
    else:
      write_rows(tmp_path / name, columns)
  code, _, err = run('inspect', tmp_path, '--label', 'kind')
  assert code == 1
  assert message in err


def test_a_label_of_no_record_is_said_after_the_tables(tmp_path, run):
  write_table(tmp_path / 'a.csv', 'kind,n', [',1'] * 20)
  code, lines, err = run('inspect', tmp_path, '--label', 'kind')
  assert code == 1
  assert '20 records have no label' in lines
  assert err.startswith("tfx-balance inspect: the label 'kind' is missing in 20 of 20 records")


def test_what_cannot_be_learned_is_said_after_the_tables(tmp_path, run):
  write_table(tmp_path / 'a.csv', 'kind,n', [*(f'{k},1' for k in KINDS), ',1'])
  code, lines, err = run('inspect', tmp_path, '--label', 'kind')
  assert code == 1
  assert '1 records have no label' in lines
  assert err.startswith("tfx-balance inspect: the label 'kind' is missing in 1 of 21 records")
  assert run('inspect', tmp_path, '--label', 'kind', '--missing-label', 'drop')[0] == 0


@pytest.mark.parametrize('kind', ['CSV', 'TFRecord'])
def test_the_tables_of_files_need_no_library_of_a_pipeline(tmp_path, kind):
  if kind == 'CSV':
    write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},1' for k in KINDS])
  else:
    write_records(tmp_path / 'a', [{'kind': k, 'n': 1} for k in KINDS])
  arguments = ['inspect', str(tmp_path), '--label', 'kind']
  loaded = packages_loaded_by(f'from tfx_balance.cli.__main__ import main; main({arguments})')
  assert loaded <= {'tfx_balance', 'numpy'} if kind == 'CSV' else not loaded & PIPELINE_ONLY


@pytest.fixture
def records(tmp_path):
  """Two folders, of which each has a file of the same name."""
  for folder in ('one', 'two'):
    (tmp_path / folder).mkdir()
    rows = [{'kind': k, 'n': i, 'pair': i // 2} for i, k in enumerate(KINDS)]
    write_records(tmp_path / folder / 'a.gz', rows)
  return [tmp_path / 'one', tmp_path / 'two' / 'a.gz']


def test_files_are_split_without_a_pipeline(tmp_path, run, records):
  output = tmp_path / 'out'
  options = ['--label', 'kind', '--splits', 'train=3,test=1', '--output', output, '--seed', 7]
  code, lines, err = run('split', *records, *options)
  assert (code, err) == (0, '')
  assert 'cat 75.0% 30 23 7' in lines or 'cat 75.0% 30 22 8' in lines
  assert lines[-1] == f'The splits are in {output}'
  sidecar = json.loads((output / SIDECAR_NAME).read_text())
  assert {name: split['records'] for name, split in sidecar['splits'].items()} == {
    'train': 30,
    'test': 10,
  }
  assert sidecar['parameters']['seed'] == 7
  code, _, err = run('split', *records, *options)
  assert code == 2
  assert err == (
    f'tfx-balance split: {output} exists and is not an empty folder; pass another --output\n'
  )


def test_splits_in_time_with_groups(tmp_path, run, records):
  output = tmp_path / 'out'
  options = ['--label', 'kind', '--group-by', 'pair', '--order-by', 'n', '--output', output]
  code, _, err = run('split', *records, *options)
  assert (code, err) == (0, '')
  parameters = json.loads((output / SIDECAR_NAME).read_text())['parameters']
  assert (parameters['group_by'], parameters['order_by']) == (['pair'], 'n')


@pytest.mark.parametrize(
  ('arguments', 'code', 'message'),
  [
    (['nowhere', '--label', 'kind'], 2, 'nowhere does not exist; pass files, or a folder of them'),
    (['a.csv', '--label', 'kine'], 2, "'kine' is not a column of a.csv; pass one of"),
    (['a.csv'], 2, '--label is not given; pass the column that holds the class'),
    (['one', 'b', '--label', 'kind'], 2, 'some of the files are compressed and others not'),
    (['one', '--label', 'kine'], 1, "feature 'kine' is in none of the 20 records"),
    (['one', '--label', 'kind', '--splits', 'train=1,test=0'], 2, "weight 0 of split 'test' must"),
  ],
)
def test_splits_that_cannot_be_made(tmp_path, run, records, monkeypatch, arguments, code, message):
  write_table(tmp_path / 'a.csv', 'kind,n', ['a,1'])
  write_records(tmp_path / 'b', [{'kind': 'a'}])
  monkeypatch.chdir(tmp_path)
  found, _, err = run('split', *arguments)
  assert found == code
  assert message in err
  assert err.count('\n') == 1


def test_a_package_that_is_missing_is_named_with_what_installs_it(run, records, monkeypatch):
  for name in [name for name in sys.modules if name.split('.')[0] == 'tfx']:
    monkeypatch.delitem(sys.modules, name)
  monkeypatch.setitem(sys.modules, 'tfx', None)
  code, _, err = run('split', *records, '--label', 'kind')
  assert code == 2
  assert err == (
    "tfx-balance split: tfx is not installed; run pip install 'tfx-balance[tfx]', or uv pip "
    'install where pip cannot resolve TFX\n'
  )


@pytest.mark.parametrize(
  ('options', 'message'),
  [
    ('--at-least 1 --group-by n', '--at-least and --group-by do not combine: whole groups'),
    ('--at-least 1 --order-by n', '--at-least and --order-by do not combine: the times'),
    ('--at-least tset=1', "--at-least names split 'tset', which is not in"),
    ('--folds 30', '--folds 30 leaves fold-'),
    ('--folds -1', '--folds -1 must be a whole number from 0'),
    ('--at-least -1', '--at-least -1 must be a whole number from 0'),
  ],
)
def test_messages_name_the_options_of_the_command(tmp_path, run, options, message):
  write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},{i}' for i, k in enumerate(KINDS)])
  code, _, err = run('split', tmp_path / 'a.csv', '--label', 'kind', *options.split())
  assert code
  assert err.startswith(f'tfx-balance split: {message}')
  assert 'at_least=' not in err


@pytest.mark.parametrize('command', ['inspect', 'split'])
def test_what_parquet_needs_is_pyarrow_alone(tmp_path, run, command, monkeypatch):
  write_rows(tmp_path / 'a.parquet', {'kind': KINDS})
  for name in ('tfx_balance.cli.own_parquet', 'tfx_balance.cli.parquet_rows'):
    monkeypatch.delitem(sys.modules, name, raising=False)
  monkeypatch.setitem(sys.modules, 'pyarrow', None)
  code, _, err = run(command, tmp_path / 'a.parquet', '--label', 'kind')
  assert code == 2
  assert err == f'tfx-balance {command}: pyarrow is not installed; run pip install pyarrow\n'


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ([], 'the following arguments are required: COMMAND'),
    (['inspekt'], "invalid choice: 'inspekt'"),
    (['split', 'a', '--label', 'k', '--splits', 'train'], "'train' is not NAME=WEIGHT,...; write"),
    (['split', 'a', '--label', 'k', '--splits', 'a=1,b=1,a=2'], "names 'a' twice; name it once"),
    (['split', 'a', '--label', 'k', '--at-least', 'a=1,a=2'], "names 'a' twice; name it once"),
    (['balance', 'a', '--augment', 'b=1,b=2'], "names 'b' twice; name it once"),
    (['split', 'a', '--label', 'k', '--at-least', 'x'], "'x' is neither N nor NAME=N,... of whole"),
    (['split', 'a', '--label', 'k', '--at-least', 'test=1.5'], 'whole numbers; write it as 1 or t'),
    (['report'], 'usage: tfx-balance report'),
  ],
)
def test_arguments_that_make_no_sense(arguments, message, capsys):
  with pytest.raises(SystemExit, match='2'):
    main(arguments)
  assert message in capsys.readouterr().err


def test_the_report_is_that_of_the_module(tmp_path, run, records):
  run('split', *records, '--label', 'kind', '--output', tmp_path / 'out')
  page = tmp_path / 'r.html'
  assert run('report', tmp_path / 'out', '-o', page) == (0, [str(page)], '')
  assert '<html' in page.read_text()
  code, _, err = run('report', tmp_path / 'one')
  assert code == 2
  assert err.startswith(f'tfx-balance report: {tmp_path}/one is there, but none of these is in it')


def test_many_values_are_not_counted_and_a_reader_may_stop_reading(tmp_path, run):
  write_table(tmp_path / 'a.csv', 'kind,n', [f'{k},{i}' for i, k in enumerate(KINDS * 200)])
  assert 'n numeric int 1,000+ 0' in run('inspect', tmp_path, '--label', 'kind')[1]
  write_table(tmp_path / 'a.csv', ','.join(f'column-{i}' for i in range(5000)), [',' * 4999])
  command = [sys.executable, '-m', 'tfx_balance.cli', 'inspect', str(tmp_path)]
  with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
    assert process.stdout.readline().endswith(b'CSV, 1 file, 1 records\n')
    process.stdout.close()
    assert process.stderr.read() == b''
  assert process.returncode == 0


def test_the_command_is_installed_under_its_name(tmp_path):
  scripts = '[project.scripts]\ntfx-balance = "tfx_balance.cli.__main__:command"\n'
  assert scripts in (ROOT / 'pyproject.toml').read_text()
  command = [sys.executable, '-m', 'tfx_balance.cli', 'inspect', str(tmp_path / 'nowhere')]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 1
  assert done.stderr == (
    f'tfx-balance inspect: {tmp_path}/nowhere does not exist; pass a file, or a folder of files\n'
  )


@pytest.mark.parametrize(
  ('name', 'data', 'message'),
  [
    ('a.csv', b'kind,n\ra,1\rb,2\r', 'a.csv ends its lines with CR alone; convert it'),
    ('a.csv', b'\r\nkind,n\r\na,1\r\n', 'a.csv has an empty first line; begin it with'),
    ('a.zip', b'PK', 'a.zip is an archive or a workbook, which is not read; unpack it'),
  ],
)
@pytest.mark.parametrize('command', ['inspect', 'split'])
def test_files_of_other_kinds_are_refused_by_name(tmp_path, run, command, name, data, message):
  (tmp_path / name).write_bytes(data)
  code, _, err = run(command, tmp_path / name, '--label', 'kind')
  assert code == 1
  assert message in err


def test_a_text_column_has_na_as_a_class_and_not_as_a_gap(tmp_path, run):
  rows = [f'{k},{n}' for k, n in [('NA', 'NA'), ('DE', '1'), ('', '2')] * 9]
  write_table(tmp_path / 'a.csv', 'kind,n', rows)
  _, lines, _ = run('inspect', tmp_path, '--label', 'kind', '--missing-label', 'drop')
  assert 'kind the label text 3 9' in lines
  assert 'n numeric int 3 9' in lines
  assert 'NA 50.0% 9' in lines


def test_a_column_that_numbers_the_rows_is_named(tmp_path, run):
  rows = [f'{k},{7 * i},{i % 99}' for i, k in enumerate(['a', 'b'] * 600)]
  write_table(tmp_path / 'a.csv', 'kind,id,n', rows)
  _, lines, _ = run('inspect', tmp_path, '--label', 'kind')
  assert [line for line in lines if "seem to number the rows: 'id'; leave" in line]
  write_table(tmp_path / 'a.csv', 'kind,id,n', [*rows, 'a,0,1'])
  _, lines, _ = run('inspect', tmp_path, '--label', 'kind')
  assert not [line for line in lines if 'number the rows' in line]


def test_a_number_that_is_twice_in_parquet_numbers_no_rows(tmp_path, run):
  numbers = list(range(70_000))
  write_rows(tmp_path / 'a.parquet', {'id': numbers, 'twice': [*numbers[:-1], 5]})
  _, lines, _ = run('inspect', tmp_path)
  assert [line for line in lines if "seem to number the rows: 'id'; leave" in line]


@pytest.mark.parametrize('kind', ['CSV', 'Parquet'])
def test_columns_that_give_the_label_away_are_named(tmp_path, run, kind):
  draw = random.Random(1)
  rows = []
  for i in range(4_000):
    fraud = i % 40 == 7
    row = {
      'kind': 'fraud' if fraud else 'fine',
      'amount': draw.random(),
      'score': draw.random() + 0.93 * fraud,
      'refund': draw.random() if fraud else None,
      'state': draw.choice(['a', 'closed'] if fraud else ['a', 'b']),
      'place': draw.choice('xyz'),
      'level': draw.choice([1, 2]) if not fraud else draw.choice([1, 2, 3, 3, 3]),
    }
    rows.append(row)
  if kind == 'CSV':
    with (tmp_path / 'a.csv').open('w', newline='') as file:
      writer = csv.DictWriter(file, rows[0])
      writer.writeheader()
      writer.writerows(rows)
  else:
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / 'a.parquet', row_group_size=700)
  code, lines, _ = run('inspect', tmp_path, '--label', 'kind')
  assert code == 0
  (line,) = [line for line in lines if 'give the label away' in line]
  assert re.fullmatch(
    r"! columns that may give the label away: 'score' \(AUC of its numbers 0.99\d for 'f\w+'\), "
    r"'refund' \(AUC of its gaps 1.000 for 'f\w+'\), 'state' \(5\d% of 'fraud' have values of "
    r"their own, such as 'closed'\), and 1 more; leave them out with --ignore if they are not "
    r'known before the label is',
    line,
  )
  ignored = [f'--ignore={name}' for name in ('score', 'refund', 'state', 'level')]
  assert 'give the label away' not in str(run('inspect', tmp_path, '--label', 'kind', *ignored)[1])


def test_a_terminal_is_told_that_loading_takes_time(tmp_path, run, records, monkeypatch):
  monkeypatch.setattr(sys.stderr, 'isatty', lambda: True, raising=False)
  options = ['--label', 'kind', '--output', tmp_path / 'out']
  assert run('split', *records, *options)[2].startswith('Loading TFX, which takes a minute or two')
