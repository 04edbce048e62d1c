"""Beam pipeline of a component that writes `Examples`, and publication of its files."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import apache_beam as beam
import numpy as np

from tfx_balance.beam.steps import create, spread
from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.ranks import Ints
from tfx_balance.scan.scan import InputFile, ScanFile
from tfx_balance.scan.strata import MissingLabel, Payload
from tfx_balance.shuffle.ranges import FileGroup, OutputLayout
from tfx_balance.shuffle.stored_values import store
from tfx_balance.sizes import Workspace
from tfx_balance.tfrecord.reading import ReadOptions
from tfx_balance.tfrecord.work_files import (
  FileCopy,
  WorkFile,
  copy_file,
  publish,
  write_document,
)


class ScanParameters(Protocol):
  """Arguments of every component on the reading of its records."""

  COMPONENT: ClassVar[str]
  """Name of the component's class."""

  @property
  def features(self) -> Sequence[str]:
    """Features that strata are made of."""

  @property
  def missing(self) -> MissingLabel:
    """Treatment of records without a class."""

  @property
  def reading(self) -> ReadOptions:
    """Options of reading."""

  @property
  def seed(self) -> int:
    """Seed of the component."""


P = TypeVar('P', bound=ScanParameters)


@dataclass(frozen=True)
class RunContext(Workspace, Generic[P]):
  """The arguments of a component's run, and where it writes; also its workspace.

  Attributes:
    parameters: Arguments of the component, decoded.
    payload: Type of the records.
    output_uri: Root of the artifact to write.
    suffix: End of the names of the files to write: '.gz', or '' for plain ones.
    step: Number of the component in the chain of those that drew from the records, from 1.
  """

  parameters: P
  payload: Payload
  output_uri: str
  suffix: str
  step: int = field(default=1, kw_only=True)

  @property
  def draw_seed(self) -> int:
    """Seed of every draw of the run, another one for each component and step of a chain.

    Drawn twice by one seed, records would stay in the order that they have, and the first of the
    one selection would be the first of the next.
    """
    return tie_break(self.parameters.seed, self.parameters.COMPONENT, self.step)

  def new_scan(self, **options: Any) -> ScanFile:
    """Returns the step that reads the input files and spills them.

    Args:
      options: Further arguments of `ScanFile`, by name.
    """
    given = self.parameters
    return ScanFile(
      given.features,
      self.payload,
      given.missing,
      self.work_dir,
      given.reading,
      self.draw_seed,
      n_files=self.n_files,
      sizes=self.sizes,
      **options,
    )


@dataclass(frozen=True)
class OutputPlan(abc.ABC):
  """The plan of a component's run, made once its input is counted.

  Attributes:
    context: Arguments of the run.
    layouts: Files of each output, such as a split.
    written: Number of records of each output.
    quotas: Numbers of records to select, int64, as the step that assigns records counts them.
  """

  context: RunContext[Any]
  layouts: tuple[OutputLayout, ...]
  written: tuple[int, ...]
  quotas: Ints

  @property
  @abc.abstractmethod
  def file_groups(self) -> Sequence[FileGroup]:
    """The files to write, as they are written together."""

  @abc.abstractmethod
  def documents(self, files: Sequence[WorkFile], passed_through: Sequence[str]) -> dict[str, str]:
    """Returns the JSON texts to publish by path, the sidecar last: it marks a whole artifact."""


def write_outputs(
  pipeline: beam.Pipeline,
  files: Sequence[InputFile],
  transform: beam.PTransform,
  copies: Sequence[FileCopy],
  passed_through: Sequence[str],
  work_dir: str,
) -> None:
  """Adds the steps that write an artifact to a pipeline: transform, copies, publication.

  The transform takes `InputFile` to (`OutputPlan`, counts, `WorkFile`).
  """
  output_plan, counts, written = create(pipeline, 'InputFiles', files) | 'Records' >> transform
  if copies:
    passed = create(pipeline, 'PassedThrough', copies)
    passed = spread(passed, 'SpreadCopies', attrgetter('final_path'))
    copied = passed | 'Copy' >> beam.Map(copy_file, work_dir)
    written = (written, copied) | 'WorkFiles' >> beam.Flatten()
  _ = (
    pipeline
    | 'Once' >> beam.Impulse()
    | 'Publish'
    >> beam.Map(
      lambda _, plan, counts, written: publish_outputs(
        plan.load(), counts.load(), written, passed_through
      ),
      beam.pvalue.AsSingleton(store(output_plan, 'StorePlan', work_dir)),
      beam.pvalue.AsSingleton(store(counts, 'StoreCounts', work_dir)),
      beam.pvalue.AsList(written),
    )
  )


def publish_outputs(
  output_plan: OutputPlan,
  counts: Ints,
  files: Sequence[WorkFile],
  passed_through: Sequence[str] = (),
) -> None:
  """Moves all files to where they belong, then the documents, the sidecar last.

  The documents are written before that, so that nothing is published where there is no room for
  all of it.

  Raises:
    RuntimeError: if counts differ from the plan: a fault of this package, or changed data.
  """
  if not np.array_equal(counts, output_plan.quotas):
    row = np.argwhere(counts != output_plan.quotas)[0][:1]
    found, planned = counts[row].tolist(), output_plan.quotas[row].tolist()
    raise RuntimeError(f'selected {found}, planned {planned}, in row {row[0]}')
  check_records(output_plan, files)
  documents = output_plan.documents(files, passed_through)
  described = [write_document(output_plan.context.work_dir, *item) for item in documents.items()]
  publish(files)
  for document in described:
    publish([document])


def file_sizes(files: Sequence[WorkFile]) -> dict[str, dict[str, int]]:
  """Returns, of each split that is published, file name to bytes as stored, by name."""
  sizes: dict[str, dict[str, int]] = {}
  for file in sorted(files, key=lambda f: f.final_path):
    folder, name = file.final_path.rsplit('/', 2)[1:]
    sizes.setdefault(folder.removeprefix('Split-'), {})[name] = file.size
  return sizes


def check_records(output_plan: OutputPlan, files: Sequence[WorkFile]) -> None:
  """Checks that the files hold as many records of each output as planned.

  Raises:
    RuntimeError: if they do not.
  """
  by_path = {file.final_path: file for file in files}
  for layout, planned in zip(output_plan.layouts, output_plan.written, strict=True):
    found = sum(by_path[path].section_records(layout.section) for path in layout.paths)
    if found != planned:
      raise RuntimeError(f'{found} records in {layout.paths[0]} and so on, planned {planned}')
