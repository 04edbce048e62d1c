"""Executors start without packing TFX where Beam's workers are on this machine."""

import gc

import apache_beam as beam
import pytest
from apache_beam.runners.portability import prism_runner
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from tfx.dsl.components.base.base_beam_executor import BaseBeamExecutor
from tfx.utils import dependency_utils
from tfx_balance.balanced_augmenter.executor import Executor as Augmenter
from tfx_balance.balanced_input_gen.executor import Executor as InputGen
from tfx_balance.executors import BeamExecutor, gc_frozen
from tfx_balance.stratified_splitter.executor import Executor as Splitter


@pytest.fixture
def packed(monkeypatch):
  """Returns the packages that TFX was asked to make of itself."""
  made = []

  def pack():
    made.append('tfx.tar.gz')
    return made[-1]

  monkeypatch.setattr(dependency_utils, 'build_ephemeral_package', pack)
  return made


class Idle(BeamExecutor):
  def Do(self, input_dict, output_dict, exec_properties):
    pass


def executor(*beam_args):
  return Idle(BaseBeamExecutor.Context(beam_pipeline_args=list(beam_args)))


LOCAL = {
  'no runner': ['--direct_running_mode=in_memory'],
  'processes': ['--direct_running_mode=multi_processing', '--direct_num_workers=2'],
  'by name': ['--runner=DirectRunner'],
  'by path': ['--runner', 'apache_beam.runners.direct.direct_runner.DirectRunner'],
  'case': ['--runner=directrunner'],
}
REMOTE = {
  'flink': ['--runner=FlinkRunner'],
  'dataflow': ['--runner=DataflowRunner', '--project=p'],
  'portable': ['--runner=PortableRunner', '--direct_running_mode=in_memory'],
}


@pytest.mark.parametrize('args', LOCAL.values(), ids=list(LOCAL))
def test_this_machine_needs_no_package(args, packed):
  assert executor(*args)._beam_pipeline_args[: len(args)] == args
  assert packed == []


def test_in_memory_is_in_memory_and_no_program_that_beam_downloads(packed, monkeypatch):
  monkeypatch.setattr(prism_runner, 'PrismRunner', None)
  pipeline = executor('--direct_running_mode=in_memory')._make_beam_pipeline()
  assert isinstance(pipeline.runner, FnApiRunner)
  with pipeline:
    assert_that(pipeline | beam.Create([1, 2]) | beam.Map(abs), equal_to([1, 2]))


@pytest.mark.parametrize('args', REMOTE.values(), ids=list(REMOTE))
def test_other_machines_get_tfx(args, packed):
  assert '--extra_package=tfx.tar.gz' in executor(*args)._beam_pipeline_args
  assert packed == ['tfx.tar.gz']


def test_without_arguments_nothing_differs(packed):
  assert executor()._beam_pipeline_args == []
  assert Idle()._beam_pipeline_args == []
  assert packed == []


def test_the_context_is_left_as_it_was(packed):
  context = BaseBeamExecutor.Context(beam_pipeline_args=['--runner=DirectRunner'], unique_id='7')
  made = Idle(context)
  assert context.beam_pipeline_args == ['--runner=DirectRunner']
  assert made._context._unique_id == '7'


def test_the_pipeline_has_the_arguments(packed):
  options = executor('--direct_num_workers=3')._make_beam_pipeline()._options
  assert options.get_all_options()['direct_num_workers'] == 3


def test_garbage_is_looked_for_among_what_a_pipeline_makes():
  found = []
  with executor('--direct_running_mode=in_memory').beam_pipeline() as pipeline:
    found.append(gc.get_freeze_count())
    _ = pipeline | beam.Create([1])
  assert found[0] > 100_000  # TFX and TensorFlow
  assert gc.get_freeze_count() == 0


def test_it_is_so_again_when_a_pipeline_fails():
  with pytest.raises(ZeroDivisionError), gc_frozen():
    1 / 0  # noqa: B018
  assert gc.get_freeze_count() == 0


def test_what_was_set_aside_by_others_stays_so():
  gc.freeze()
  try:
    before = gc.get_freeze_count()
    with gc_frozen():
      pass
    assert gc.get_freeze_count() >= before - 1000  # some were freed meanwhile
  finally:
    gc.unfreeze()


@pytest.mark.parametrize('component', [Splitter, Augmenter, InputGen])
def test_every_component_starts_so(component):
  assert issubclass(component, BeamExecutor)
