"""The notebooks run from top to bottom."""

import json
from pathlib import Path

import numpy as np
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / 'docs/notebooks').glob('*.ipynb'))


def run_cells(path):
  """Returns the names that a notebook's code leaves."""
  names = {'__name__': '__main__'}
  for cell in json.loads(path.read_text(encoding='utf-8'))['cells']:
    if cell['cell_type'] == 'code':
      exec(compile(''.join(cell['source']), f'{path.name}, {cell["id"]}', 'exec'), names)
  return names


def test_there_are_notebooks():
  assert NOTEBOOKS


@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_stored(path):
  cells = json.loads(path.read_text(encoding='utf-8'))['cells']
  assert [cell['id'] for cell in cells if cell.get('outputs')] == []


def test_a_table_becomes_balanced_batches():
  (path,) = [path for path in NOTEBOOKS if path.stem == 'balanced_batches']
  found = run_cells(path)
  counts = [np.bincount(found['labels'][rows]).tolist() for rows in found['splits'].values()]
  assert counts == [[286, 33], [71, 8]]
  assert np.bincount(found['batch_labels'].numpy()).tolist() == [16, 16]
  assert found['recall']['malignant'] > 0.8
