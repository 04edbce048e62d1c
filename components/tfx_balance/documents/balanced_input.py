"""`balanced_input.json`: which records of which class are in which file, for who reads batches.

The plan is the whole of what BalancedInputGen tells a Trainer. A file holds one class, or several
rare ones; the records of a class are contiguous in a file, so a record is found from its class and
its number alone, and every order of reading is arithmetic.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfx_balance.documents.json_document import REMEDY, Document, parse_document
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue

PLAN_NAME = 'balanced_input.json'
PLAN_FORMAT = 'tfx_balance.balanced_input'
PLAN_VERSION = 1
PLAN = Document(
  PLAN_FORMAT,
  PLAN_VERSION,
  {
    'label': str,
    'split': str,
    'seed': 'int',
    'classes': ['class'],
    'natural': {str: ['count']},
    'files': [{'path': str, 'bytes': 'count', 'segments': [['count']]}],
  },
)


@dataclass(frozen=True)
class FileSegment:
  """Records of one class that follow each other in a file.

  Attributes:
    class_index: position of the class in `InputPlan.classes`.
    records: how many, 1 or more.
  """

  class_index: int
  records: int


@dataclass(frozen=True)
class InputFile:
  """One TFRecord file.

  Attributes:
    path: relative to the artifact's root, with forward slashes.
    segments: what it holds, in order.
    n_bytes: of its records, decompressed and without frames: what holding it in memory takes.
  """

  path: str
  segments: tuple[FileSegment, ...]
  n_bytes: int

  def __post_init__(self) -> None:
    _check_path(self.path)

  @property
  def records(self) -> int:
    """How many records the file holds."""
    return sum(segment.records for segment in self.segments)


@dataclass(frozen=True)
class InputPlan:
  """What a set of class-sharded files holds.

  Attributes:
    label: name of the feature that the classes are values of.
    classes: in canonical order (see `ClassValue.sort_key`); a class's index is its position here.
    natural: records per class, int [n_classes], of each input split before the splits were merged.
    files: at least one.
    seed: that the records were laid out with; the default seed of what reads them.
    split: the name of the split that the files are in.
  """

  label: str
  classes: tuple[ClassValue, ...]
  natural: Mapping[str, tuple[int, ...]]
  files: tuple[InputFile, ...]
  seed: int = 0
  split: str = 'train'
  records: tuple[int, ...] = field(init=False)

  def __post_init__(self) -> None:
    _check_classes(self.classes)
    _check_natural(self.natural, len(self.classes))
    object.__setattr__(self, 'records', _class_records(self.files, len(self.classes)))
    for i, n in enumerate(self.records):
      if n == 0:
        raise DataError(
          f'class {self.classes[i]} has 0 records in the files; every class of a plan needs one or '
          f'more: leave the class out of the plan, or give it records'
        )

  def to_json(self) -> dict[str, Any]:
    """Returns the plan as JSON data; `from_json` reads it back.

    `classes[i]` is `{type, value, records}`, `files[j]` is `{path, bytes, segments}` with
    `segments` a list of `[class index, records]` in the order of the file.
    """
    return {
      'format': PLAN_FORMAT,
      'version': PLAN_VERSION,
      'label': self.label,
      'split': self.split,
      'seed': self.seed,
      'classes': [
        {**value.to_json(), 'records': n}
        for value, n in zip(self.classes, self.records, strict=True)
      ],
      'natural': {name: list(counts) for name, counts in self.natural.items()},
      'files': [
        {
          'path': file.path,
          'bytes': file.n_bytes,
          'segments': [[segment.class_index, segment.records] for segment in file.segments],
        }
        for file in self.files
      ],
    }

  def dumps(self) -> str:
    """Returns the plan as text: equal plans give equal text, a line a file or class."""
    data = self.to_json()
    lines = [f'  {json.dumps(key)}: {_lines(value)}' for key, value in data.items()]
    return '{\n' + ',\n'.join(lines) + '\n}\n'

  @classmethod
  def from_json(cls, data: Any, source: str = 'the plan') -> InputPlan:
    """Returns the plan that `to_json` wrote.

    Args:
      data: JSON data, or its text.
      source: where it is from, for messages.

    Raises:
      DataError: if it is no plan, of a newer version, or contradicts itself.
    """
    found = parse_document(data, source, PLAN)
    try:
      plan = cls(
        label=found['label'],
        classes=tuple(ClassValue.from_json(value) for value in found['classes']),
        natural={name: tuple(n) for name, n in found['natural'].items()},
        files=tuple(_file(file) for file in found['files']),
        seed=found['seed'],
        split=found['split'],
      )
      stated = tuple(value['records'] for value in found['classes'])
    except (KeyError, ValueError) as error:
      raise DataError(
        f'{source} is not whole ({type(error).__name__}: {error}); {REMEDY}'
      ) from error
    for value, n, m in zip(plan.classes, stated, plan.records, strict=True):
      if n != m:
        raise DataError(
          f'class {value} has {n} records in {source}, and {m} in the files that it names; both '
          f'must be equal: write it again with BalancedInputGen'
        )
    return plan


def is_plan(data: Any) -> bool:
  """Returns whether JSON data says that it is a plan."""
  return isinstance(data, Mapping) and data.get('format') == PLAN_FORMAT


def _check_path(path: str) -> None:
  """Checks that a path stays in the artifact; raises DataError if it does not."""
  parts = path.replace('\\', '/').split('/')
  if not path or not parts[0] or '..' in parts or ':' in parts[0]:
    raise DataError(
      f'file {path!r} of the plan is not in the artifact; a path must be relative to its root and '
      f"without '..': write the plan again with BalancedInputGen"
    )


def _file(data: Mapping[str, Any]) -> InputFile:
  segments = tuple(FileSegment(index, n) for index, n in data['segments'])
  return InputFile(data['path'], segments, data['bytes'])


def _lines(value: Any) -> str:
  """Returns a list of dicts as one line an item, anything else as one line."""
  if not isinstance(value, list):
    return json.dumps(value)
  return '[\n' + ',\n'.join(f'    {json.dumps(item)}' for item in value) + '\n  ]'


def _check_classes(classes: Sequence[ClassValue]) -> None:
  if not classes:
    raise DataError('the plan has 0 classes; it needs one or more')
  for left, right in itertools.pairwise(classes):
    if not left < right:
      raise ConfigError(
        f'class {right} follows class {left}; classes must be in canonical order, each once: '
        f'sort them'
      )


def _check_natural(natural: Mapping[str, Sequence[int]], n_classes: int) -> None:
  if not natural:
    raise ConfigError('natural={} names no split; give the counts of at least one input split')
  for name, counts in natural.items():
    if len(counts) != n_classes or min(counts) < 0:
      raise ConfigError(
        f'split {name!r} has natural counts {list(counts)[:20]}; it needs {n_classes}, one a '
        f'class, each 0 or more'
      )


def _class_records(files: Sequence[InputFile], n_classes: int) -> tuple[int, ...]:
  records = [0] * n_classes
  for file in files:
    for segment in file.segments:
      if not 0 <= segment.class_index < n_classes or segment.records < 1:
        raise DataError(
          f'file {file.path} has a segment of {segment.records} records of class number '
          f'{segment.class_index}; it needs 1 record or more, of a class from 0 to {n_classes - 1}'
        )
      records[segment.class_index] += segment.records
  return tuple(records)
