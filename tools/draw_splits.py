"""Draws the pictures of docs/splitting.md, each from a split that this package makes.

A picture has a row per split and a square per record, in the color of its class or labels.
"""

import sys
from html import escape
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy as np
from tfx_balance import stratified_indices
from tfx_balance.modes.extend import extend_split
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_shares import SplitShares

FOLDER = Path(__file__).resolve().parent.parent / 'docs' / 'splits'
COLORS = {'a': '#4477aa', 'b': '#ee9944', 'c': '#66aa77'}
IN_TIME = {'train': 6, 'eval': 2, 'test': 2}
_SIDE, _STEP, _ROW, _LEFT, _EDGE = 15, 18, 25, 74, 8
_STYLE = 'font-family="sans-serif" font-size="12"'


class Record(NamedTuple):
  """A square.

  Attributes:
    label: Class, which gives the color; of several labels, one letter each.
    text: Letter in the square.
    is_new: Whether the record came later, which leaves the square hollow.
    place: Number of squares from the left; None for the next place.
  """

  label: str
  text: str = ''
  is_new: bool = False
  place: Optional[int] = None


Rows = Dict[str, Sequence[Record]]


def draw(rows: Rows) -> str:
  """Returns the rows as SVG; a row without records is a heading."""
  places = [
    record.place if record.place is not None else i
    for records in rows.values()
    for i, record in enumerate(records)
  ]
  width = _LEFT + _STEP * (max(places) + 1) + _EDGE
  height = _ROW * len(rows) + 2 * _EDGE
  parts = [
    f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
    f'viewBox="0 0 {width} {height}" {_STYLE}>',
    f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
  ]
  for number, (name, records) in enumerate(rows.items()):
    top = _EDGE + _ROW * number
    weight = '' if records else ' font-weight="bold"'
    parts.append(f'<text x="{_EDGE}" y="{top + 15}"{weight}>{escape(name)}</text>')
    for i, record in enumerate(records):
      parts += _square(record, _LEFT + _STEP * (i if record.place is None else record.place), top)
  return '\n'.join([*parts, '</svg>', ''])


def _square(record: Record, left: int, top: int) -> List[str]:
  color = COLORS.get(record.label[:1], '#bbbbbb')
  fill, ink = ('#ffffff', color) if record.is_new else (color, '#ffffff')
  square = (
    f'<rect x="{left + 1}" y="{top + 4}" width="{_SIDE - 2}" height="{_SIDE - 2}" fill="{fill}" '
    f'stroke="{color}" stroke-width="2"/>'
  )
  if len(record.label) > 1:
    part = _SIDE / len(record.label)
    return [
      f'<rect x="{left + i * part}" y="{top + 3}" width="{part}" height="{_SIDE}" '
      f'fill="{COLORS[label]}"/>'
      for i, label in enumerate(record.label)
    ]
  if not record.text:
    return [square]
  center = left + _SIDE / 2
  text = f'<text x="{center}" y="{top + 14.5}" font-size="10" text-anchor="middle" fill="{ink}">'
  return [square, f'{text}{escape(record.text)}</text>']


def split_rows(records: Sequence[Record], **arguments: Any) -> Rows:
  """Returns the records of each split that `stratified_indices` makes by their labels."""
  found = stratified_indices([record.label for record in records], **arguments)
  return {name: [records[i] for i in rows] for name, rows in found.items()}


def classes(**records: int) -> List[Record]:
  """Returns so many records of each class, class by class."""
  return [Record(label) for label, n in records.items() for _ in range(n)]


def shares() -> Rows:
  """Classes of 30, 10 and 10 records by weights."""
  return split_rows(classes(a=30, b=10, c=10), splits={'train': 6, 'eval': 2, 'test': 2})


def counts() -> Rows:
  """A test split of a number of records."""
  return split_rows(classes(a=30, b=10, c=10), counts={'test': 10}, rest='train')


def joint() -> Rows:
  """Strata of a class and a site, the letter."""
  records = [Record(label, site) for label in 'ab' for site in 'xy' for _ in range(10)]
  names = [record.label + record.text for record in records]
  found = stratified_indices(names, {'train': 8, 'test': 2})
  return {name: [records[i] for i in rows] for name, rows in found.items()}


def predefined() -> Rows:
  """A column that says the split of some records, by its letter."""
  records = [*(Record(label, letter) for label in 'ab' for letter in 'tttt'), *classes(a=20, b=10)]
  sets = [record.text or 'no' for record in records]
  values = {'t': 'test'}
  return split_rows(records, splits={'train': 8, 'eval': 2}, split_by=sets, split_values=values)


def folds() -> Rows:
  """Five folds and a test split."""
  return split_rows(classes(a=30, b=10, c=10), splits={'train': 8, 'test': 2}, folds=5)


