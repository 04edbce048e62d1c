"""Executors: how components start Beam, and how those that write `Examples` run."""

from __future__ import annotations

import abc
import contextlib
import copy
import gc
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
from absl import flags
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from tfx import types
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils

from tfx_balance.beam.counters import check_counters
from tfx_balance.declare import with_defaults
from tfx_balance.documents.class_distribution import SIDECAR_NAME, ClassDistribution
from tfx_balance.errors import plain_errors
from tfx_balance.examples_artifact import ExamplesInput, log_warnings
from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord.files import suffix_of
from tfx_balance.tfrecord.storage import read_whole
from tfx_balance.tfrecord.work_folder import work_folder
from tfx_balance.tfx_object_store import register_object_stores
from tfx_balance.writer import write_outputs

register_object_stores()

_LOCAL_RUNNERS = {'directrunner', 'switchingdirectrunner', 'fnapirunner', 'bundlebaseddirectrunner'}
_IN_MEMORY = {'--direct_running_mode=in_memory'}
_IN_MEMORY_RUNNER = 'apache_beam.runners.portability.fn_api_runner.FnApiRunner'


class BeamExecutor(base_beam_executor.BaseBeamExecutor):
  """A Beam executor that packages TFX for workers only if some are on other machines.

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

  def work_folder(
    self, output_uri: str, input_paths: Sequence[str] = ()
  ) -> contextlib.AbstractContextManager[str]:
    """Gives a folder for work files that all of the pipeline's workers reach."""
    # Beam's client of S3 reads them.
    FileSystems.set_options(PipelineOptions(self._beam_pipeline_args))
    return work_folder(output_uri, input_paths, runs_on_this_machine(self._beam_pipeline_args))

  @contextlib.contextmanager
  def beam_pipeline(self) -> Iterator[beam.Pipeline]:
    """Gives a Beam pipeline, which runs when the `with` ends."""
    with gc_frozen(), self._make_beam_pipeline() as pipeline:
      yield pipeline


@dataclass(frozen=True)
class BeamRun:
  """Pipelines of a component, and the folder of their work files.

  Attributes:
    make_pipeline: Function that makes a Beam pipeline, which runs when its `with` ends.
    work_dir: Folder of work files.
  """

  make_pipeline: Callable[[], contextlib.AbstractContextManager[beam.Pipeline]]
  work_dir: str


@dataclass(frozen=True)
class ExamplesRun:
  """Plan of one run of a component that writes `Examples`.

  Attributes:
    files: Files to read.
    passed_through: Splits that are copied as they are.
    made: Splits that are made.
    transform_of: Function that makes the Beam transform of the attributes of a `RunContext`, by
      name, but for its parameters.
    context: Context manager in which the transform is made and runs.
  """

  files: Sequence[InputFile]
  passed_through: Sequence[str]
  made: Sequence[str]
  transform_of: Callable[..., beam.PTransform]
  context: contextlib.AbstractContextManager[Any] = field(default_factory=contextlib.nullcontext)


Artifacts = Mapping[str, list[types.Artifact]]


class ExamplesExecutor(BeamExecutor):
  """An executor that reads `Examples` and writes `Examples`, with a sidecar at their root.

  Attributes:
    sizes: Sizes of what is read, held and written.
  """

  sizes = SIZES

  @abc.abstractmethod
  def prepare(
    self, source: ExamplesInput, inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]
  ) -> ExamplesRun:
    """Returns the plan of the run, by the execution properties.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the input.
    """

  def Do(
    self,
    input_dict: dict[str, list[types.Artifact]],
    output_dict: dict[str, list[types.Artifact]],
    exec_properties: dict[str, Any],
  ) -> None:
    """Makes `examples` of `input_examples`: what a transform writes, and splits that pass through.

    Raises:
      ConfigError: if an argument breaks a rule, alone or together with the input.
      DataError: if the data or an augment function does. Nothing has been published then.
    """
    self._log_startup(input_dict, output_dict, exec_properties)
    source = ExamplesInput.of(input_dict['input_examples'])
    output = artifact_utils.get_single_instance(output_dict['examples'])
    run = self.prepare(source, input_dict, output_dict, with_defaults(exec_properties))
    with run.context:
      source.check_files()
      copies = source.copies(run.passed_through, output.uri)
      with self.work_folder(output.uri, [file.path for file in run.files]) as work_dir:
        transform = run.transform_of(
          payload=source.payload(),
          output_uri=output.uri,
          suffix=suffix_of(run.files[0].path),
          n_files=len(run.files),
          step=1 + source.steps(),
          work_dir=work_dir,
          sizes=self.sizes,
        )
        with plain_errors(), self.beam_pipeline() as pipeline:
          write_outputs(pipeline, run.files, transform, copies, run.passed_through, work_dir)
    path = f'{output.uri}/{SIDECAR_NAME}'
    sidecar = ClassDistribution.from_json(read_whole(path), path)
    check_counters(pipeline.result, sidecar)
    source.carry_over(output, [*run.made, *run.passed_through])
    log_warnings(sidecar, output.uri)


@contextlib.contextmanager
def gc_frozen() -> Iterator[None]:
  """Keeps objects from before a `with` out of garbage collection in it.

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
