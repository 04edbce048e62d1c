"""What the fuzzer calls: each target takes bytes, and raises where a property does not hold.

An input that is refused with an error of this package is a good answer; another exception, or a
result that differs from that of an independent implementation, is a finding.
"""

from __future__ import annotations

import gzip
import json
import os
import struct
import tempfile
from collections.abc import Callable
from typing import Any

import atheris
import google_crc32c
import numpy as np
from tensorflow.compat.v1.io import tf_record_iterator
from tensorflow.errors import OpError
from tensorflow.io import TFRecordOptions
from tfx_balance.documents.balanced_input import FileSegment, InputPlan, PlanFile
from tfx_balance.documents.class_distribution import (
  ClassDistribution,
  InputRecords,
  check_files,
)
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.balance_plan import BalanceRequest, plan_balance
from tfx_balance.plan.batch_quota import BatchQuota
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares
from tfx_balance.scan.strata import BATCH_RECORDS, StratumDecoder
from tfx_balance.tfrecord.files import read_frames
from tfx_balance.tfrecord.frames import frame

from tests.helpers_counts import by_class, by_stratum

FOLDER = tempfile.mkdtemp(prefix='fuzz-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)


def frames(raw: bytes) -> None:
  """A mutated TFRecord file is read as TensorFlow reads it, or refused."""
  data = atheris.FuzzedDataProvider(raw)
  compressed = data.ConsumeBool()
  chunk_bytes = data.ConsumeIntInRange(1, 256)
  sizes = [data.ConsumeIntInRange(0, 40) for _ in range(data.ConsumeIntInRange(0, 6))]
  records = [data.ConsumeBytes(size) for size in sizes] * data.ConsumeIntInRange(1, 40)
  content = bytearray(_framed(records))
  _mutate(content, data)
  file_bytes = bytearray(gzip.compress(bytes(content), 1, mtime=0)) if compressed else content
  if compressed:
    _mutate(file_bytes, data)
  path = f'{FOLDER}/frames{".gz" if compressed else ""}'
  with open(path, 'wb') as file:
    file.write(file_bytes)
  found, fault = _read(path, chunk_bytes)
  if fault:
    assert path in fault, fault
    assert compressed or content != _framed(records), f'a whole file is refused: {fault}'
    return
  options = TFRecordOptions(compression_type='GZIP' if compressed else '')
  try:
    expected = list(tf_record_iterator(path, options))
  except OpError as error:
    if compressed and 'header flags' in str(error):  # which igzip does not look at
      return
    raise AssertionError(f'read what TensorFlow refuses: {error}') from error
  assert found == expected, (found, expected)


def labels(raw: bytes) -> None:
  """Records of one length get the strata that the parser gives, or an error."""
  data = atheris.FuzzedDataProvider(raw)
  features = ['label', 'b'][: data.ConsumeIntInRange(1, 2)]
  record = data.ConsumeBytes(data.ConsumeIntInRange(0, 120))
  if data.ConsumeBool():
    record = _example(data)
  rows = [bytearray(record) for _ in range(data.ConsumeIntInRange(1, 5))]
  for row in rows:
    _replace_bytes(row, data)
  records = [bytes(row) for row in rows]
  if data.ConsumeBool():
    records.append(_example(data))
  by_place, by_parser = (_strata(records, features, parses) for parses in (False, True))
  assert by_place == by_parser, (by_place, by_parser, records)


def plans(raw: bytes) -> None:
  """Quotas of splits, targets of classes and batches keep their bounds for any counts."""
  data = atheris.FuzzedDataProvider(raw)
  n_classes, n_features = data.ConsumeIntInRange(1, 8), data.ConsumeIntInRange(1, 2)
  counts = data.ConsumeIntListInRange(n_classes, 1, 10 ** data.ConsumeIntInRange(0, 12))
  strata = {
    tuple(ClassValue('int', j) for j in (i // n_features, i)[:n_features]): n
    for i, n in enumerate(counts)
  }
  weights = data.ConsumeIntListInRange(data.ConsumeIntInRange(1, 4), 1, 1000)
  shares = SplitShares.parse({f'split{i}': w for i, w in enumerate(weights)})
  plan = plan_splits(*by_stratum(strata), shares, seed=data.ConsumeIntInRange(0, 9))
  ideal = [[n * share for share in plan.shares] for n in plan.records.tolist()]
  for row, ideals, n in zip(plan.quotas.tolist(), ideal, plan.records, strict=True):
    assert sum(row) == n
    assert all(abs(quota - ideal) < 1 for quota, ideal in zip(row, ideals, strict=True))
  for j, total in enumerate(plan.totals()):
    assert abs(total - sum(row[j] for row in ideal)) < 1

  classes = {ClassValue('int', i): n for i, n in enumerate(counts)}
  ratio = data.ConsumeIntInRange(1, 20) / 10
  undersample = data.ConsumeBool()
  strategy = data.PickValueInList(['not majority', 'all', 'median', 'power:0.5', 'minority', ratio])
  try:
    balance = plan_balance(*by_class(classes), BalanceRequest(strategy, undersample=undersample))
  except ConfigError:
    balance = None
  if balance is not None:
    for n, target in zip(balance.records, balance.targets, strict=True):
      assert undersample or target >= n

  batch_weights = [data.ConsumeIntInRange(0, 100) for _ in range(n_classes)]
  if sum(batch_weights):
    _check_quotas(batch_weights, data.ConsumeIntInRange(1, 64))


def documents(raw: bytes) -> None:
  """A damaged plan or sidecar is refused by name; with its checksum made right, or read."""
  data = atheris.FuzzedDataProvider(raw)
  kind, whole = data.PickValueInList([(InputPlan, _PLAN), (ClassDistribution, _SIDECAR)])
  text = bytearray(whole.encode())
  _mutate(text, data)
  read = _document(kind, bytes(text))
  assert read is None or read == kind.from_json(whole, 'the file')
  try:
    changed = sealed(json.loads(text))
  except (ValueError, RecursionError, AttributeError):
    return
  found = _document(kind, changed)
  if isinstance(found, InputPlan):
    assert InputPlan.from_json(found.dumps()) == found
  elif found:
    found.tallies('label', ['train'])
    sizes = {name: split.file_bytes or {} for name, split in found.splits.items()}
    check_files(found.splits, sizes, 'the file')


TARGETS: dict[str, Callable[[bytes], None]] = {
  target.__name__: target for target in (frames, labels, plans, documents)
}


def _document(kind: Any, data: Any) -> Any:
  """Returns the document that JSON data, or its text, is; None where it is refused."""
  try:
    return kind.from_json(data, 'the file')
  except DataError as error:
    if 'the file' not in str(error):
      raise
    return None


def _read(path: str, chunk_bytes: int) -> tuple[list[bytes], str]:
  """Returns the records of a file, and why it is refused: '' if it is not."""
  try:
    found = read_frames(path, chunk_bytes=chunk_bytes)
    return [record for part in found for record in part.payloads()], ''
  except DataError as error:
    return [], str(error)


def _framed(records: list[bytes]) -> bytes:
  """Returns the bytes of a TFRecord file, independently of the code under test."""

  def masked(raw: bytes) -> bytes:
    crc = google_crc32c.value(raw)
    return struct.pack('<I', (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

  heads = [struct.pack('<Q', len(record)) for record in records]
  return b''.join(
    head + masked(head) + record + masked(record)
    for head, record in zip(heads, records, strict=True)
  )


def _mutate(content: bytearray, data: atheris.FuzzedDataProvider) -> None:
  """Changes, inserts or removes up to three runs of bytes."""
  for _ in range(data.ConsumeIntInRange(0, 3)):
    at = data.ConsumeIntInRange(0, len(content))
    removed = data.ConsumeIntInRange(0, 24)
    content[at : at + removed] = data.ConsumeBytes(data.ConsumeIntInRange(0, 24))


def _replace_bytes(row: bytearray, data: atheris.FuzzedDataProvider) -> None:
  for _ in range(data.ConsumeIntInRange(0, 3)):
    if row:
      row[data.ConsumeIntInRange(0, len(row) - 1)] = data.ConsumeIntInRange(0, 255)


def _example(data: atheris.FuzzedDataProvider) -> bytes:
  """Returns a serialized example, mostly whole, with features in any order and encoding."""

  def field(number: int, payload: bytes, wire: int = 2) -> bytes:
    size = bytes([len(payload) & 0x7F]) if wire == 2 else b''
    return bytes([number << 3 | wire]) + size + payload

  entries = b''
  for _ in range(data.ConsumeIntInRange(1, 3)):
    name = data.PickValueInList([b'label', b'b', b'labe', b''])
    kind = data.ConsumeIntInRange(1, 3)
    wire = data.PickValueInList([2, 2, 0, 5])
    payload = data.ConsumeBytes(4 if wire == 5 else data.ConsumeIntInRange(0, 9))
    values = b''.join(field(1, payload, wire) for _ in range(data.ConsumeIntInRange(0, 2)))
    entries += field(1, field(1, name) + field(2, field(kind, values)))
  return field(1, entries)


def _strata(records: list[bytes], features: list[str], parses: bool) -> list[object] | str:
  """Returns the stratum of each record, or that they are refused."""
  decoder = StratumDecoder(features, 'FORMAT_TF_EXAMPLE', 'own_stratum', 'the file')
  assert len(records) <= BATCH_RECORDS
  if parses:
    decoder.reader.in_place = lambda _: None  # type: ignore[method-assign]
  try:
    codes, _ = decoder.decode(frame(records))
  except DataError:
    return 'refused'
  strata = decoder.strata
  return [strata[code] for code in codes.tolist()]


def _check_quotas(weights: list[int], batch_size: int) -> None:
  """Checks the bounds of 20 batches: in each, and in the running total."""
  quota, whole = BatchQuota(tuple(weights), batch_size), sum(weights)
  totals, lag = np.zeros(len(weights), np.int64), np.zeros_like(quota.whole)
  for t in range(1, 21):
    chosen, lag = quota.next_extra(lag, 1)
    counts = quota.whole + np.bincount(chosen[0], minlength=len(weights))
    assert counts.sum() == batch_size
    totals += counts
    for n, total, w in zip(counts.tolist(), totals.tolist(), weights, strict=True):
      assert abs(n * whole - batch_size * w) < whole
      assert abs(total * whole - t * batch_size * w) < whole


_SHARES = SplitShares.parse({'train': 1})
_CLASSES = (ClassValue('int', 0), ClassValue('bytes', b'x'))
_NAME = 'data_tfrecord-00000-of-00001.gz'
_FILES = (PlanFile(f'Split-train/{_NAME}', (FileSegment(0, 2), FileSegment(1, 1)), n_bytes=10),)
_PLAN = InputPlan('label', _CLASSES, {'train': (2, 1)}, _FILES).dumps()
_SIDECAR = describe_split(
  plan_splits([(value,) for value in _CLASSES], [2, 1], _SHARES),
  {'stratify_by': ['label']},
  InputRecords(3, 0, 1, '0' * 16),
  {'train': {_NAME: 10}},
  [],
).dumps()
