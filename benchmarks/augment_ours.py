"""BalancedAugmenter as pieces to measure: as a component in a pipeline, and its transform alone.

The component's time is that of `LocalDagRunner.run()`, an importer before it included; the
transform's is that of its Beam pipeline, the renaming of its files included.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from tfx_balance import BalancedAugmenter
from tfx_balance.augment import ImageAugment
from tfx_balance.plan.balance_plan import BalanceRequest
from tfx_balance.transforms.augment import BalancedAugment, publish_augmented
from tfx_balance.transforms.augment_job import AugmentRequest
from tfx_balance.transforms.count import InputFile
from tfx_balance.transforms.publish import write_outputs

from benchmarks.augment_check import check_balanced, check_images
from benchmarks.augment_images import BRIGHTNESS, CONTRAST, CROP, ImageFiles
from benchmarks.data import SPLIT, DataFiles, DataSpec
from benchmarks.measure import Work
from benchmarks.one_component import import_examples, pipeline_work

COPIES = 'copies'
"""The split of the augmented images."""
AUGMENT = ImageAugment(flip_left_right=True, brightness=BRIGHTNESS, contrast=CONTRAST, crop=CROP)


def duplicate_component(
  data: dict[str, Any], spec: dict[str, Any], root: str, beam_args: Sequence[str]
) -> Work:
  """Returns the work of bringing each class up to the largest; gives class to records."""
  targets = largest_for_all(spec)
  check = partial(check_balanced, targets=targets)
  return component_work(DataFiles(**data), root, beam_args, check, SPLIT)


def duplicate_transform(
  data: dict[str, Any], spec: dict[str, Any], root: str, beam_args: Sequence[str]
) -> Work:
  """Returns the same work without TFX around it."""
  targets = largest_for_all(spec)
  check = partial(check_balanced, targets=targets)
  request = make_request(root, BalanceRequest.parse('not majority'), None)
  return transform_work(DataFiles(**data).paths(), request, None, beam_args, check, SPLIT)


def image_component(data: dict[str, Any], copies: int, root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of writing so many copies of each image; gives class to records."""
  files = ImageFiles(**data)
  options = {'factors': all_alike(files, copies), 'augment_fn': AUGMENT, 'augmented_split': COPIES}
  return component_work(
    DataFiles(files.folder, files.records, 0, 0),
    root,
    beam_args,
    check_of_images(files, copies),
    COPIES,
    **options,
  )


def image_transform(data: dict[str, Any], copies: int, root: str, beam_args: Sequence[str]) -> Work:
  """Returns the same work without TFX around it."""
  files = ImageFiles(**data)
  balance = BalanceRequest.parse(factors=all_alike(files, copies))
  request = make_request(root, balance, COPIES)
  check = check_of_images(files, copies)
  return transform_work(files.paths, request, lambda: AUGMENT, beam_args, check, COPIES)


def largest_for_all(spec: Mapping[str, Any]) -> list[int]:
  """Returns each class's records after 'not majority'."""
  counts = DataSpec(**spec).class_counts()
  return [max(counts)] * len(counts)


def all_alike(files: ImageFiles, copies: int) -> dict[int, int]:
  """Returns the factors that make so many copies of every record, besides itself."""
  return dict.fromkeys(range(len(files.class_counts)), copies + 1)


def check_of_images(files: ImageFiles, copies: int) -> Callable[[str], Any]:
  """Returns the check of files that hold so many copies of each record."""
  return partial(check_images, targets=[n * copies for n in files.class_counts], side=files.side)


def component_work(
  files: DataFiles,
  root: str,
  beam_args: Sequence[str],
  check: Callable[[str], Any],
  split: str,
  **options: Any,
) -> Work:
  """Returns the work of a pipeline of an importer and the component.

  Args:
    files: its input.
    root: of the pipeline.
    beam_args: of the pipeline.
    check: takes a pattern of the output files.
    split: that is checked.
    **options: of the component.
  """
  source = import_examples(files)
  component = BalancedAugmenter(source.outputs['result'], splits=(SPLIT,), **options)
  output = Path(root, component.id, 'examples', '*', f'Split-{split}', '*')
  return pipeline_work([source, component], root, beam_args, partial(check, str(output)))


def make_request(root: str, balance: BalanceRequest, augmented_split: str | None) -> AugmentRequest:
  """Returns what the transform is asked for; files in the making are in `root`/.work."""
  return AugmentRequest(
    label='label',
    balance=balance,
    augmented_split=augmented_split,
    seed=0,
    missing='error',
    payload='FORMAT_TF_EXAMPLE',
    output_uri=root,
    suffix='.gz',
    work_dir=f'{root}/.work',
    provenance=False,
    parameters={},
  )


def transform_work(
  paths: Sequence[str],
  request: AugmentRequest,
  load_augment_fn: Callable[[], Any] | None,
  beam_args: Sequence[str],
  check: Callable[[str], Any],
  split: str,
) -> Work:
  """Returns the work of the transform in a Beam pipeline of its own."""
  Path(request.work_dir).mkdir(parents=True)
  inputs = [InputFile(path, rank, SPLIT) for rank, path in enumerate(paths)]

  def run() -> None:
    with beam.Pipeline(options=PipelineOptions(list(beam_args))) as pipeline:
      transform = BalancedAugment(request, load_augment_fn)
      write_outputs(pipeline, inputs, transform, publish_augmented, [], [], request.work_dir)

  return Work(run, lambda _: check(f'{request.output_uri}/Split-{split}/*'))
