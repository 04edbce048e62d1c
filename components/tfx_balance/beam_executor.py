"""What the executors of all the components have in common: they start as fast as they can."""

from __future__ import annotations

import contextlib
import copy
import gc
import sys
from collections.abc import Iterator, Sequence

import apache_beam as beam
from absl import flags
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from tfx.dsl.components.base import base_beam_executor

_LOCAL_RUNNERS = {'directrunner', 'switchingdirectrunner', 'fnapirunner', 'bundlebaseddirectrunner'}
_IN_MEMORY = {'--direct_running_mode=in_memory'}
_IN_MEMORY_RUNNER = 'apache_beam.runners.portability.fn_api_runner.FnApiRunner'


class BeamExecutor(base_beam_executor.BaseBeamExecutor):
  """A Beam executor that leaves TFX unpacked where no other machine needs it.

  TFX packs its own source for Beam's workers each time that an executor is made with arguments for
  Beam, which takes 1.2 s, also for the workers of Beam's direct runner: threads and processes of
  this machine, which have it. Without arguments for Beam it does not either.

  Where `--direct_running_mode=in_memory` is asked for, it is had: since Beam 2.68 the direct runner
  tries Prism first, a program that it downloads, whatever the running mode.
  """

  def __init__(self, context: base_beam_executor.BaseBeamExecutor.Context | None = None) -> None:
    args = list(getattr(context, 'beam_pipeline_args', None) or [])
    if context is None or not args or not runs_on_this_machine(args):
      super().__init__(context)
      return
    bare = copy.copy(context)
    bare.beam_pipeline_args = []
    super().__init__(bare)
    if _IN_MEMORY.intersection(args):
      args.append(f'--runner={_IN_MEMORY_RUNNER}')
    self._beam_pipeline_args = args
    flags.FLAGS([*sys.argv, *args], known_only=True)  # as TFX does

  @contextlib.contextmanager
  def beam_pipeline(self) -> Iterator[beam.Pipeline]:
    """Gives a Beam pipeline, which runs when the `with` ends."""
    with garbage_of_its_own(), self._make_beam_pipeline() as pipeline:
      yield pipeline


@contextlib.contextmanager
def garbage_of_its_own() -> Iterator[None]:
  """Has Python look for garbage only among what is made in a `with`.

  One search of all that TFX and TensorFlow keep takes a second, and a run with thousands of classes
  has several. What a program has set aside itself, by `gc.freeze`, stays so.
  """
  if gc.get_freeze_count():
    yield
    return
  gc.freeze()
  try:
    yield
  finally:
    gc.unfreeze()


def runs_on_this_machine(beam_pipeline_args: Sequence[str]) -> bool:
  """Returns whether these arguments choose the direct runner."""
  chosen = PipelineOptions(list(beam_pipeline_args)).view_as(StandardOptions).runner
  return not chosen or chosen.rpartition('.')[2].lower() in _LOCAL_RUNNERS
