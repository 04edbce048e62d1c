"""Requirements on the user's own labels for training and testing a model."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.errors import DataError

FEWEST_RECORDS = 10  # with fewer, an 8:1:1 split leaves eval or test empty
MOST_CLASSES = 100_000  # the model has one output per class

MISSING_WORDS = ('', '?', 'na', 'n/a', '#n/a', '<na>', 'nan', 'null', 'none')
"""Texts for a missing number, in lower case."""

MISSING_LABEL = ('error', 'own', 'drop')
"""Treatments of records without a label, as in StratifiedSplitter."""
OWN = ('own', 'own_stratum')
"""Words for a class of records without a label: the second is the earlier one."""


def add_missing_label(parser: argparse.ArgumentParser) -> None:
  """Adds the argument --missing_label to a parser."""
  parser.add_argument(
    '--missing_label',
    '--missing-label',
    choices=(*MISSING_LABEL, *OWN[1:]),
    metavar=f'{{{",".join(MISSING_LABEL)}}}',
    default='error',
    help='records without a label: reject (default), use as an additional class, or leave out',
  )


@dataclass(frozen=True)
class LabelCounts:
  """The values of a label in all records.

  Attributes:
    records: Number of records of each class (text, bytes or a number).
    missing: Number of records without a label.
    first_missing: Location of the first of these; empty if there are none.
  """

  records: Mapping[Any, int]
  missing: int = 0
  first_missing: str = ''


def check_number_of_classes(label: str, n_classes: int) -> None:
  """Raises a DataError if a label has too many values for the model."""
  if n_classes > MOST_CLASSES:
    raise DataError(
      f'the label {label!r} has more than {MOST_CLASSES:,} values, and the model takes no more '
      'classes; pass another --label, or group the values first'
    )


def check_classes(label: str, counts: LabelCounts, missing_label: str) -> None:
  """Raises a DataError unless the records can be split and two or more classes be learned.

  Args:
    label: Name of the label.
    counts: Number of records of each value.
    missing_label: One of MISSING_LABEL, or of OWN.
  """
  if counts.missing and missing_label == 'error':
    total = counts.missing + sum(counts.records.values())
    raise DataError(
      f'the label {label!r} is missing in {counts.missing:,} of {total:,} records, the first of '
      f'them {counts.first_missing}; fill it in, or pass --missing_label drop or own'
    )
  records = dict(counts.records)
  if missing_label in OWN and counts.missing:
    records['(missing)'] = counts.missing
  total = sum(records.values())
  if total < FEWEST_RECORDS:
    raise DataError(
      f'there are {total} records with a label, too few for train, eval and test; '
      f'provide {FEWEST_RECORDS} or more'
    )
  if len(records) == 1:
    (value,) = records
    name = value.decode('utf-8', 'backslashreplace') if isinstance(value, bytes) else value
    raise DataError(
      f'the label {label!r} has one class only, {name!r}; add records of another class, or pass '
      'another label'
    )
  if sum(n > 1 for n in records.values()) < 2:
    raise DataError(
      f'the label {label!r} has {len(records):,} classes, and fewer than 2 of them have more than '
      'one record, so none can be both learned and tested; pass another label, or group its values '
      'first'
    )
  for value in records:
    if isinstance(value, bytes) and value.decode('utf-8', 'ignore').encode() != value:
      raise DataError(
        f'the label {label!r} has the value {value!r}, which is not UTF-8, as Evaluator '
        'requires; write the labels as UTF-8'
      )


def is_missing(text: str) -> bool:
  """Returns whether a text stands for a missing number."""
  return text.strip().lower() in MISSING_WORDS


def name_some(names: Sequence[str]) -> str:
  """Returns the first three names, and how many there are more."""
  return ', '.join(names[:3]) + (f', and {len(names) - 3:,} more' if names[3:] else '')


def find_doubtful(label: str, counts: LabelCounts) -> list[str]:
  """Returns warnings of texts that may be one class, or no class."""
  texts = [
    v.decode('utf-8', 'backslashreplace') if isinstance(v, bytes) else v for v in counts.records
  ]
  by_text: dict[str, list[str]] = {}
  for text in texts:
    by_text.setdefault(''.join(str(text).split()).casefold(), []).append(repr(text))
  found = {
    'has classes that differ in spaces or case only: {}; write them one way if one class': [
      ' and '.join(group) for group in by_text.values() if len(group) > 1
    ],
    'has classes that may stand for a missing label: {}; give those records no label if so': [
      group[0] for text, group in by_text.items() if is_missing(text)
    ],
  }
  return [f'! the label {label!r} {t.format(name_some(v))}' for t, v in found.items() if v]
