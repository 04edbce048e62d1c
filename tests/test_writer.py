"""The last step: nothing is published that is not what was planned."""

import errno
import json
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from tfx_balance.scan.scan import InputFile
from tfx_balance.shuffle.ranges import OutputLayout
from tfx_balance.tfrecord.storage import LocalFiles
from tfx_balance.tfrecord.work_files import FileCopy, WorkFile
from tfx_balance.writer import OutputPlan, RunContext, publish_outputs, write_outputs

from tests.helpers_examples import all_bytes


@dataclass(frozen=True)
class OneSplit(OutputPlan):
  """A plan of one split in two files, five records in all."""

  sidecar: Any
  file_groups = ()

  def documents(self, files, passed_through):
    sidecar = self.sidecar or [list(passed_through), len(files)]
    return {
      f'{self.context.output_uri}/class_distribution.json': json.dumps(sidecar, allow_nan=False)
    }


def output_plan(folder, written=5, sidecar=None):
  paths = tuple(f'{folder}/out/Split-train/file-{i}' for i in range(2))
  context = RunContext(None, 'FORMAT_TF_EXAMPLE', f'{folder}/out', '', work_dir=f'{folder}/work')
  return OneSplit(context, (OutputLayout(paths, 1),), (written,), np.array([[2, 3]]), sidecar)


def work_files(folder, records=(2, 3)):
  (folder / 'work').mkdir(exist_ok=True)
  (folder / 'out').mkdir(exist_ok=True)
  for i in range(2):
    (folder / 'work' / str(i)).write_bytes(b'data %d' % i)
  return [
    WorkFile(f'{folder}/work/{i}', path, n)
    for i, (path, n) in enumerate(zip(output_plan(folder).layouts[0].paths, records, strict=True))
  ]


def test_files_are_moved_and_the_sidecar_is_written(tmp_path):
  publish_outputs(
    output_plan(tmp_path, sidecar={'a': 'ü'}), np.array([[2, 3]]), work_files(tmp_path)
  )
  found = all_bytes(tmp_path / 'out')
  assert json.loads(found.pop('class_distribution.json')) == {'a': 'ü'}
  assert found == {'Split-train/file-0': b'data 0', 'Split-train/file-1': b'data 1'}
  assert list((tmp_path / 'work').iterdir()) == []


def test_publishing_again_changes_nothing(tmp_path):
  files = work_files(tmp_path)
  for _ in range(2):
    publish_outputs(output_plan(tmp_path), np.array([[2, 3]]), files)
    assert len(all_bytes(tmp_path / 'out')) == 3


@pytest.mark.parametrize(
  ('changes', 'counts', 'records', 'fault'),
  [
    pytest.param({}, [[3, 2]], (2, 3), r'selected \[\[3, 2\]\], planned \[\[2, 3\]\]', id='parts'),
    pytest.param({}, [[2, 3]], (2, 2), '4 records in .*file-0 .*, planned 5', id='too few'),
    pytest.param({'written': 6}, [[2, 3]], (2, 3), '5 records in .*, planned 6', id='plan'),
  ],
)
def test_what_was_not_planned_is_not_published(tmp_path, changes, counts, records, fault):
  files = work_files(tmp_path, records)
  with pytest.raises(RuntimeError, match=fault):
    publish_outputs(output_plan(tmp_path, **changes), np.array(counts), files)
  assert all_bytes(tmp_path / 'out') == {}


def test_a_file_that_is_missing_is_not_passed_over(tmp_path):
  files = work_files(tmp_path)[:1]
  with pytest.raises(KeyError, match='file-1'):
    publish_outputs(output_plan(tmp_path), np.array([[2, 3]]), files)
  assert all_bytes(tmp_path / 'out') == {}


def test_a_value_that_json_does_not_have_is_an_error(tmp_path):
  with pytest.raises(ValueError, match='JSON'):
    publish_outputs(
      output_plan(tmp_path, sidecar=[float('nan')]), np.array([[2, 3]]), work_files(tmp_path)
    )
  assert all_bytes(tmp_path / 'out') == {}


def test_nothing_is_published_where_there_is_no_room_for_the_sidecar(tmp_path, monkeypatch):
  def full(self, path):
    raise OSError(errno.ENOSPC, 'No space left on device', path)

  files = work_files(tmp_path)
  monkeypatch.setattr(LocalFiles, 'create', full)
  with pytest.raises(OSError, match='No space left'):
    publish_outputs(output_plan(tmp_path), np.array([[2, 3]]), files)
  assert all_bytes(tmp_path / 'out') == {}


class Written(beam.PTransform):
  """Stands for a component's transform: what it puts out is there already."""

  def __init__(self, the_job, counts, files):
    super().__init__()
    self._outputs = [[the_job], [counts], files]

  def expand(self, inputs):
    return tuple(
      inputs.pipeline | f'Output{i}' >> beam.Create(output)
      for i, output in enumerate(self._outputs)
    )


def test_everything_is_published_in_one_last_step(tmp_path):
  files = work_files(tmp_path)
  (tmp_path / 'more').write_bytes(b'as it is')
  options = beam.options.pipeline_options.PipelineOptions(['--direct_running_mode=in_memory'])
  with beam.Pipeline(options=options) as pipeline:
    write_outputs(
      pipeline,
      [InputFile('unused', 0)],
      Written(output_plan(tmp_path), np.array([[2, 3]]), files),
      [FileCopy(str(tmp_path / 'more'), f'{tmp_path}/out/Split-more/file')],
      ['more'],
      str(tmp_path / 'work'),
    )
  assert json.loads((tmp_path / 'out/class_distribution.json').read_text()) == [['more'], 3]
  assert sorted(all_bytes(tmp_path / 'out')) == [
    'Split-more/file',
    'Split-train/file-0',
    'Split-train/file-1',
    'class_distribution.json',
  ]
