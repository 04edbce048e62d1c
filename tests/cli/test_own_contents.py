import re

import numpy as np
import pytest
from tfx_balance.cli.own_contents import (
  KINDS,
  OwnColumn,
  cell_kind,
  cell_kinds,
  describe,
  find_oddities,
)
from tfx_balance.errors import DataError


def column(*cells, name='x'):
  made = OwnColumn(name)
  made.add(np.array([cell.encode() for cell in cells]))
  return made


@pytest.mark.parametrize(
  ('kind', 'cells'),
  [
    ('int', ['1', '007', '+5', ' 7', '-9223372036854775808']),
    ('float', ['1.0', '-2e3', '.5', '3.4e38']),
    ('infinite', ['inf', '-Infinity', '1e39', '+nan']),
    ('missing', ['', ' ', 'NA', 'N/A', '?', 'nan', 'NaN', 'null', 'None', '#N/A', '<NA>']),
    ('comma', ['1,5', '-0,841', '1.234,5', '1,234']),
    ('text', ['x', '1,', '12y', '9223372036854775808', '٣', 'a,b']),
  ],
)
def test_kinds_of_cells(kind, cells):
  assert {cell: cell_kind(cell) for cell in cells} == dict.fromkeys(cells, kind)
  found = cell_kinds(np.array([cell.encode() for cell in cells]))
  assert [KINDS[i] for i in found] == [kind] * len(cells)


@pytest.mark.parametrize(
  ('cells', 'kind'),
  [
    (['1', 'NA', '2'], 'int'),
    (['1', '', '2.5'], 'float'),
    (['1', 'x'], 'text'),
    (['NA', '', '?'], 'empty'),
  ],
)
def test_a_column_has_the_narrowest_type_of_its_values(cells, kind):
  assert column(*cells).type == kind


@pytest.mark.parametrize('cells', [['1,5', '2'], ['1.5', 'inf'], ['1,5', 'NA']])
def test_numbers_with_a_comma_or_without_an_end_are_refused_by_column(cells):
  found = next(cell for cell in cells if cell_kind(cell) in ('comma', 'infinite'))
  message = (
    f"column 'my size' has the value {found!r}; write numbers with a decimal point and without "
    'commas, leave a cell empty where there is no finite number, or leave the column out with '
    "--ignore 'my size'"
  )
  with pytest.raises(DataError, match=re.escape(message)):
    find_oddities([column(*cells, name='my size')])


def test_commas_among_texts_are_texts():
  assert find_oddities([column('1,5', 'see 2', '1,5', 'see 2', 'see 2', 'see 2', 'see 2')]) == []


def test_odd_columns_are_one_warning_a_kind():
  texts = [f'p{i}' for i in range(20)]
  columns = [
    *(column(*texts, name=f'id {i}') for i in range(5)),
    column(*['1'] * 20, name='same'),
    column(*['1'] * 15, '12y', name='mixed'),
    column('1,5', '2,5', 'x', name='commas'),
    column('NA', '', name='gap'),
    column('0', '1', '2', name='column 1'),
    column('red', 'blue', 'red', name='fine'),
    column(*map(str, range(20)), name='number'),
  ]
  assert find_oddities(columns) == [
    "! columns without a name, such as an index: 'column 1'; leave them out with --ignore",
    "! columns without a value: 'gap'; fill them in, or leave them out with --ignore",
    "! columns with one value in all rows: 'same'; leave them out with --ignore",
    "! columns of text that is mostly numbers, each a category now: 'mixed' ('12y'), "
    "'commas' ('x'); correct the others",
    "! columns of text that differs in nearly all rows: 'id 0' ('p0'), 'id 1' ('p0'), "
    "'id 2' ('p0'), and 2 more; leave them out with --ignore",
  ]


def test_a_column_of_many_texts_stops_keeping_them():
  many = column(*(f'p{i}' for i in range(5_000)), *['p0'] * 50_000)
  assert many.oddity == 'unique'
  assert len(many.cells) < 2_000


def test_the_line_on_columns():
  types = {'a': 'int', 'b': 'float', 'c': 'text', 'd': 'empty', 'e': 'text', 'kind': 'text'}
  assert describe(types, 'kind', ['e', 'e'], ['a']) == (
    '6 columns: the label, 2 numeric (1 with gaps), 1 categorical, 1 empty, 1 ignored'
  )
