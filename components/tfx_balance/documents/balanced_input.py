"""`balanced_input.json`: the files of BalancedInputGen, with the records of each class in them.

A Trainer reads nothing else of BalancedInputGen. A file holds one class, or several
rare ones; the records of a class are contiguous in a file, so a record is found from its class and
its number alone, and every order of reading is arithmetic.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, NamedTuple

from tfx_balance.documents.json_document import Count, Document, parse_json
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue

PLAN_NAME = 'balanced_input.json'
_TF_EXAMPLE = 'FORMAT_TF_EXAMPLE'


class FileSegment(NamedTuple):
  """Records of one class that follow each other in a file.

  Attributes:
    class_index: Position of the class in `InputPlan.classes`.
    records: Number of records, 1 or more.
  """

  class_index: Count
  records: Count


@dataclass(frozen=True)
class PlanFile:
  """One TFRecord file.

  Attributes:
    path: Path relative to the artifact's root, with forward slashes.
    n_bytes: Number of bytes of its records, decompressed and without frames: what holding it in
      memory takes.
    segments: Records that it holds, in order.
  """

  path: str
  n_bytes: Count = field(metadata={'key': 'bytes'}, kw_only=True)
  segments: tuple[FileSegment, ...]

  def __post_init__(self) -> None:
    _check_path(self.path)

  @cached_property
  def records(self) -> int:
    """The number of records in the file, summed once: each of its segments asks for it."""
    return sum(segment.records for segment in self.segments)


@dataclass(frozen=True)
class InputPlan(Document):
  """Contents of a set of class-sharded files.

  Attributes:
    label: Name of the feature that the classes are values of; of several, their names.
    features: Features of 0 and 1 whose names are the labels of label sets; none where these are
      values of one feature.
    payload_format: Type of the records, in TFX's words; that of tf.Example is not written.
    split: Name of the split that the files are in.
    seed: Seed that the records were laid out with; the default seed of what reads them.
    classes: Classes in canonical order (see `ClassValue.sort_key`), or label sets, each once; the
      index of a class is its position.
    natural: Records per class, int [n_classes], of each input split before the splits were merged.
    files: Files, at least one.
    records: Records per class, int [n_classes].
  """

  FORMAT: ClassVar[str] = 'tfx_balance.balanced_input'
  VERSION: ClassVar[int] = 2
  NAME: ClassVar[str] = 'the plan'

  label: str
  features: tuple[str, ...] = field(default=(), kw_only=True)
  payload_format: str = field(default=_TF_EXAMPLE, kw_only=True)
  split: str = field(default='train', kw_only=True)
  seed: int = field(default=0, kw_only=True)
  classes: tuple[ClassValue, ...]
  natural: Mapping[str, tuple[Count, ...]]
  files: tuple[PlanFile, ...]
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

  def values_json(self) -> dict[str, Any]:
    """Returns the fields as JSON data, and the records of each class.

    `classes[i]` is `{type, value, records}`, `files[j]` is `{path, bytes, segments}` with
    `segments` a list of `[class index, records]` in the order of the file.
    """
    data = super().values_json()
    if self.payload_format == _TF_EXAMPLE:
      del data['payload_format']
    for row, n in zip(data['classes'], self.records, strict=True):
      row['records'] = n
    return data

  @classmethod
  def from_json(cls, data: Any, source: str | None = None) -> InputPlan:
    """Returns the plan that `to_json` wrote.

    Args:
      data: JSON data, or its text.
      source: Path of the file, for messages.

    Raises:
      DataError: if it is no plan, of a newer version, or contradicts itself.
    """
    source = source or cls.NAME
    data = parse_json(data, source)
    plan = super().from_json(data, source)
    for value, row, m in zip(plan.classes, data['classes'], plan.records, strict=True):
      if row.get('records') != m:
        raise DataError(
          f'class {value} has {row.get("records")} records in {source}, and {m} in the files that '
          f'it names; both must be equal: write it again with BalancedInputGen'
        )
    return plan


def _check_path(path: str) -> None:
  """Checks that a path stays in the artifact; raises DataError if it does not."""
  parts = path.replace('\\', '/').split('/')
  if not path or not parts[0] or '..' in parts or ':' in parts[0]:
    raise DataError(
      f'file {path!r} of the plan is not in the artifact; a path must be relative to its root and '
      f"without '..': write the plan again with BalancedInputGen"
    )


def _check_classes(classes: Sequence[ClassValue]) -> None:
  if not classes:
    raise DataError('the plan has 0 classes; it needs one or more')
  if classes[0].kind == 'set':  # in the order of the scan, which is that of the sets' text
    if len(set(classes)) < len(classes):
      raise ConfigError('a label set is in the plan twice; each must be there once')
    return
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


def _class_records(files: Sequence[PlanFile], n_classes: int) -> tuple[int, ...]:
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
