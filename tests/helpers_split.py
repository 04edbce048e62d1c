"""Requests of a split, and the split itself without a runner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfx_balance.scan.scan import InputFile
from tfx_balance.sizes import SIZES
from tfx_balance.stratified_splitter.output_plan import SplitContext
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_examples import Shards, read_splits, write_tfrecords
from tests.list_runner import write_on_lists


def input_files(folder: Path, shards: Shards, suffix: str = '') -> list[InputFile]:
  """Writes shards of records, and returns the files in order."""
  paths = [write_tfrecords(folder / f'in-{i}{suffix}', shard) for i, shard in enumerate(shards)]
  return [InputFile(path, file_number) for file_number, path in enumerate(paths)]


def request_target(folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
  """Returns the attributes of a `RunContext` but its parameters, taken out of arguments."""
  (folder / 'work').mkdir(parents=True, exist_ok=True)
  defaults = {
    'payload': 'FORMAT_TF_EXAMPLE',
    'output_uri': str(folder / 'out'),
    'suffix': '',
    'work_dir': str(folder / 'work'),
    'n_files': 1,
    'sizes': SIZES,
  }
  return {name: arguments.pop(name, value) for name, value in defaults.items()}


def split_context(
  folder: Path, splits: Mapping[str, Any] | None = None, extend: str | None = None, **arguments: Any
) -> SplitContext:
  """Returns a context whose output and work files are in a folder, of `StratifiedSplitter`'s."""
  target = request_target(folder, arguments)
  return SplitContext(SplitterParameters.decode({'splits': splits, **arguments}, extend), **target)


def run_split(
  folder: Path, shards: Shards, splits: Mapping[str, Any] | None = None, **arguments: Any
) -> dict[str, list[bytes]]:
  """Returns the records of each split that some shards make."""
  suffix = arguments.pop('input_suffix', '')
  context = split_context(folder, splits, n_files=len(shards), **arguments)
  write_on_lists(StratifiedSplit(context), input_files(folder, shards, suffix))
  return read_splits(context.output_uri)
