"""The last step of a component: what was written is checked, moved into place, and described."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.plan.sidecar import SIDECAR_NAME
from tfx_balance.transforms.count import InputFile
from tfx_balance.transforms.output_layout import OutputLayout
from tfx_balance.transforms.select import Selection
from tfx_balance.transforms.steps import create, spread
from tfx_balance.transforms.work_files import (
  FileCopy,
  WorkFile,
  copy_file,
  json_text,
  publish,
  write_document,
)


class Request(Protocol):
  """What was asked for."""

  @property
  def output_uri(self) -> str:
    """Of the artifact to write."""

  @property
  def work_dir(self) -> str:
    """For files that are in the making."""


class Layouts(Protocol):
  """What was to be written."""

  @property
  def layouts(self) -> tuple[OutputLayout, ...]:
    """Of the outputs, such as splits."""

  @property
  def written(self) -> tuple[int, ...]:
    """Records to write, by layout."""


class Job(Layouts, Protocol):
  """What was to be done."""

  @property
  def request(self) -> Request:
    """What was asked for."""

  @property
  def selection(self) -> Selection:
    """Which records were to go where."""


def write_outputs(
  pipeline: beam.Pipeline,
  files: Sequence[InputFile],
  transform: beam.PTransform,
  publish_fn: Callable[..., None],
  copies: Sequence[FileCopy],
  passed_through: Sequence[str],
  work_dir: str,
) -> None:
  """Adds to a pipeline all that writes an artifact: the transform, the copies, the last step.

  Args:
    pipeline: to add to.
    files: to read.
    transform: from `InputFile` to (job, counts, files).
    publish_fn: takes passed_through, job, counts and files.
    copies: of files that pass through.
    passed_through: their splits.
    work_dir: for files that are in the making.
  """
  job, counts, written = create(pipeline, 'InputFiles', files) | 'Records' >> transform
  if copies:
    passed = spread(create(pipeline, 'PassedThrough', copies), 'SpreadCopies', _final_path)
    copied = passed | 'Copy' >> beam.Map(copy_file, work_dir)
    written = (written, copied) | 'WorkFiles' >> beam.Flatten()
  _ = (
    pipeline
    | 'Once' >> beam.Impulse()
    | 'Publish'
    >> beam.Map(
      lambda _, *done: publish_fn(list(passed_through), *done),
      beam.pvalue.AsSingleton(job),
      beam.pvalue.AsSingleton(counts),
      beam.pvalue.AsList(written),
    )
  )


def _final_path(copy: FileCopy) -> str:
  return copy.final_path


def publish_outputs(
  job: Job, counts: npt.NDArray[np.int64], files: Sequence[WorkFile], sidecar: Any
) -> None:
  """Moves all the files to where they belong, and the sidecar last.

  It is written before, so that nothing is published where there is no room for all of it.

  Args:
    job: what was to be done.
    counts: int64 [rows, parts], the records that were selected.
    files: all that were written or copied.
    sidecar: JSON data.

  Raises:
    RuntimeError: if that is not what was planned: a fault of this package, or changed data.
  """
  if not np.array_equal(counts, job.selection.quotas):
    raise RuntimeError(f'selected {counts.tolist()}, planned {job.selection.quotas.tolist()}')
  check_records(job, files)
  work_dir, path = job.request.work_dir, f'{job.request.output_uri}/{SIDECAR_NAME}'
  described = write_document(work_dir, path, json_text(sidecar))
  publish(files)
  publish([described])


def file_sizes(files: Sequence[WorkFile]) -> dict[str, dict[str, int]]:
  """Returns, of each split that is published, file name to bytes as stored, by name."""
  sizes: dict[str, dict[str, int]] = {}
  for file in sorted(files, key=lambda f: f.final_path):
    folder, name = file.final_path.rsplit('/', 2)[1:]
    sizes.setdefault(folder.removeprefix('Split-'), {})[name] = file.size
  return sizes


def check_records(job: Layouts, files: Sequence[WorkFile]) -> None:
  """Checks that the files hold as many records of each output as were to be written.

  Raises:
    RuntimeError: if they do not.
  """
  by_path = {file.final_path: file for file in files}
  for layout, planned in zip(job.layouts, job.written, strict=True):
    found = sum(by_path[path].part_records(layout.part) for path in layout.paths)
    if found != planned:
      raise RuntimeError(f'{found} records in {layout.paths[0]} and so on, planned {planned}')
