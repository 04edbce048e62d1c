"""Each kind of split mode gives on Flink the files of one process, byte for byte."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import StratifiedSplitter
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.scan.scan import InputFile
from tfx_balance.stratified_splitter.output_plan import SplitContext
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.writer import write_outputs

from tests.flink.helpers_flink import PORTABLE
from tests.helpers_examples import all_bytes, example, read_splits, write_tfrecords
from tests.helpers_pipeline import IN_MEMORY
from tests.helpers_split import input_files, request_target, run_split

RECORDS, FILES = 2_000, 3
MODES = {
  'strata': {'stratify_by': ['label', 'site'], 'counts': {'test': 300}, 'rest': 'train'},
  'order': {'order_by': 'time', 'embargo': 3},
  'groups-of-bins': {'stratify_by': 'price', 'bins': 3, 'group_by': 'patient'},
  'extend': {},
}
"""Arguments of a splitter by mode."""
EMBARGOED = ('order',)
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
      site=('x', 'y', 'z')[i % 7 % 3],
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
    first = Path(earlier[0].path).parents[1] if earlier else None
    sidecar = f'{first}/earlier/out/{SIDECAR_NAME}' if first else None
    parameters = SplitterParameters.decode(properties, sidecar)
    self._request = SplitContext(parameters, **target)

  def expand(self, begin):
    split = StratifiedSplit(self._request)
    write_outputs(begin.pipeline, self._files, split, [], [], self._request.work_dir)
    return beam.pvalue.PDone(begin.pipeline)


def run_all(files, earlier, folder, beam_args):
  """Runs the modes as one job, and returns the folder of each."""
  with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
    for mode, arguments in MODES.items():
      old = earlier if mode == 'extend' else ()
      _ = pipeline | mode >> WriteSplit(files, folder / mode, arguments, old)
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
    InputFile(write_tfrecords(folder / 'old' / name, records), FILES + i, name)
    for i, (name, records) in enumerate(first.items())
  ]
  in_memory = run_all(files, earlier, folder / 'memory', IN_MEMORY)
  before = len(cluster.jobs())
  on_flink = run_all(files, earlier, folder / 'flink', [*PORTABLE, *cluster.beam_args])
  return in_memory, on_flink, cluster.jobs()[before:]


def test_the_job_ran_on_both_task_managers(runs):
  _, _, (job,) = runs

  assert (job['state'], job['hosts']) == ('FINISHED', 2)


@pytest.mark.parametrize('mode', MODES)
def test_a_mode_writes_the_same_bytes(runs, mode):
  in_memory, on_flink, _ = runs

  n = sum(map(len, read_splits(on_flink[mode]).values()))
  assert 0 < n < RECORDS if mode in EMBARGOED else n == RECORDS
  assert all_bytes(on_flink[mode]) == all_bytes(in_memory[mode])
