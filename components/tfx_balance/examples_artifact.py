"""`Examples` artifacts of TFX: splits, files and payload, and properties that outputs take over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from absl import logging
from tfx import types
from tfx.components.util import examples_utils
from tfx.types import artifact_utils

from tfx_balance.documents.class_distribution import (
  SIDECAR_NAME,
  ClassDistribution,
  WrittenSplits,
  check_files,
)
from tfx_balance.documents.json_document import is_document, parse_json
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.scan.scan import InputFile
from tfx_balance.scan.strata import Payload
from tfx_balance.tfrecord.files import GZIP_SUFFIX, suffix_of
from tfx_balance.tfrecord.storage import (
  exists,
  incomplete,
  is_data,
  missing_files,
  read_whole,
  storage_of,
)
from tfx_balance.tfrecord.work_files import FileCopy

_CARRIED_STRINGS = ('payload_format', 'file_format', 'span', 'version')
_SHOWN_WARNINGS = 10
_PAYLOADS: tuple[Payload, ...] = ('FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE')


@dataclass(frozen=True)
class ExamplesInput:
  """One or several `Examples` artifacts, taken as one.

  Attributes:
    artifacts: Artifacts by span and version, the newest last.
  """

  artifacts: tuple[types.Artifact, ...]

  @classmethod
  def of(cls, artifacts: Sequence[types.Artifact]) -> ExamplesInput:
    """Returns the artifacts in order.

    Raises:
      ConfigError: if there is none.
    """
    if not artifacts:
      raise ConfigError('examples= holds no artifact; connect an Examples output')
    return cls(tuple(sorted(artifacts, key=lambda a: (_number(a, 'span'), _number(a, 'version')))))

  @property
  def splits(self) -> list[str]:
    """The names of all the splits, sorted."""
    return sorted({name for artifact in self.artifacts for name in split_names(artifact)})

  @property
  def span(self) -> int:
    """The span of the newest artifact."""
    return _number(self.artifacts[-1], 'span')

  def payload(self) -> Payload:
    """Returns the type of the records.

    Raises:
      DataError: if it is no tf.Example and no tf.SequenceExample, or differs between artifacts.
    """
    found = sorted({examples_utils.get_payload_format_string(a) for a in self.artifacts})
    if len(found) > 1:
      raise DataError(f'the artifacts have payload formats {found}; merge only those of one format')
    for payload in _PAYLOADS:
      if payload == found[0]:
        return payload
    raise DataError(
      f'payload format {found[0]} is not one of {list(_PAYLOADS)}; '
      f'let ExampleGen write tf.Example records'
    )

  def files(self, split: str) -> list[str]:
    """Returns the paths of a split's files, sorted, artifact by artifact.

    Raises:
      DataError: if some are compressed and some are not: no TFX component reads these together.
    """
    found = zip(self.artifacts, self._sizes, strict=True)
    paths = [f'{_folder(a, split)}/{name}' for a, sizes in found for name in sizes.get(split, ())]
    if len({path.endswith(GZIP_SUFFIX) for path in paths}) > 1:
      raise DataError(
        f'split {split!r} has both {GZIP_SUFFIX} files and plain ones, such as {paths[0]}; '
        f'compress all of them or none'
      )
    return paths

  @cached_property
  def _sizes(self) -> list[dict[str, dict[str, int]]]:
    """The bytes of the files of each artifact, by split and name, sorted."""
    # Listed, not matched: to a pattern, a bracket in the folder's path is not itself.
    return [
      {split: data_sizes(_folder(a, split)) for split in split_names(a)} for a in self.artifacts
    ]

  def check_files(self, by_sidecars: bool = True) -> None:
    """Warns of files that are missing or empty; those that a sidecar names must be there.

    Splits that an artifact does not name are not checked, even if its sidecar has them.

    Args:
      by_sidecars: Whether files are compared with the sidecar of an artifact, if that is ours.

    Raises:
      DataError: if a sidecar is damaged, or a file that it names is gone or has another size.
    """
    missing: list[str] = []
    for artifact, sizes in zip(self.artifacts, self._sizes, strict=True):
      for split, of_split in sizes.items():
        missing += missing_files(_folder(artifact, split), of_split)
    for path, sizes, sidecar in self._sidecars if by_sidecars else ():
      written = {name: sidecar.splits[name] for name in sizes if name in sidecar.splits}
      check_files(written, sizes, path)
    if missing:
      logging.warning(incomplete(missing))

  def steps(self) -> int:
    """Returns the number of components of this package that drew from the records, in a chain.

    Raises:
      DataError: if a sidecar is damaged.
    """
    return max((sidecar.step for *_, sidecar in self._sidecars), default=0)

  @cached_property
  def _sidecars(self) -> list[tuple[str, dict[str, dict[str, int]], WrittenSplits]]:
    """The path of each sidecar that is ours, the bytes of its artifact's files, and its splits."""
    found = []
    for artifact, sizes in zip(self.artifacts, self._sizes, strict=True):
      path = f'{artifact.uri}/{SIDECAR_NAME}'
      data = parse_json(read_whole(path), path) if exists(path) else None
      if is_document(data, ClassDistribution):
        found.append((path, sizes, WrittenSplits.from_json(data, path)))
    return found

  def others(self, chosen: Sequence[str], argument: str) -> list[str]:
    """Returns the splits that are not chosen.

    Raises:
      ConfigError: if one is chosen that there is not.
    """
    for name in chosen:
      if name not in self.splits:
        raise ConfigError(
          f'split {name!r} is not in {self.splits}; pass one of these in {argument}='
        )
    return [name for name in self.splits if name not in chosen]

  def input_files(self, splits: Sequence[str], by_split: bool = True) -> list[InputFile]:
    """Returns the files of some splits to read, each with its split, or all without one.

    Raises:
      DataError: if there is none, or as `files` says.
    """
    found = [(path, name) for name in splits for path in self.files(name)]
    if not found:
      raise DataError(f'splits {list(splits)} of the input hold no files; give at least one record')
    return [
      InputFile(path, file_number, name if by_split else '')
      for file_number, (path, name) in enumerate(found)
    ]

  def copies(self, splits: Sequence[str], output_uri: str) -> list[FileCopy]:
    """Returns copies that take splits over as they are; files of several artifacts are numbered."""
    return [copy for split in splits for copy in self._copies(split, output_uri)]

  def _copies(self, split: str, output_uri: str) -> Iterator[FileCopy]:
    paths = self.files(split)
    for i, path in enumerate(paths):
      name = path.rsplit('/', 1)[-1]
      if len(self.artifacts) > 1:
        name = f'data_tfrecord-{i:05d}-of-{len(paths):05d}{suffix_of(path)}'
      yield FileCopy(path, f'{output_uri}/Split-{split}/{name}')

  def carry_over(self, output: types.Artifact, splits: Sequence[str]) -> None:
    """Gives an output the splits' names, and the newest input's formats, span and version."""
    newest = self.artifacts[-1]
    output.split_names = artifact_utils.encode_split_names(list(splits))
    for name in ('span', 'version'):
      if name in newest.mlmd_artifact.properties:
        setattr(output, name, newest.mlmd_artifact.properties[name].int_value)
    for name in _CARRIED_STRINGS:
      if name in newest.mlmd_artifact.custom_properties:
        value = newest.mlmd_artifact.custom_properties[name]
        output.mlmd_artifact.custom_properties[name].CopyFrom(value)


