"""Every mode of a split gives on Flink the files that it gives in one process, byte for byte."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import StratifiedSplitter
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.scan.scan import InputFile
from tfx_balance.stratified_splitter.job import SplitRequest
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.writer import write_outputs

from tests.flink.helpers_flink import PORTABLE
from tests.helpers_examples import all_bytes, example, read_splits, write_tfrecords
from tests.helpers_pipeline import IN_MEMORY
from tests.helpers_split import input_files, request_target, run_split

RECORDS, FILES = 2_000, 3
MODES = {
  'folds': {'splits': {'train': 9, 'test': 1}, 'folds': 4},
  'strata': {'stratify_by': ['label', 'site'], 'counts': {'test': 300}, 'rest': 'train'},
  'predefined': {
    'split_by': 'set',
    'split_values': {'t': 'test'},
    'splits': {'train': 3, 'eval': 1},
  },
  'order': {'order_by': 'time', 'embargo': 3},
  'labels': {'stratify_by': 'tags', 'multilabel': True},
  'groups': {'group_by': 'patient'},
  'groups-in-time': {'group_by': 'patient', 'order_by': 'time', 'embargo': 1},
  'bins': {'stratify_by': 'price', 'bins': 5},
  'groups-of-bins': {'stratify_by': 'price', 'bins': 3, 'group_by': 'patient'},
  'extend': {},
  'stable': {'mode': 'stable', 'key': ['id']},
  'values': {'identity': 'values'},
}
"""Arguments of a splitter by mode."""
JOBS = [list(MODES)[i : i + 4] for i in range(0, len(MODES), 4)]
"""Modes that are run as one job: of all of them Flink has too little memory for its sorters."""
EMBARGOED = ('order', 'groups-in-time')
OLD = 600
"""The first records, which are those of the artifact to extend."""


def make_records():
  """Returns records of three classes with the features that the modes read."""
  return [
    example(
      label=(0, 0, 0, 1, 1, 2)[i % 6],
      id=i,
      time=i * i % 997,
      patient=i * 7 % 300,
      price=i * i % 1009 / 8,
      tags=['abcd'[j] for j in range(4) if i % (j + 2) < 2],
      site=('x', 'y', 'z')[i % 7 % 3],
      set='t' if i % 11 == 0 else 'none',
    )
    for i in range(RECORDS)
  ]


class WriteSplit(beam.PTransform):
  """Splits files as a `StratifiedSplitter` with some arguments does."""

  def __init__(self, files, folder, arguments, earlier=()):
    super().__init__()
    channel = channel_utils.as_channel([standard_artifacts.Examples()])
    properties: dict = StratifiedSplitter(channel, **arguments).exec_properties
    self._files = [*files, *earlier]
    target = request_target(folder, {'n_files': len(self._files)})
    parameters = SplitterParameters.decode(properties, extends=bool(earlier))
    self._request = SplitRequest(parameters, **target)
    first = Path(earlier[0].path).parents[1] if earlier else None
    self._sidecar = f'{first}/earlier/out/{SIDECAR_NAME}' if first else ''

  def expand(self, begin):
    split = StratifiedSplit(self._request, self._sidecar)
    write_outputs(begin.pipeline, self._files, split, [], [], self._request.work_dir)
    return beam.pvalue.PDone(begin.pipeline)


def run_all(files, earlier, folder, beam_args):
  """Runs the modes, several as one job, and returns the folder of each."""
  for modes in JOBS:
    with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
      for mode in modes:
        old = earlier if mode == 'extend' else ()
        _ = pipeline | mode >> WriteSplit(files, folder / mode, MODES[mode], old)
  return {mode: folder / mode / 'out' for mode in MODES}


@pytest.fixture(scope='module')
def runs(cluster, tmp_path_factory):
  """Returns the folders of the modes in memory and on Flink, and the jobs that Flink ran."""
  folder = tmp_path_factory.mktemp('modes')
  cluster.restore()
  records = make_records()
  files = input_files(folder / 'in', [records[i::FILES] for i in range(FILES)])
  first = run_split(folder / 'earlier', [records[:OLD]])
  earlier = [
    InputFile(write_tfrecords(folder / 'old' / name, held), FILES + i, name)
    for i, (name, held) in enumerate(first.items())
  ]
  in_memory = run_all(files, earlier, folder / 'memory', IN_MEMORY)
  before = len(cluster.jobs())
  on_flink = run_all(files, earlier, folder / 'flink', [*PORTABLE, *cluster.beam_args])
  return in_memory, on_flink, cluster.jobs()[before:]


def test_the_jobs_ran_on_both_task_managers(runs):
  _, _, jobs = runs

  assert [(job['state'], job['hosts']) for job in jobs] == [('FINISHED', 2)] * len(JOBS)


@pytest.mark.parametrize('mode', MODES)
def test_a_mode_writes_the_same_bytes(runs, mode):
  in_memory, on_flink, _ = runs

  n = sum(map(len, read_splits(on_flink[mode]).values()))
  assert 0 < n < RECORDS if mode in EMBARGOED else n == RECORDS
  assert all_bytes(on_flink[mode]) == all_bytes(in_memory[mode])