def stable() -> Rows:
  """Splits before and after growth; those that came later are hollow."""
  first = [*classes(a=24, b=12)]
  grown = [*first, *(record._replace(is_new=True) for record in classes(a=4, b=2))]
  options = {'splits': {'train': 6, 'test': 2}, 'mode': 'stable', 'seed': 5}
  rows: Rows = {}
  for title, records in (('at first', first), ('with six records more', grown)):
    found = split_rows(records, key=[str(i) for i in range(len(records))], **options)
    rows[title] = []
    rows.update({name + ' ' * (title != 'at first'): of for name, of in found.items()})
  return rows


def extend() -> Rows:
  """Exact splits, and those that extend them; what came later is hollow."""
  first, more = {'a': 18, 'b': 9}, {'a': 8, 'b': 3}
  shares = {'train': 6, 'eval': 2, 'test': 2}
  rows: Rows = {'at first': [], **split_rows(classes(**first), splits=shares)}
  old = np.array([[sum(r.label == label for r in rows[name]) for name in shares] for label in more])
  strata = [(ClassValue('bytes', label.encode()),) for label in more]
  new = np.array(list(more.values()), np.int64)
  added = extend_split(strata, old, new, SplitShares.parse(shares)).quotas - old
  rows['with eleven records more'] = []
  for i, name in enumerate(shares):
    came = classes(**dict(zip(more, added[:, i].tolist())))
    rows[name + ' '] = [*rows[name], *(record._replace(is_new=True) for record in came)]
  return rows


def bins() -> Rows:
  """Numbers, from small to large by place, in the colors of three quantile bins."""
  values = [i * i for i in range(42)]
  records = [Record('aaabbbccc'[i * 9 // 42], place=i) for i in range(42)]
  found = stratified_indices(values, {'train': 6, 'eval': 2, 'test': 2}, bins=3)
  return {name: [records[i] for i in rows] for name, rows in found.items()}


def groups() -> Rows:
  """Groups, each a letter, that stay whole."""
  letters = ('aaab', 'aab', 'aaaa', 'bb', 'aac', 'ac', 'aabb', 'aaa', 'bc', 'aaac', 'ab', 'aabc')
  records = [
    Record(label, 'ABCDEFGHIJKL'[i]) for i, labels in enumerate(letters) for label in labels
  ]
  options = {'splits': {'train': 6, 'eval': 2, 'test': 2}}
  return split_rows(records, group_by=[record.text for record in records], **options)


def multilabel() -> Rows:
  """Records of one to three labels."""
  sets = {'a': 14, 'b': 6, 'ab': 10, 'ac': 6, 'bc': 3, 'abc': 3}
  records = classes(**sets)
  found = stratified_indices(
    [list(record.label) for record in records], {'train': 3, 'test': 1}, multilabel=True
  )
  return {name: [records[i] for i in rows] for name, rows in found.items()}


def forward() -> Rows:
  """Folds in the order of time, and the test split behind them."""
  return split_rows(in_time(), splits={'train': 8, 'test': 2}, order_by=range(40), folds=4)


def in_time() -> List[Record]:
  """Forty records of two classes in the order of time, from left to right."""
  labels = 'aabaaaabaabaaaaaabaaabaaaaabbaababbbabab'
  return [Record(label, place=i) for i, label in enumerate(labels)]


def order() -> Rows:
  """One cut of all records by time."""
  return split_rows(in_time(), splits=IN_TIME, order_by=range(40))


def order_strata() -> Rows:
  """A cut of each class by time."""
  return split_rows(in_time(), splits=IN_TIME, order_by=range(40), within='strata')


def embargo() -> Rows:
  """One cut of all records by time, and the records that an embargo leaves out."""
  rows = split_rows(in_time(), splits=IN_TIME, order_by=range(40), embargo=3)
  kept = {record for records in rows.values() for record in records}
  left = [record._replace(is_new=True) for record in in_time() if record not in kept]
  return {**rows, 'left out': left}


def groups_in_time() -> Rows:
  """Groups, each a letter, in the order of their latest records."""
  letters = 'AABACBADBECDBEFEDGFHGEFIHGIJHJIKJKLIKLLM'
  records = [
    Record(record.label, text, place=place)
    for place, (record, text) in enumerate(zip(in_time(), letters))
  ]
  return split_rows(records, splits=IN_TIME, order_by=range(40), group_by=list(letters))


DRAWN = (
  shares,
  counts,
  joint,
  predefined,
  folds,
  stable,
  extend,
  groups,
  multilabel,
  bins,
  order,
  order_strata,
  embargo,
  groups_in_time,
  forward,
)
PICTURES: Dict[str, Callable[[], Rows]] = {function.__name__: function for function in DRAWN}


def main(folder: Path = FOLDER) -> None:
  """Writes a file for each picture."""
  folder.mkdir(parents=True, exist_ok=True)
  for name, rows in PICTURES.items():
    (folder / f'{name}.svg').write_text(draw(rows()), encoding='utf-8')


if __name__ == '__main__':
  main(*map(Path, sys.argv[1:]))