def split_names(artifact: types.Artifact) -> list[str]:
  """Returns the names of an artifact's splits.

  Raises:
    DataError: if its property `split_names` is not a JSON list of names, or an empty one.
  """
  try:
    names = artifact_utils.decode_split_names(artifact.split_names)
  except ValueError:
    names = []
  if names and isinstance(names, list) and all(isinstance(name, str) for name in names):
    return names
  raise DataError(
    f'split_names={artifact.split_names!r} of the {artifact.type_name} in {artifact.uri} must be a '
    'JSON list of names of splits; an Importer sets it by '
    'properties={\'split_names\': \'["train", "eval"]\'}'
  )


def _folder(artifact: types.Artifact, split: str) -> str:
  (folder,) = artifact_utils.get_split_uris([artifact], split)
  return str(folder)


def data_sizes(folder: str) -> dict[str, int]:
  """Returns the bytes of each data file of a folder, by name, sorted; {} where it is not there.

  Raises:
    DataError: if a folder is among them.
  """
  sizes = {name: n for name, n in sorted(storage_of(folder).sizes(folder).items()) if is_data(name)}
  for name in sizes:
    inner, is_inner, _ = name.partition('/')
    if is_inner:
      raise DataError(
        f'{folder}/{inner} is a folder, and the data of a split are files; move its files to '
        f'{folder}, or move it elsewhere'
      )
  return sizes


def _number(artifact: types.Artifact, name: str) -> int:
  """Returns a span or a version, wherever the artifact has it; 0 where it has none."""
  properties = artifact.mlmd_artifact.properties
  if name in properties:
    return properties[name].int_value or int(properties[name].string_value or 0)
  # By TFX's accessor, for on Kubeflow a custom property is a JSON value.
  return int(artifact.get_custom_property(name) or 0)


def log_warnings(sidecar: ClassDistribution, uri: str) -> None:
  """Logs the warnings in the sidecar of an artifact."""
  component, warnings = sidecar.component, sidecar.warnings
  for warning in warnings[:_SHOWN_WARNINGS]:
    logging.warning('%s: %s', component, warning)
  if len(warnings) > _SHOWN_WARNINGS:
    more = len(warnings) - _SHOWN_WARNINGS
    logging.warning('%s: and %d more, in %s/%s', component, more, uri, SIDECAR_NAME)
