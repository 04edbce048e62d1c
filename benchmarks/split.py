"""Compares StratifiedSplitter with the hash split of ImportExampleGen on the same files.

Each side is a pipeline of one component in its own process. The time is that of
`LocalDagRunner.run()`, without imports and with memory touched beforehand. The floor is one
decompression of the input and one compression of the output, as in the splitter. Targets on 8
shards: 10 times the records per second of the hash split on 5,000,000 small examples, 4 times on
500,000 of 4 KB, and 12 bytes of memory per record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data import DataFiles, DataSpec
from benchmarks.floor import fixed
from benchmarks.harness import Case, Piece, Work

SPLITS = {'train': 8, 'eval': 1, 'test': 1}
SPECS = {
  'full': 'small:500000:8 small:500000:1 small:5000000:8 small:5000000:1 4k:50000:8 4k:500000:8',
  'small': 'small:50000:8 4k:5000:8',
  'tiny': 'small:500:2',
}
_AIMS = {'small': 10, '4k': 4}


def cases(size: str, specs: Sequence[DataSpec] = ()) -> list[Case]:
  """Returns the cases of a size, or those of the given input files."""
  return [case_of(spec) for spec in specs or map(DataSpec.parse, SPECS[size].split())]


def case_of(spec: DataSpec) -> Case:
  """Returns the case that splits the specified files."""
  ours = Piece('benchmarks.split:stratified_split')
  return Case(
    name=f'{spec.records:,} {spec.kind}, {spec.shards} shards',
    records=spec.records,
    make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
    floor=Piece('benchmarks.floor:recode'),
    sides={
      'ours, fixed': fixed(ours, spec.records),
      'stock': Piece('benchmarks.split:stock_split'),
      'ours': ours,
    },
    peers=('stock',),
    ours=('ours',),
    shape=asdict(spec),
    aim=_AIMS.get(spec.kind),
  )


def stock_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files by hash with ImportExampleGen."""
  from tfx import v1 as tfx

  files = DataFiles.from_json(data)
  splits = [tfx.proto.SplitConfig.Split(name=name, hash_buckets=n) for name, n in SPLITS.items()]
  output = tfx.proto.Output(split_config=tfx.proto.SplitConfig(splits=splits))
  component = tfx.components.ImportExampleGen(input_base=files.split_folder, output_config=output)
  return _work([component], files, root, beam_args)


def stratified_split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files with StratifiedSplitter."""
  # Imported before timing starts, but here, so that the stock side does not load this package.
  from tfx_balance import StratifiedSplitter

  from benchmarks.components import import_examples

  files = DataFiles.from_json(data)
  source = import_examples(files)
  component = StratifiedSplitter(source.outputs['result'], splits=SPLITS)
  return _work([source, component], files, root, beam_args)


def _work(components: Sequence[Any], files: DataFiles, root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of a pipeline whose last component splits files."""
  from benchmarks.checks import check_split
  from benchmarks.components import pipeline_work

  check = partial(check_split, Path(root, components[-1].id), files.records, list(SPLITS))
  return pipeline_work(components, root, beam_args, lambda _: check(), files.fresh_bytes)
