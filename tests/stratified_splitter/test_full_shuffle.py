"""Output files are a full shuffle of all input files: sorted input, many files on both sides."""

import numpy as np
import pytest
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_examples import example, in_shards, read_tfrecords, split_files, value_of
from tests.helpers_split import input_files, split_context
from tests.list_runner import write_on_lists

RECORDS = 40_000


@pytest.fixture(scope='module')
def records():
  """Returns records in the order of their four classes."""
  return [example(label=i * 4 // RECORDS, id=i) for i in range(RECORDS)]


@pytest.mark.parametrize(
  ('n_inputs', 'n_outputs'), [(8, 200), (200, 200), (1, 64), (64, 7), (7, 1)]
)
def test_every_input_file_is_in_every_output_file(tmp_path, records, n_inputs, n_outputs):
  context = split_context(
    tmp_path, {'train': 1}, n_files=n_inputs, output_files={'train': n_outputs}
  )
  write_on_lists(StratifiedSplit(context), input_files(tmp_path, in_shards(records, n_inputs)))
  paths = split_files(context.output_uri, 'train')
  assert len(paths) == n_outputs
  found = [np.array([value_of(r, 'id') for r in read_tfrecords(path)]) for path in paths]
  assert sorted(np.concatenate(found)) == list(range(RECORDS))
  for n_groups in (1, 4, n_inputs):  # all records, by class, and by input file
    counts = [np.bincount(ids * n_groups // RECORDS, minlength=n_groups) for ids in found]
    share = RECORDS / n_outputs / n_groups
    # Within five standard deviations of chance, on a scale where one is 1 (Anscombe 1948).
    deviations = 2 * (np.sqrt(np.array(counts) + 0.375) - np.sqrt(share + 0.375))
    assert np.abs(deviations).max() <= 5
