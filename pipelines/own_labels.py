"""What a person's own labels must be, so that a model can be trained and tested on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FEWEST_RECORDS = 10  # at 8:1:1, fewer leave eval or test without a record
MOST_CLASSES = 100_000  # the model has an output for each

MISSING_LABEL = ('error', 'own_stratum', 'drop')
"""What may become of records without a label; StratifiedSplitter's words."""


class OwnDataError(ValueError):
  """The folder or the label cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class LabelCounts:
  """The values of a label in all records.

  Attributes:
    records: By class (text, bytes or a number); not the records without one.
    missing: Records without a label.
    first_missing: Where the first of these is; empty if there are none.
  """

  records: Mapping[Any, int]
  missing: int = 0
  first_missing: str = ''


def check_number_of_classes(label: str, n_classes: int) -> None:
  """Raises an OwnDataError if a label has more values than a model has outputs."""
  if n_classes > MOST_CLASSES:
    raise OwnDataError(
      f'the label {label!r} has more than {MOST_CLASSES:,} values, and the model takes no more '
      'classes; pass another --label, or put the values into groups first'
    )


def check_classes(label: str, counts: LabelCounts, missing_label: str) -> None:
  """Raises an OwnDataError unless the records can be split, and a model learn two classes or more.

  Args:
    label: The label's name.
    counts: Of its values.
    missing_label: One of MISSING_LABEL.
  """
  if counts.missing and missing_label == 'error':
    total = counts.missing + sum(counts.records.values())
    raise OwnDataError(
      f'the label {label!r} is missing in {counts.missing:,} of {total:,} records, the first of '
      f'them {counts.first_missing}; fill it in, or pass --missing_label drop or own_stratum'
    )
  records = dict(counts.records)
  if missing_label == 'own_stratum' and counts.missing:
    records['(missing)'] = counts.missing
  total = sum(records.values())
  if total < FEWEST_RECORDS:
    raise OwnDataError(
      f'there are {total} records with a label, too few for train, eval and test; '
      f'give {FEWEST_RECORDS} or more'
    )
  if len(records) == 1:
    (value,) = records
    name = value.decode('utf-8', 'backslashreplace') if isinstance(value, bytes) else value
    raise OwnDataError(
      f'the label {label!r} has one class only, {name!r}; add records of another class, or pass '
      'another label'
    )
  if sum(n > 1 for n in records.values()) < 2:
    raise OwnDataError(
      f'the label {label!r} has {len(records):,} classes, and fewer than 2 of them have more than '
      'one record, so none can be both learned and tested; pass another label, or put its values '
      'into groups first'
    )
  for value in records:
    if isinstance(value, bytes) and not is_text(value):
      raise OwnDataError(
        f'the label {label!r} has the value {value!r}, which is not UTF-8, and Evaluator takes no '
        'other text; write the labels as UTF-8'
      )


def is_text(value: bytes) -> bool:
  """Returns whether the bytes are UTF-8."""
  try:
    value.decode('utf-8')
  except UnicodeDecodeError:
    return False
  return True
