"""Pipelines of one component, as pieces to measure: stock hash split, StratifiedSplitter, nothing.

A piece of this module is timed from the call of `LocalDagRunner.run()` to its return. The stock
component reads the folder; ours reads an artifact, so an importer goes before it, whose time is in
ours, and in that of the component that does nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from absl import logging
from tfx import v1 as tfx
from tfx import version
from tfx.types import standard_artifacts

from benchmarks.data import SPLIT, DataFiles
from benchmarks.do_nothing import DoNothing
from benchmarks.measure import Work
from benchmarks.split_check import check_split

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def stock_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files with ImportExampleGen, by hash; gives split to records."""
  files = DataFiles(**data)
  splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in SPLITS.items()]
  output = tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits))
  component = tfx.components.ImportExampleGen(input_base=files.split_folder, output_config=output)
  check = partial(check_split, Path(root, component.id), files.records, list(SPLITS))
  return pipeline_work([component], root, beam_args, check, fresh_bytes(files))


def stratified_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files with StratifiedSplitter; gives split to records."""
  # Before the clock starts, but not above: the stock side's memory is to hold nothing of ours.
  from tfx_balance import StratifiedSplitter

  files = DataFiles(**data)
  source = import_examples(files)
  component = StratifiedSplitter(source.outputs['result'], splits=SPLITS)
  check = partial(check_split, Path(root, component.id), files.records, list(SPLITS))
  return pipeline_work([source, component], root, beam_args, check, fresh_bytes(files))


def nothing(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of running a component that does nothing."""
  source = import_examples(DataFiles(**data))
  component = DoNothing(input_examples=source.outputs['result'])
  return pipeline_work([source, component], root, beam_args)


def fresh_bytes(files: DataFiles) -> int:
  """Returns the memory that a split of files may fill, written files included, and more."""
  return 3 * (files.raw_bytes + files.file_bytes)


def import_examples(files: DataFiles) -> Any:
  """Returns a node that makes an `Examples` artifact of files."""
  return tfx.dsl.Importer(
    source_uri=files.folder,
    artifact_type=standard_artifacts.Examples,
    properties={'split_names': f'["{SPLIT}"]'},
    custom_properties={
      'payload_format': 'FORMAT_TF_EXAMPLE',
      'tfx_version': version.__version__,  # without it, folders of splits have their old names
    },
  )


def pipeline_work(
  components: Sequence[Any],
  root: str,
  beam_args: Sequence[str],
  check: Callable[[], Any] = lambda: None,
  fresh_bytes: int = 0,
) -> Work:
  """Returns the work of running a pipeline; its result is what `check` returns."""
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
  return Work(lambda: runner.run(pipeline), lambda _: check(), fresh_bytes)
