"""Artifacts in object stores that KFP's launcher reads and writes for a task.

In a pod of open-source KFP, a launcher downloads a task's inputs to local folders before it and
uploads its outputs from local folders after it. TFX reads `gs://` by itself, and nothing of it
knows `minio://`, KFP's default; `s3://` would need libraries and credentials of its own. So a task
works in the launcher's folders there, and reports the URIs that it was given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

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
    executor_output: what a task wrote.
    executor_input: what it was given, as KFP handed it over.
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
