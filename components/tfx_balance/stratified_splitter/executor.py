"""Runs StratifiedSplitter: decodes its arguments and artifacts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from absl import logging
from tfx import types

from tfx_balance.documents.class_distribution import SIDECAR_NAME, ClassDistribution
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.examples_artifact import ExamplesInput
from tfx_balance.executors import Artifacts, ExamplesExecutor, ExamplesRun
from tfx_balance.scan.record_values import order_varies
from tfx_balance.scan.scan import InputFile
from tfx_balance.stratified_splitter.output_plan import SplitContext
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord.storage import exists, read_whole


class Executor(ExamplesExecutor):
  """Writes the split artifact."""

  def prepare(
    self, source: ExamplesInput, inputs: Artifacts, outputs: Artifacts, properties: dict[str, Any]
  ) -> ExamplesRun:
    """Returns the files and transform that split `input_examples`; records in `extend` stay."""
    del outputs
    earlier = inputs.get('extend') or []
    sidecar = f'{earlier[0].uri}/{SIDECAR_NAME}' if earlier else None
    parameters = SplitterParameters.decode(properties, sidecar)
    chosen = source.splits if parameters.input_splits is None else parameters.input_splits
    passed = source.others(chosen, 'input_splits')
    for name in passed:
      if name in parameters.split_names:
        raise ConfigError(
          f'split {name!r} of the input passes through, and is a split to make too; '
          f'name it in input_splits=, or give the new one another name'
        )
    if order_varies() and parameters.by_bytes:
      logging.warning(
        'StratifiedSplitter: records are chosen by their bytes, and protobuf 6 writes the '
        'features of a record in another order each time: the same data, imported again, is '
        "split in another way; pass key= with the features of an id, or identity='values'"
      )
    files = source.input_files(chosen, by_split=False)
    if earlier:
      files += extended_files(earlier, source, parameters, len(files))
    return ExamplesRun(
      files,
      passed,
      parameters.split_names,
      lambda **target: StratifiedSplit(SplitContext(parameters, **target)),
    )


def extended_files(
  earlier: Sequence[types.Artifact],
  source: ExamplesInput,
  parameters: SplitterParameters,
  first: int,
) -> list[InputFile]:
  """Returns the files of the artifact to extend, each in the group of its split.

  They are numbered from `first`.

  Raises:
    ConfigError: if there are several, or its splits are not those to make.
    DataError: if it has no sidecar of a splitter, its files are not those of the sidecar, or its
      payload format is another.
  """
  extended = ExamplesInput.of(earlier)
  if len(earlier) > 1:
    raise ConfigError(
      f'extend= holds {len(earlier)} artifacts, and takes one; resolve the latest of them'
    )
  path = f'{earlier[0].uri}/{SIDECAR_NAME}'
  if not exists(path):
    raise DataError(f'{path} is not there; extend= takes an output of StratifiedSplitter')
  sidecar = ClassDistribution.from_json(read_whole(path), path)
  if sidecar.component != 'StratifiedSplitter':
    raise DataError(
      f'{path} is of {sidecar.component}; extend= takes an output of StratifiedSplitter'
    )
  if set(sidecar.splits) != set(parameters.split_names):
    raise ConfigError(
      f'the artifact to extend has the splits {sorted(sidecar.splits)}, and those to make are '
      f'{sorted(parameters.split_names)}; name the same in splits= and counts='
    )
  if extended.payload() != source.payload():
    raise DataError(
      f'the artifact to extend holds {extended.payload()}, and examples= {source.payload()}; give '
      f'both one payload format'
    )
  extended.check_files()
  found = extended.input_files(parameters.split_names)
  return [replace(file, file_number=first + file.file_number) for file in found]
