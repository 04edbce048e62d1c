"""Arguments and plan of a run of BalancedInputGen."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from tfx_balance.balanced_input_gen.parameters import InputGenParameters
from tfx_balance.documents.balanced_input import PLAN_NAME, FileSegment, InputPlan, PlanFile
from tfx_balance.documents.class_distribution import SIDECAR_NAME, InputRecords
from tfx_balance.documents.descriptions import describe_input
from tfx_balance.plan.class_files import ClassFiles, assign_files, file_bytes
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.scan.stratum_counts import StratumColumns
from tfx_balance.scan.totals import Totals, check_features
from tfx_balance.shuffle.ranges import FileGroup, OutputLayout, files_together
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import OutputPlan, RunContext, file_sizes

TRAIN = 'train'
"""Name of the merged split."""
HYPERPARAMETERS_NAME = 'best_hyperparameters.txt'
"""As the stock Tuner names it; the Trainer takes whatever single file there is."""


@dataclass(frozen=True)
class ShardContext(RunContext[InputGenParameters]):
  """The arguments of a run, and where it writes.

  Attributes:
    hyperparameters_uri: Root of the artifact that gets the plan.
  """

  hyperparameters_uri: str


@dataclass(frozen=True)
class ShardOutputPlan(OutputPlan):
  """The plan of a run, made from the totals; an output is a class, quotas are [classes].

  Attributes:
    sources: What was read of each split.
    strata: Strata of one feature, the classes, in canonical order.
    natural: Number of records of each class, by split.
    grouped: Classes of each group of files, as many as its files have sections.
  """

  context: ShardContext
  sources: Mapping[str, InputRecords]
  strata: StratumColumns
  natural: Mapping[str, tuple[int, ...]]
  grouped: tuple[tuple[int, ...], ...]

  @property
  def classes(self) -> tuple[ClassValue, ...]:
    """The classes in canonical order."""
    return tuple(self.strata.classes)

  def documents(self, files: Sequence[WorkFile], passed_through: Sequence[str]) -> dict[str, str]:
    """Returns the plan, twice, and the sidecar, by path."""
    plan, root = self.plan(files), self.context.output_uri
    described = self.context.parameters.describe()
    sidecar = describe_input(plan, described, self.sources, file_sizes(files), passed_through)
    return {
      f'{self.context.hyperparameters_uri}/{HYPERPARAMETERS_NAME}': plan.dumps(),
      f'{root}/{PLAN_NAME}': plan.dumps(),
      f'{root}/{SIDECAR_NAME}': replace(sidecar, step=self.context.step).dumps(),
    }

  @property
  def file_groups(self) -> list[FileGroup]:
    """The files of a class, or the file of several."""
    firsts = [self.layouts[classes[0]] for classes in self.grouped]
    return [
      FileGroup(((0, len(classes), one.paths),), one.n_chunks, one.n_together)
      for classes, one in zip(self.grouped, firsts, strict=True)
    ]

  def of_codes(self, scanned: ScannedFile) -> tuple[Ints, Ints, Ints, npt.NDArray[np.bool_]]:
    """Returns class, file group and section of each stratum code in a file's index: [codes].

    Returns:
      Its class, the number of its file group, its section there, all int64; and whether it shares
      the file with other classes.
    """
    classes, of_class = self.strata.rows_of(scanned.strata), np.empty(len(self.layouts), np.int64)
    for i, own in enumerate(self.grouped):
      of_class[list(own)] = i
    sections = np.array([layout.section for layout in self.layouts])[classes]
    file_group = of_class[classes]
    shared = np.array([len(own) > 1 for own in self.grouped])[file_group]
    return classes, file_group, sections, shared

  def plan(self, files: Sequence[WorkFile]) -> InputPlan:
    """Returns the plan that the files make."""
    classes = {path: own for own in self.grouped for path in self.layouts[own[0]].paths}
    found = {file.final_path: file for file in files}
    features = self.context.parameters.features
    return InputPlan(
      label=self.context.parameters.label,
      classes=self.classes,
      natural=self.natural,
      files=tuple(
        self._input_file(found[path], classes[path])
        for path in sorted(classes)
        if found[path].records
      ),
      seed=self.context.parameters.seed,
      split=TRAIN,
      features=features if len(features) > 1 else (),
      payload_format=self.context.payload,
    )

  def _input_file(self, file: WorkFile, classes: Sequence[int]) -> PlanFile:
    path = file.final_path.removeprefix(f'{self.context.output_uri}/')
    records = ((i, file.section_records(section)) for section, i in enumerate(classes))
    segments = tuple(FileSegment(i, n) for i, n in records if n)
    return PlanFile(path, segments, n_bytes=file.n_bytes)


def plan_shards(totals: Mapping[str, Totals], context: ShardContext) -> ShardOutputPlan:
  """Plans a run from the counts of the splits and the arguments.

  Raises:
    DataError: if the label cannot be the class, or there are no records.
  """
  merged = functools.reduce(Totals.merge, totals.values(), Totals())
  parameters = context.parameters
  merged.check_bad(parameters.reading.max_bad_records)
  # The set of a record's labels may be empty.
  optional = dict.fromkeys(parameters.labels, 'label')
  check_features(merged, parameters.features[:1], parameters.missing, 'label', optional)
  counts, sizes = merged.strata(), context.sizes
  n_bytes = counts.n_bytes.tolist()
  file_groups = assign_files(n_bytes, file_bytes(n_bytes, sizes), sizes.shared_file_bytes)
  splits = {name: totals.get(name, Totals()) for name in parameters.train_splits}
  return ShardOutputPlan(
    context,
    _layouts(n_bytes, file_groups, context),
    tuple(counts.records.tolist()),
    counts.records,
    {name: of_split.describe() for name, of_split in splits.items()},
    counts.strata,
    {name: _records(of_split, counts.strata) for name, of_split in splits.items()},
    tuple(file_group.classes for file_group in file_groups),
  )


def _records(totals: Totals, strata: StratumColumns) -> tuple[int, ...]:
  """Returns the records of each stratum in some totals."""
  records = np.zeros(len(strata), np.int64)
  for counts in totals.counts:
    np.add.at(records, strata.rows_of(counts.strata), counts.records)
  return tuple(records.tolist())


def _layouts(
  n_bytes: Sequence[int], file_groups: Sequence[ClassFiles], context: ShardContext
) -> tuple[OutputLayout, ...]:
  """Returns the layout of each class, given its bytes; files are numbered group by group."""
  n = sum(file_group.n_files for file_group in file_groups)
  folder = f'{context.output_uri}/Split-{TRAIN}'
  paths = (f'{folder}/data_tfrecord-{i:05d}-of-{n:05d}{context.suffix}' for i in range(n))
  layouts: dict[int, OutputLayout] = {}
  for file_group in file_groups:
    own = tuple(itertools.islice(paths, file_group.n_files))
    bytes_each = -(-sum(n_bytes[i] for i in file_group.classes) // file_group.n_files)
    alone = len(file_group.classes) == 1  # sections of several chunks would be in turns
    n_chunks = -(-bytes_each // context.sizes.gather_bytes) if alone else 1
    for section, i in enumerate(file_group.classes):
      layouts[i] = OutputLayout(own, n_chunks, section, files_together(bytes_each))
  return tuple(layouts[i] for i in sorted(layouts))
