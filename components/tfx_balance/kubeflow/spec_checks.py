"""Checks of a pipeline for what would fail in the cluster, or be taken from a cache there.

Most is checked on the PipelineSpec, a `dict` as its JSON is. What KFP does was read in its source.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from absl import logging
from tfx import v1 as tfx

from tfx_balance.errors import ConfigError

IMPORTED = ('gs://', 's3://', 'minio://')
"""Schemes that KFP imports from; besides, oci:// for models of a type that TFX does not have."""


def check_module_files(pipeline: tfx.dsl.Pipeline) -> None:
  """Raises a ConfigError if TFX would store code where no container finds it."""
  root = pipeline.pipeline_info.pipeline_root or ''
  for node in pipeline.components:
    if '://' not in root and node.exec_properties.get('module_file'):
      raise ConfigError(
        f'{node.id} has a module_file=, of which compilation stores a wheel below '
        f'pipeline_root={root!r}, where its container does not find it; give functions by their '
        'dotted names in place of module_file=, or a pipeline_root in a bucket'
      )


def check_paths(spec: Mapping[str, Any], root: str) -> None:
  """Raises a ConfigError if tasks get a pipeline root that no other machine has."""
  if not root or '://' in root:
    return
  folder = root.rstrip('/') + '/'
  forms = (folder, json.dumps(folder)[1:-1])  # as it is, and in arguments that are JSON
  for name, parameter, value in _parameters(spec):
    text = str(value.get('runtimeValue', {}).get('constant'))
    if any(form in text for form in forms):
      raise ConfigError(
        f'{name} has {root} in {parameter!r}, a folder that its container does not have; '
        'put what it reads there into the image or into a bucket'
      )


def check_values(spec: Mapping[str, Any]) -> None:
  """Raises a ConfigError if an argument is the value of an artifact: TFX names no task for it."""
  names = {name for name, _ in tasks(spec)}
  for name, parameter, value in _parameters(spec):
    producer = value.get('taskOutputParameter', {}).get('producerTask')
    if producer is not None and producer not in names:
      raise ConfigError(
        f'{name} takes {parameter!r} from the value of an artifact, and TFX compiles that to a '
        f'task {producer!r}, which is none; read the artifact in the component, '
        'or pass a RuntimeParameter'
      )


def check_nodes(spec: Mapping[str, Any]) -> None:
  """Raises a ConfigError if a node is one that open-source KFP does not run."""
  for name, task in tasks(spec):
    executor = executor_of(spec, task)
    if 'resolver' in executor:
      raise ConfigError(
        f'{name} is a Resolver, which open-source KFP does not run; import a fixed artifact by '
        'Importer(source_uri=...), or compile for Vertex AI with vertex_ai=True'
      )
    if 'importer' not in executor:
      continue
    uri = executor['importer'].get('artifactUri', {}).get('constant')
    if isinstance(uri, str) and not uri.startswith(IMPORTED):
      raise ConfigError(
        f'{name} imports {uri!r}, and KFP imports from {", ".join(IMPORTED)} only; put the '
        'artifact there, or read a file of the image by ImportSchemaGen or an ExampleGen'
      )
    if task.get('triggerPolicy', {}).get('condition'):
      raise ConfigError(
        f'{name} is an Importer under a condition, which KFP does not take; '
        'put it outside of the Cond, and what reads it inside'
      )


def warn_of_cache(
  spec: Mapping[str, Any], reads_files: Iterable[str], variables: Iterable[str]
) -> None:
  """Logs the changes that KFP's cache does not notice.

  KFP compares inputs, outputs, command, arguments and the name of the image.

  Args:
    spec: PipelineSpec.
    reads_files: Tasks that are file-based ExampleGens.
    variables: Environment variables that tasks are given.
  """
  if names := sorted(reads_files):
    logging.warning(
      f'Caching is on, and open-source KFP does not look into the input of {", ".join(names)}: '
      'new files in the same folder are taken for the old ones. Give new data a folder of its own.'
    )
  executors = (executor_of(spec, task) for _, task in tasks(spec))
  images = {executor['container']['image'] for executor in executors if 'container' in executor}
  if moving := sorted(filter(has_moving_tag, images)):
    logging.warning(
      f'Caching is on, and KFP compares images by name: results of an older {", ".join(moving)} '
      'are used for a newer one. Give the image a tag of its version, or its digest.'
    )
  if names := sorted(set(variables)):
    logging.warning(
      f'Caching is on, and KFP does not compare environment variables: after a change of '
      f'{", ".join(names)}, the results from before are used. Turn caching off for that run.'
    )


def warn_of_lost_reports(spec: Mapping[str, Any], kept: Collection[str]) -> None:
  """Logs the reports of validators that are lost with the container that writes them.

  Args:
    spec: PipelineSpec.
    kept: Folders of the container that outlive it.
  """
  for name, parameter, value in _parameters(spec):
    folder = value.get('runtimeValue', {}).get('constant') if parameter == 'report_dir' else ''
    if folder and '://' not in folder and not any(map(PurePosixPath(folder).is_relative_to, kept)):
      logging.warning(
        f'report_dir={folder!r} of {name} is a folder of its container, which is deleted after '
        'the task; give one in a bucket, or in a folder of pvcs='
      )


def has_moving_tag(image: str) -> bool:
  """Returns whether an image's name may come to mean another image as a matter of course."""
  name = image.rpartition('/')[2]
  return '@' not in name and name.partition(':')[2] in ('', 'latest')


def tasks(spec: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
  """Yields the name and the PipelineTaskSpec of each task."""
  yield from sorted(spec['root']['dag']['tasks'].items())


def _parameters(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
  """Yields the name of the task, the name and the value of each parameter of the tasks."""
  for name, task in tasks(spec):
    for parameter, value in task.get('inputs', {}).get('parameters', {}).items():
      yield name, parameter, value


def executor_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the ExecutorSpec of a task."""
  component = spec['components'][task['componentRef']['name']]
  return spec['deploymentSpec']['executors'].get(component.get('executorLabel'), {})
