"""Exact counts of classes by one pass over the files, for who cannot have them from statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import apache_beam as beam

from tfx_balance.beam.steps import create, identity, summed
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.scan.scan import InputFile, scan_files
from tfx_balance.scan.strata import Payload
from tfx_balance.scan.totals import SumGroups, Totals, check_features
from tfx_balance.tfrecord.reading import READ_DEFAULTS
from tfx_balance.tfrecord.work_files import read_json, write_json


def recount(
  pipeline: beam.Pipeline,
  files: Sequence[InputFile],
  label: str,
  payload: Payload,
  work_dir: str,
  path: str,
) -> None:
  """Adds to a pipeline what counts the classes of each group of files, and writes the tallies.

  Args:
    pipeline: to add to.
    files: to read, each in the group of its split.
    label: the feature that holds the class.
    payload: what a record is.
    work_dir: for files that are in the making.
    path: of the JSON file to write, which `read_tallies` reads.
  """
  counted = create(pipeline, 'CountedFiles', files)
  scanned = scan_files(counted, (label,), payload, 'own_stratum', work_dir, READ_DEFAULTS)
  write = partial(write_tallies, path, label=label)
  summed(scanned, 'Tallies', identity, SumGroups(), write)


def write_tallies(path: str, totals: Mapping[str, Totals], label: str) -> None:
  """Writes the counts of each group.

  Raises:
    DataError: if the label is in no record, or has several types.
  """
  whole = Totals()
  for part in totals.values():
    whole.merge(part)
  if whole.n_records:
    check_features(whole, [label], 'own_stratum', 'label')
  rows = [
    {
      'group': group,
      'classes': [
        {'class': stratum[0].to_json(), 'records': n} for stratum, n in part.records.items()
      ],
    }
    for group, part in sorted(totals.items())
  ]
  write_json(path, rows)


def read_tallies(path: str) -> dict[str, dict[ClassValue, int]]:
  """Returns, of each group, class to records; the class may be `MISSING`."""
  rows: list[Any] = read_json(path)
  if not rows:
    raise DataError(f'{path} holds no counts; run again')
  return {
    row['group']: {ClassValue.from_json(c['class']): c['records'] for c in row['classes']}
    for row in rows
  }
