"""Work of pipelines of one component and, for this package, an importer, which is timed too."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
from absl import logging
from tfx import v1 as tfx
from tfx import version
from tfx.dsl.component.experimental.annotations import BeamComponentParameter, InputArtifact
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts

from benchmarks.data import SPLIT, DataFiles
from benchmarks.harness import Work


def import_examples(files: DataFiles) -> Any:
  """Returns a node that imports files as an `Examples` artifact."""
  return tfx.dsl.Importer(
    source_uri=files.folder,
    artifact_type=standard_artifacts.Examples,
    properties={'split_names': f'["{SPLIT}"]'},
    custom_properties={
      'payload_format': 'FORMAT_TF_EXAMPLE',
      'tfx_version': version.__version__,  # without it, TFX expects the old names of split folders
    },
  )


def pipeline_work(
  components: Sequence[Any],
  root: str,
  beam_args: Sequence[str],
  check: Callable[[Any], Mapping[str, Any]] = lambda _: {},
  fresh_bytes: int = 0,
) -> Work:
  """Returns the work of running a pipeline."""
  logging.set_verbosity(logging.WARNING)
  Path(root).mkdir(parents=True)
  metadata = tfx.orchestration.metadata.sqlite_metadata_connection_config(f'{root}/metadata.sqlite')
  pipeline = tfx.dsl.Pipeline(
    pipeline_name='benchmark',
    pipeline_root=root,
    components=list(components),
    enable_cache=False,
    metadata_connection_config=metadata,
    beam_pipeline_args=list(beam_args),
  )
  runner = tfx.orchestration.LocalDagRunner()
  return Work(lambda: runner.run(pipeline), check, fresh_bytes)


def lay_out_by_class(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of BalancedInputGen."""
  from tfx_balance import BalancedInputGen

  from benchmarks.checks import check_balanced

  files = DataFiles.from_json(data)
  source, found = import_examples(files), f'{root}/BalancedInputGen/examples/*/Split-train/*'
  component = BalancedInputGen(source.outputs['result'], train_splits=(SPLIT,))
  return pipeline_work(
    [source, component],
    root,
    beam_args,
    lambda _: check_balanced(found, files.spec.class_counts()),
    files.fresh_bytes,
  )


@component(use_beam=True)
def Empty(  # TFX takes the name of the component from the function
  examples: InputArtifact[standard_artifacts.Examples],
  beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
  """Runs a Beam pipeline that does nothing."""
  with beam_pipeline as pipeline:
    _ = pipeline | beam.Create([None]) | beam.Map(lambda one: one)


def do_nothing(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of a pipeline of a component that does nothing."""
  files = DataFiles.from_json(data)
  source = import_examples(files)
  empty = Empty(examples=source.outputs['result'])
  count = {'records': files.records}
  return pipeline_work([source, empty], root, beam_args, lambda _: count)
