"""The artifacts of a task, given types that TFX knows and paths that it can open.

TFX's entrypoint takes an artifact's class from the type that comes with it. Vertex AI sends the
type that the component declares. Open-source KFP sends an empty `instanceSchema`, and `kfp.local`
the title of a type of its own, `system.Artifact`; TFX then fails in the first task that reads
something (https://github.com/tensorflow/tfx/issues/7768).

In a pod of open-source KFP, a launcher downloads a task's inputs to local folders before it and
uploads its outputs from local folders after it. TFX reads `gs://` by itself, and nothing of it
knows `minio://`, KFP's default; `s3://` would need libraries and credentials of its own. So a task
works in the launcher's folders there, and reports the URIs that it was given.

Messages are handled as the JSON that KFP writes, a `dict`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from tfx_balance.errors import ConfigError

# KFP publishes a task's log as one output more, if it is told to; its launcher writes it.
LOGS = 'executor-logs'
_KFP_NAMESPACE = 'system.'
_WRAPPERS = {'list': list, 'struct': dict}


def resolve_types(
  executor_input: Mapping[str, Any],
  inputs_spec: Mapping[str, Any],
  outputs_spec: Mapping[str, Any],
) -> dict[str, Any]:
  """Returns an ExecutorInput in which every artifact has a type that TFX knows.

  Where all of them have one already, it is the same as before.

  Args:
    executor_input: ExecutorInput as KFP hands it over.
    inputs_spec: ComponentInputsSpec of the component.
    outputs_spec: Its ComponentOutputsSpec.

  Raises:
    ConfigError: if an artifact has no type and the specification does not declare it.
  """
  inputs = dict(executor_input.get('inputs', {}))
  outputs = dict(executor_input.get('outputs', {}))
  if 'artifacts' in inputs:
    inputs['artifacts'] = {
      name: _typed_list('input', name, artifacts, inputs_spec)
      for name, artifacts in inputs['artifacts'].items()
    }
  if 'artifacts' in outputs:
    outputs['artifacts'] = {
      name: _typed_list('output', name, artifacts, outputs_spec)
      for name, artifacts in outputs['artifacts'].items()
      if name != LOGS
    }
  return {**executor_input, 'inputs': inputs, 'outputs': outputs}


def has_type(artifact: Mapping[str, Any]) -> bool:
  """Returns whether TFX can tell a RuntimeArtifact's class.

  >>> has_type({'type': {'schemaTitle': 'tfx.Examples'}})
  True
  >>> has_type({'type': {'schemaTitle': 'system.Artifact'}}), has_type({'type': {}})
  (False, False)
  """
  schema = artifact.get('type') or {}
  title = schema.get('schemaTitle') or _title(schema.get('instanceSchema'))
  return bool(title) and not title.startswith(_KFP_NAMESPACE)


def _title(instance_schema: str | None) -> str:
  described = yaml.safe_load(instance_schema) if instance_schema else None
  # TFX takes a schema without a title for its most general type.
  return str(described.get('title', 'tfx.Artifact')) if isinstance(described, dict) else ''


def _typed_list(
  side: str, name: str, artifacts: Mapping[str, Any], spec: Mapping[str, Any]
) -> dict[str, Any]:
  declared = spec.get('artifacts', {}).get(name, {}).get('artifactType')
  typed = [_typed(side, name, artifact, declared) for artifact in artifacts.get('artifacts', [])]
  return {**artifacts, 'artifacts': typed}


def _typed(
  side: str, name: str, artifact: Mapping[str, Any], declared: Mapping[str, Any] | None
) -> dict[str, Any]:
  if has_type(artifact):
    return dict(artifact)
  if not declared:
    raise ConfigError(
      f'the {side} {name!r} comes with the type {artifact.get("type")!r}, and the component '
      'declares none for it; compile the pipeline with tfx_balance.kubeflow.compile_pipeline'
    )
  typed = {**artifact, 'type': dict(declared)}
  if side == 'input':
    # The Evaluator tells by name which model it has seen, and cannot do so without any.
    typed['name'] = artifact.get('name') or artifact.get('uri', '')
    if (artifact.get('type') or {}).get('schemaTitle') is None:
      typed['metadata'] = {k: _unwrap(v) for k, v in artifact.get('metadata', {}).items()}
  return typed


def _unwrap(value: Any) -> Any:
  """Takes a list or a dict out of what open-source KFP's metadata store wraps it in."""
  if isinstance(value, dict) and len(value) == 1:
    ((key, inner),) = value.items()
    if key in _WRAPPERS and isinstance(inner, _WRAPPERS[key]):
      return inner
  return value


FOLDERS = {'minio://': '/minio/', 's3://': '/s3/'}
"""URI scheme to where the launcher has the same path."""


def launcher_is_here(executor_input: Mapping[str, Any]) -> bool:
  """Returns whether a launcher has made the folders that outputs go to."""
  uris = [artifact['uri'] for artifact in _artifacts(executor_input.get('outputs', {}))]
  local = [local_path(uri) for uri in uris]
  return any(
    path != uri and os.path.isdir(os.path.dirname(path))
    for uri, path in zip(uris, local, strict=True)
  )


def local_path(uri: str) -> str:
  """Returns where a launcher has what is at a URI; the URI itself where it is read directly.

  >>> local_path('minio://bucket/run/examples'), local_path('gs://bucket/run/examples')
  ('/minio/bucket/run/examples', 'gs://bucket/run/examples')
  """
  for scheme, folder in FOLDERS.items():
    if uri.startswith(scheme):
      return folder + uri.removeprefix(scheme)
  return uri


def to_local(executor_input: Mapping[str, Any]) -> dict[str, Any]:
  """Returns an ExecutorInput whose artifacts are in the launcher's folders."""
  sides = {
    side: {**message, 'artifacts': _map_artifacts(message, _with_local_uri)}
    for side in ('inputs', 'outputs')
    if 'artifacts' in (message := executor_input.get(side, {}))
  }
  return {**executor_input, **sides}


def to_remote(
  executor_output: Mapping[str, Any], executor_input: Mapping[str, Any]
) -> dict[str, Any]:
  """Returns an ExecutorOutput that speaks of URIs where it spoke of the launcher's folders.

  Args:
    executor_output: ExecutorOutput that a task wrote.
    executor_input: ExecutorInput of the task, as KFP handed it over.
  """
  uris = {
    local_path(artifact['uri']): artifact['uri']
    for side in ('inputs', 'outputs')
    for artifact in _artifacts(executor_input.get(side, {}))
  }

  def restored(value: Any) -> Any:
    return uris.get(value, value) if isinstance(value, str) else value

  def restore(artifact: Mapping[str, Any]) -> dict[str, Any]:
    metadata = {key: restored(value) for key, value in artifact.get('metadata', {}).items()}
    return {**artifact, 'uri': restored(artifact.get('uri', '')), 'metadata': metadata}

  return {**executor_output, 'artifacts': _map_artifacts(executor_output, restore)}


def _artifacts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
  return [
    artifact
    for artifacts in message.get('artifacts', {}).values()
    for artifact in artifacts.get('artifacts', [])
  ]


def _map_artifacts(
  message: Mapping[str, Any], change: Callable[[Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
  return {
    name: {**artifacts, 'artifacts': [change(a) for a in artifacts.get('artifacts', [])]}
    for name, artifacts in message.get('artifacts', {}).items()
  }


def _with_local_uri(artifact: Mapping[str, Any]) -> dict[str, Any]:
  return {**artifact, 'uri': local_path(artifact['uri'])}
