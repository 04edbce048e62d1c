"""What is true of every split artifact, recounted from its files without the package."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from tests.helpers_examples import cells, read_splits, split_files, value_of


def assert_conserved(splits: Mapping[str, Iterable[bytes]], records: Iterable[bytes]) -> None:
  """Checks that the splits hold the records, each as often as before: nothing lost, or twice."""
  found, expected = Counter(r for of_split in splits.values() for r in of_split), Counter(records)
  assert not expected - found, f'{(expected - found).total()} records are lost'
  assert not found - expected, f'{(found - expected).total()} records are there too often'


def exact(weight: Any) -> Fraction:
  """Returns a weight as the decimal that it shows."""
  return Fraction(str(weight))


def assert_exact(
  splits: Mapping[str, Any], weights: Mapping[str, Any], label: str = 'label'
) -> None:
  """Checks that every cell and every split's total is within one of its share."""
  sizes = Counter(value_of(record, label) for of_split in splits.values() for record in of_split)
  found = cells(splits, label)
  assert set(splits) == set(weights), f'splits {set(splits)}'
  for name, weight in weights.items():
    share = exact(weight) / sum(map(exact, weights.values()))
    total = len(splits[name])
    assert abs(total - share * sizes.total()) < 1, f'{name}: {total} of {sizes.total()} records'
    for value, size in sizes.items():
      n = found[value, name]
      assert abs(n - share * size) < 1, f'class {value!r} in {name}: {n} of {size} records'


def class_value(data: Mapping[str, Any]) -> Any:
  """Returns the value that a class in JSON stands for; None for a missing one."""
  if data['type'] != 'bytes':
    return data['value']
  if data.get('encoding') == 'base64':
    return base64.b64decode(data['value'])
  return data['value'].encode()


def read_sidecar(uri: Path | str) -> dict[str, Any]:
  """Returns the sidecar of an artifact."""
  return json.loads((Path(uri) / 'class_distribution.json').read_text(encoding='utf-8'))


def file_bytes(uri: Path | str, split: str) -> dict[str, int]:
  """Returns the size of each file of a split, as a sidecar has it."""
  return {path.name: path.stat().st_size for path in split_files(uri, split)}


def assert_sidecar(
  uri: Path | str, weights: Mapping[str, Any], features: Iterable[str] = ('label',)
) -> dict[str, Any]:
  """Checks the counts of a sidecar against the artifact's files, and returns the sidecar."""
  sidecar, features = read_sidecar(uri), tuple(features)
  records_of = {name: read_splits(uri)[name] for name in weights}
  counts = {
    name: Counter(tuple(value_of(r, feature) for feature in features) for r in records)
    for name, records in records_of.items()
  }
  sizes: Counter[Any] = sum(counts.values(), Counter())
  whole = sum(map(exact, weights.values()))
  assert set(sidecar['splits']) == set(weights)
  for name, weight in weights.items():
    described = sidecar['splits'][name]
    by_stratum = [counts[name][stratum] for stratum in sizes]
    assert described == {
      'records': len(records_of[name]),
      'ideal': float(sizes.total() * exact(weight) / whole),
      'files': len(split_files(uri, name)),
      'file_bytes': file_bytes(uri, name),
      'imbalance_ratio': max(by_stratum) / min(by_stratum) if min(by_stratum) else None,
    }, f'{name}: {described}'
  described_sizes = {}
  for row in sidecar['strata']:
    stratum = tuple(class_value(value) for value in row['stratum'])
    described_sizes[stratum] = row['records']
    for name, weight in weights.items():
      described = row['splits'][name]
      assert described['records'] == counts[name][stratum], f'{stratum} in {name}: {described}'
      ideal = float(sizes[stratum] * exact(weight) / whole)
      assert described['ideal'] == ideal, f'{stratum} in {name}: {described}, ideal {ideal}'
  assert described_sizes == dict(sizes), f'{described_sizes}'
  source = sidecar['input']
  assert source['records'] - source['dropped'] == sizes.total()
  assert len(source['fingerprint']) == 16
  return sidecar


def assert_mixed(order: Sequence[int], n: int) -> None:
  """Checks that positions 0 to n - 1 in this order look like a random permutation.

  The bounds are five standard deviations of a random one.
  """
  places = np.array(order)
  assert abs(np.corrcoef(places, np.arange(len(places)))[0, 1]) < 5 / np.sqrt(len(places))
  tenths = np.array_split(places * 10 // n, 10)
  counts = np.array([np.bincount(tenth, minlength=10) for tenth in tenths])
  share = len(places) / 100
  assert (abs(counts - share) < 5 * np.sqrt(share)).all()
  after = np.abs(np.diff(places))  # of two that follow each other, a third of n apart on average
  assert abs(after.mean() / n - 1 / 3) < 5 * np.sqrt(1 / 18 / len(places))
