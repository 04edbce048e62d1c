"""What splits have in common, as a person reads it: counts, shares, and a few records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import apache_beam as beam
import tensorflow as tf

from tfx_balance.class_distribution_validator.record_keys import record_keys
from tfx_balance.errors import DataError
from tfx_balance.plan.checks import cut
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.common_keys import CommonKey, Leakage, Place
from tfx_balance.scan.fixed_layout import ValueKind
from tfx_balance.scan.scan import InputFile
from tfx_balance.scan.strata import Payload
from tfx_balance.tfrecord.files import changed, read_frames
from tfx_balance.tfrecord.work_files import write_json

TEXT_WIDTH = 200
_VALUE_WIDTH = 40
_VALUES = 4


class Hashed(Protocol):
  """A file whose keys were hashed."""

  @property
  def file(self) -> InputFile:
    """The file."""

  @property
  def records(self) -> int:
    """That have a key."""

  @property
  def without_key(self) -> int:
    """That have none."""

  @property
  def kind(self) -> ValueKind | None:
    """Of the values."""

  @property
  def feature_names(self) -> tuple[str, ...]:
    """Of its first records."""


Wanted = tuple[InputFile, dict[int, tuple[int, int]]]
"""A file, and the positions of records in it, in order, with the halves of their key's hash."""


class ShowRecords(beam.DoFn):
  """Turns a file and places in it into ((file rank, position), text)."""

  def __init__(self, feature: str | None, payload: Payload) -> None:
    self._feature = feature
    self._payload: Payload = payload

  @staticmethod
  def wanted(found: Leakage, files: Sequence[InputFile]) -> list[Wanted]:
    """Returns the files that have examples, and the places of these in them."""
    places: dict[int, dict[int, tuple[int, int]]] = {}
    for keys in found.examples.values():
      for key in keys:
        places.setdefault(key.left.file, {})[key.left.position] = (key.high, key.low)
    return [
      (file, dict(sorted(places[file.rank].items()))) for file in files if file.rank in places
    ]

  def process(self, wanted: Wanted) -> Iterator[tuple[tuple[int, int], str]]:
    """Raises DataError if the file has changed since its keys were hashed."""
    file, places = wanted
    last, at = max(places), 0
    for frames in read_frames(file.path):
      for position in [p for p in places if at <= p < at + len(frames)]:
        record = frames.payloads()[position - at]
        keys = record_keys(self._feature, self._payload, file.path)
        if keys.digests([record])[0].tolist() != [list(places[position])]:
          raise changed(file.path)
        yield (file.rank, position), describe_record(record, self._feature, self._payload)
      at += len(frames)
      if at > last:
        return
    raise changed(file.path)


def describe_record(record: bytes, feature: str | None, payload: Payload) -> str:
  """Returns a record, or one feature of it, as a line of text that is safe to print.

  Args:
    record: serialized.
    feature: the one to show; None for all, in the order of their names.
    payload: what a record is.
  """
  if payload == 'FORMAT_TF_SEQUENCE_EXAMPLE':
    features = tf.train.SequenceExample.FromString(record).context.feature
  else:
    features = tf.train.Example.FromString(record).features.feature
  names = sorted(features) if feature is None else [feature]
  return cut(', '.join(f'{name}={_describe(features[name])}' for name in names), TEXT_WIDTH)


def _describe(feature: Any) -> str:
  """Returns a feature's values; bytes that are no text by their number."""
  kind = feature.WhichOneof('kind')
  values = list(getattr(feature, kind).value) if kind else []
  texts = [_describe_value(value) for value in values[:_VALUES]]
  if len(values) > _VALUES:
    texts.append(f'... {len(values)} values')
  return texts[0] if len(values) == 1 else f'[{", ".join(texts)}]'


def _describe_value(value: Any) -> str:
  if not isinstance(value, bytes):
    return f'{value:.6g}' if isinstance(value, float) else str(value)
  try:
    value.decode('utf-8')
  except UnicodeDecodeError:
    if len(value) > _VALUE_WIDTH:
      return f'<{len(value)} bytes>'
  return cut(str(ClassValue('bytes', value)), _VALUE_WIDTH)


def write_leakage(
  found: Leakage,
  hashed: Iterable[Hashed],
  texts: Mapping[tuple[int, int], str],
  splits: Sequence[str],
  feature: str | None,
  path: str,
) -> None:
  """Writes what the splits have in common as JSON.

  Raises:
    DataError: if the feature is in no record, or of several types.
  """
  files = {one.file.rank: one for one in hashed}
  if feature is not None:
    _check_feature(list(files.values()), feature)
  sizes = {name: [one for one in files.values() if one.file.group == name] for name in splits}
  pairs = []
  for i, left in enumerate(splits):
    for j in range(i + 1, len(splits)):
      examples = [_example(key, texts, files) for key in found.examples.get((i, j), ())]
      pairs.append(
        {
          'splits': [left, splits[j]],
          'keys': int(found.keys[i, j]),
          'records': [int(found.records[i, j]), int(found.records[j, i])],
          'examples': examples,
        }
      )
  data = {
    'splits': {
      name: {
        'records': sum(one.records for one in of_split),
        'without_key': sum(one.without_key for one in of_split),
      }
      for name, of_split in sizes.items()
    },
    'pairs': pairs,
  }
  write_json(path, data)


def _example(
  key: CommonKey, texts: Mapping[tuple[int, int], str], files: Mapping[int, Hashed]
) -> dict[str, Any]:
  def show(place: Place) -> dict[str, Any]:
    parts = files[place.file].file.path.split('/')
    return {'file': '/'.join(parts[-2:]), 'record': place.position}

  text = texts[key.left.file, key.left.position]
  return {'text': text, 'places': [show(key.left), show(key.right)]}


def _check_feature(files: Sequence[Hashed], feature: str) -> None:
  """Checks that a feature can be a key.

  Raises:
    DataError: if it cannot.
  """
  kinds = {one.kind for one in files if one.kind is not None}
  if len(kinds) > 1:
    raise DataError(
      f'feature {feature!r} has values of types {sorted(kinds)}, which are never equal; '
      f'give it one type in all files'
    )
  if not kinds and any(one.without_key for one in files):
    known = ', '.join(sorted({name for one in files for name in one.feature_names})) or 'none'
    raise DataError(
      f'feature {feature!r} is in none of the records; check_leakage= takes '
      f"'records', or one of: {known}"
    )
