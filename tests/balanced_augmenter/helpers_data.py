"""Data that people know: digits, MNIST and penguins."""

import csv
import os
from pathlib import Path

import pytest
from sklearn.datasets import load_digits

from tests.helpers_examples import example, read_tfrecords

LONG_TAIL = (170, 100, 60, 35, 20, 12, 7, 4, 2, 1)


def data_file(name):
  """Returns a file from the folder that the environment names, or skips the test."""
  folder = os.environ.get('TFX_BALANCE_DATA')
  if not folder:
    pytest.skip(f'TFX_BALANCE_DATA is not set: {name} was not balanced')
  return Path(folder) / name


def digits(counts=LONG_TAIL):
  """Returns scikit-learn's digits as records, so many of each class in order; text labels."""
  data, target = load_digits(return_X_y=True)
  records, seen = [], dict.fromkeys(range(10), 0)
  for i, (pixels, label) in enumerate(zip(data.tolist(), target.tolist(), strict=True)):
    seen[label] += 1
    if seen[label] <= counts[label]:
      records.append(example(pixels=pixels, label=str(label), id=i))
  return records


def mnist():
  """Returns a thousand of MNIST's digits."""
  return read_tfrecords(data_file('mnist.tfrecord'))


def penguins():
  """Returns the penguins as CsvExampleGen would have them."""
  with data_file('penguins_processed.csv').open() as file:
    rows = list(csv.DictReader(file))
  return [
    example(**{k: int(v) if k == 'species' else float(v) for k, v in row.items()}) for row in rows
  ]
