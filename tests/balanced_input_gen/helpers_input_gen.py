"""What is true of every artifact that is laid out by class, recounted without the package."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from tests.helpers_checks import class_value, file_bytes, read_sidecar
from tests.helpers_examples import read_tfrecords, split_files, value_of

KIND_ORDER = ('int', 'float', 'bytes', 'missing')


def read_plan(uri: Path | str) -> dict[str, Any]:
  """Returns the plan of an artifact."""
  return json.loads((Path(uri) / 'balanced_input.json').read_text(encoding='utf-8'))


def class_counts(records: Iterable[bytes], label: str = 'label') -> Counter[Any]:
  """Returns the records of each class."""
  return Counter(value_of(record, label) for record in records)


def runs(records: Iterable[bytes], label: str = 'label') -> list[Any]:
  """Returns the classes in the order in which records have them, one for each run."""
  return [value for value, _ in groupby(value_of(record, label) for record in records)]


def assert_laid_out(
  uri: Path | str, inputs: Mapping[str, Sequence[bytes]], label: str = 'label', value=value_of
) -> dict[str, Any]:
  """Checks the plan and the sidecar against the files and the input, and returns the plan.

  Args:
    uri: of the artifact.
    inputs: the records of each split that was merged, without those that were dropped.
    label: the feature that holds the class.
    value: tells a record's class.
  """
  plan = read_plan(uri)
  assert (plan['format'], plan['version']) == ('tfx_balance.balanced_input', 2)
  assert (plan['label'], plan['split']) == (label, 'train')
  classes = [class_value(data) for data in plan['classes']]
  order = [(KIND_ORDER.index(d['type']), v) for d, v in zip(plan['classes'], classes, strict=True)]
  assert order == sorted(order)
  assert len(set(order)) == len(order)

  counts = {name: Counter(value(r, label) for r in records) for name, records in inputs.items()}
  assert plan['natural'] == {name: [n[c] for c in classes] for name, n in counts.items()}
  whole = sum(counts.values(), Counter())
  assert {c: d['records'] for c, d in zip(classes, plan['classes'], strict=True)} == whole

  found: Counter[bytes] = Counter()
  in_segments: Counter[Any] = Counter()
  named = [Path(uri) / file['path'] for file in plan['files']]
  for file, path in zip(plan['files'], named, strict=True):
    records = read_tfrecords(path)
    assert file['bytes'] == sum(map(len, records))
    assert sum(n for _, n in file['segments']) == len(records)
    indices = [i for i, _ in file['segments']]
    assert indices == sorted(set(indices))
    at = 0
    for i, n in file['segments']:
      assert n > 0
      assert {value(r, label) for r in records[at : at + n]} == {classes[i]}
      in_segments[classes[i]] += n
      at += n
    found.update(records)
  assert in_segments == whole
  assert found == Counter(record for records in inputs.values() for record in records)

  files = split_files(uri, 'train')
  suffix = files[0].name.partition('.')[2]
  assert [path.name for path in files] == [
    f'data_tfrecord-{i:05d}-of-{len(files):05d}' + (f'.{suffix}' if suffix else '')
    for i in range(len(files))
  ]
  assert named == [path for path in files if read_tfrecords(path)]
  _assert_sidecar(uri, plan, classes, counts, len(files))
  return plan


def _assert_sidecar(uri, plan, classes, counts, n_files) -> None:
  """Checks the sidecar against what was counted."""
  sidecar = read_sidecar(uri)
  assert sidecar['component'] == 'BalancedInputGen'
  records = [sum(n[c] for n in counts.values()) for c in classes]
  assert sidecar['splits'] == {
    'train': {
      'records': sum(records),
      'imbalance_ratio': max(records) / min(records),
      'files': n_files,
      'file_bytes': file_bytes(uri, 'train'),
    }
  }
  assert [class_value(row['stratum'][0]) for row in sidecar['strata']] == classes
  for row, value, n in zip(sidecar['strata'], classes, records, strict=True):
    merged = {name: n[value] for name, n in counts.items()}
    assert (row['records'], row['splits']) == (n, {'train': {'records': n, 'merged': merged}})
  for name, n in counts.items():
    source = sidecar['input'][name]
    assert source['records'] - source['dropped'] == n.total()
  assert sidecar['parameters']['train_splits'] == list(counts)
  assert sidecar['parameters']['seed'] == plan['seed']
