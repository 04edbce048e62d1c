"""What laying out by class is to do: asked for first, decided once the data is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tfx_balance.plan import input_plan
from tfx_balance.plan.class_files import assign_files
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.input_plan import FileSegment, InputFile, InputPlan
from tfx_balance.transforms import output_layout
from tfx_balance.transforms.class_column import Payload
from tfx_balance.transforms.count import ScannedFile
from tfx_balance.transforms.features import check_features
from tfx_balance.transforms.labels import MissingLabel
from tfx_balance.transforms.output_layout import OutputLayout
from tfx_balance.transforms.read_options import READ_DEFAULTS, ReadOptions
from tfx_balance.transforms.totals import Totals
from tfx_balance.transforms.work_files import WorkFile

TRAIN = 'train'
"""What the merged split is called."""


@dataclass(frozen=True)
class ShardRequest:
  """What is asked for, before any data is read.

  Attributes:
    label: the feature that holds the class.
    train_splits: that are merged.
    seed: of the order of the records.
    missing: what becomes of records without a class.
    payload: what a record is.
    output_uri: of the artifact to write.
    hyperparameters_uri: of the artifact that gets the plan.
    suffix: of the files to write.
    work_dir: for files that are in the making; on the artifact's filesystem.
    parameters: as given, for the sidecar.
    reading: how records are read.
  """

  label: str
  train_splits: tuple[str, ...]
  seed: int
  missing: MissingLabel
  payload: Payload
  output_uri: str
  hyperparameters_uri: str
  suffix: str
  work_dir: str
  parameters: Mapping[str, Any]
  reading: ReadOptions = READ_DEFAULTS

  @property
  def folder(self) -> str:
    """Of the files to write, relative to the artifact's root."""
    return f'Split-{TRAIN}'


@dataclass(frozen=True)
class ShardJob:
  """What is to be done, decided from the totals.

  Attributes:
    request: what was asked for.
    sources: of each split, what was read.
    classes: in canonical order.
    natural: records of each class, by split.
    layouts: of the classes, in their order.
    n_files: the input files of all the splits.
  """

  request: ShardRequest
  sources: Mapping[str, Mapping[str, Any]]
  classes: tuple[ClassValue, ...]
  natural: Mapping[str, tuple[int, ...]]
  layouts: tuple[OutputLayout, ...]
  n_files: int

  @property
  def written(self) -> tuple[int, ...]:
    """Records of each class."""
    return tuple(map(sum, zip(*self.natural.values(), strict=True)))

  def outputs(self, scanned: ScannedFile) -> npt.NDArray[np.int64]:
    """Returns the class of each code in a file's index; the last one, -1, is of dropped records."""
    number = {value: i for i, value in enumerate(self.classes)}
    return np.array([*(number[value] for (value,) in scanned.strata), -1], np.int64)

  def plan(self, files: Sequence[WorkFile]) -> InputPlan:
    """Returns the plan that the files make."""
    classes: dict[str, list[int]] = {}  # of a file, by part
    for i, layout in enumerate(self.layouts):
      for path in layout.paths:
        classes.setdefault(path, []).append(i)
    found = {file.final_path: file for file in files}
    return InputPlan(
      label=self.request.label,
      classes=self.classes,
      natural=self.natural,
      files=tuple(
        self._input_file(found[path], classes[path])
        for path in sorted(classes)
        if found[path].records
      ),
      seed=self.request.seed,
      split=TRAIN,
    )

  def _input_file(self, file: WorkFile, classes: Sequence[int]) -> InputFile:
    path = file.final_path.removeprefix(f'{self.request.output_uri}/')
    records = ((i, file.part_records(part)) for part, i in enumerate(classes))
    return InputFile(path, tuple(FileSegment(i, n) for i, n in records if n), file.n_bytes)


def plan_shards(totals: Mapping[str, Totals], request: ShardRequest) -> ShardJob:
  """Returns the job that the totals of the splits and the request make.

  Raises:
    DataError: if the label cannot be the class, or there are no records.
  """
  merged = Totals()
  for of_split in totals.values():
    merged.merge(of_split)
  merged.check_bad(request.reading.max_bad_records)
  check_features(merged, [request.label], request.missing, 'label')
  strata = sorted(merged.records)
  n_bytes = [merged.stratum_bytes[stratum] for stratum in strata]
  splits = {name: totals.get(name, Totals()) for name in request.train_splits}
  return ShardJob(
    request,
    {name: of_split.describe() for name, of_split in splits.items()},
    tuple(value for (value,) in strata),
    {name: tuple(t.records.get(stratum, 0) for stratum in strata) for name, t in splits.items()},
    _layouts(n_bytes, request),
    merged.n_files,
  )


def _layouts(n_bytes: Sequence[int], request: ShardRequest) -> tuple[OutputLayout, ...]:
  """Returns the layout of each class, given its bytes; files are numbered group by group."""
  groups = assign_files(n_bytes, input_plan.MAX_FILE_BYTES, input_plan.SHARED_FILE_BYTES)
  n = sum(group.n_files for group in groups)
  folder = f'{request.output_uri}/{request.folder}'
  paths = [f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{request.suffix}' for i in range(n)]
  layouts: dict[int, OutputLayout] = {}
  first = 0
  for group in groups:
    own = tuple(paths[first : first + group.n_files])
    first += group.n_files
    held = sum(n_bytes[i] for i in group.classes)
    alone = len(group.classes) == 1  # parts of several buckets would be in turns
    n_buckets = -(-held // group.n_files // output_layout.BUCKET_BYTES) if alone else 1
    for part, i in enumerate(group.classes):
      layouts[i] = OutputLayout(own, n_buckets, part)
  return tuple(layouts[i] for i in sorted(layouts))
