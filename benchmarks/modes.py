"""Compares each mode of StratifiedSplitter with its plain split of the same files.

The plain split is by 5 classes. The modes keep groups whole, put later records into later splits,
take quantile bins of a number for classes, or take the label sets of a multi-valued feature. Groups
are of 10 records on average. Records have 3 labels on average, out of 100, and one label set for 25
records. Each side is a pipeline of one component in its own process, one after another, with memory
touched before the time starts. Targets for 5,000,000 records: at most three times the time of the
plain split, and at most 200 MB more memory.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.data import DataFiles
from benchmarks.harness import Case, Piece, Work
from benchmarks.split import SPLITS

RECORDS = {'full': 5_000_000, 'small': 500_000, 'tiny': 500}
MODES: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
  'groups': {
    'groups': {'group_by': 'group'},
    'order': {'order_by': 'time'},
    'bins': {'stratify_by': 'number', 'bins': 10},
  },
  'label sets': {'multi-label': {'stratify_by': 'labels', 'multilabel': True}},
}
"""Arguments of each mode, by the kind of the files that it splits."""
PLAIN = 'plain'
_AIM = 1 / 3


def cases(size: str) -> list[Case]:
  """Returns the cases of a size."""
  return [case_of(kind, RECORDS[size]) for kind in MODES]


def case_of(kind: str, records: int) -> Case:
  """Returns the case that splits files of a kind, plainly and in each mode."""
  return Case(
    name=f'{records:,} records with {kind}',
    records=records,
    make=Piece('benchmarks.mode_data:make', {'kind': kind, 'records': records}),
    sides={
      side: Piece('benchmarks.modes:split', {'arguments': arguments})
      for side, arguments in {PLAIN: {}, **MODES[kind]}.items()
    },
    peers=(PLAIN,),
    ours=tuple(MODES[kind]),
    aim=_AIM,
  )


def split(
  arguments: Mapping[str, Any], data: dict[str, Any], root: str, beam_args: list[str]
) -> Work:
  """Returns the work of splitting files with arguments of StratifiedSplitter."""
  from tfx_balance import StratifiedSplitter

  from benchmarks.checks import check_split
  from benchmarks.components import import_examples, pipeline_work

  files = DataFiles.from_json(data)
  source = import_examples(files)
  component = StratifiedSplitter(source.outputs['result'], splits=SPLITS, **arguments)
  check = partial(check_split, Path(root, component.id), files.records, list(SPLITS))
  return pipeline_work([source, component], root, beam_args, lambda _: check(), files.fresh_bytes)
