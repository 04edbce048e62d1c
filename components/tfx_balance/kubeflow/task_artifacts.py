"""The artifacts of a task, given types and names that TFX knows and paths that it can open.

TFX's entrypoint takes an artifact's class from the type that comes with it, which Vertex AI sets to
what the component declares. Open-source KFP sends an empty `instanceSchema`
(https://github.com/tensorflow/tfx/issues/7768), `kfp.local` a type of its own, `system.Artifact`,
and KFP's branch mlmd-removal a whole schema as `schemaTitle`, or `Artifact`, or `Dataset`. So the
declared type is used, and what came is compared with it.

In a pod of open-source KFP, a launcher downloads a task's inputs to local folders before it and
uploads its outputs from local folders after it, for each scheme that KFP knows. A task works in
these folders there, and reports the URIs that it was given.

Messages are handled as the JSON that KFP writes, a `dict`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import yaml

from tfx_balance.errors import ConfigError

# KFP can publish a task's log as one output more; its launcher writes it.
LOGS = 'executor-logs'
_GENERAL = 'tfx.Artifact'
_NOT_OF_TFX = ('system.', 'google.')
_WRAPPERS = {'list': list, 'struct': dict}


def resolve_types(
  executor_input: Mapping[str, Any],
  inputs_spec: Mapping[str, Any],
  outputs_spec: Mapping[str, Any],
) -> dict[str, Any]:
  """Returns an ExecutorInput in which every artifact has a type that TFX knows.

  Every input has a name too, which no artifact at another URI has: TFX makes ids of names.

  Args:
    executor_input: ExecutorInput as KFP hands it over.
    inputs_spec: ComponentInputsSpec of the component.
    outputs_spec: Its ComponentOutputsSpec.

  Raises:
    ConfigError: if an artifact comes with another type of TFX than the component declares, or with
      none and the component declares none.
  """
  inputs, outputs = (dict(executor_input.get(side, {})) for side in ('inputs', 'outputs'))
  if 'artifacts' in outputs:
    own = {name: found for name, found in outputs['artifacts'].items() if name != LOGS}
    outputs['artifacts'] = _map_artifacts(own, partial(_typed, 'output', outputs_spec))
  if 'artifacts' in inputs:
    inputs['artifacts'] = _map_artifacts(inputs['artifacts'], partial(_typed, 'input', inputs_spec))
    inputs['artifacts'] = _named(inputs['artifacts'], outputs)
  return {**executor_input, 'inputs': inputs, 'outputs': outputs}


def named_type(schema: Mapping[str, Any] | None) -> str:
  """Returns the type of TFX that an ArtifactTypeSchema names; empty if it names none.

  >>> named_type({'instanceSchema': 'title: tfx.Model'}), named_type({'schemaTitle': 'tfx.Model'})
  ('tfx.Model', 'tfx.Model')
  >>> named_type({'schemaTitle': 'title: tfx.Model'})
  'tfx.Model'
  >>> named_type({'schemaTitle': 'system.Dataset'}), named_type({'schemaTitle': 'Dataset'})
  ('', '')
  >>> named_type({'instanceSchema': ''}), named_type({'instanceSchema': 'title: tfx.Artifact'})
  ('', '')
  """
  text = (schema or {}).get('schemaTitle') or (schema or {}).get('instanceSchema')
  try:
    described = yaml.safe_load(text) if text else ''
  except yaml.YAMLError:
    return ''
  title = str(described.get('title', '') if isinstance(described, dict) else described)
  if '.' not in title or title.startswith(_NOT_OF_TFX) or title == _GENERAL:
    return ''
  return title


def _typed(
  side: str, spec: Mapping[str, Any], name: str, artifact: Mapping[str, Any]
) -> dict[str, Any]:
  declared = spec.get('artifacts', {}).get(name, {}).get('artifactType')
  came = artifact.get('type') or {}
  hint, wanted = named_type(came), named_type(declared)
  if not hint and not wanted:
    raise ConfigError(
      f'the {side} {name!r} comes with the type {came}, and the component declares '
      f'{declared or "none"} for it, neither of which names a type of TFX; compile the pipeline '
      'with tfx_balance.kubeflow.compile_pipeline'
    )
  if hint and wanted and hint != wanted:
    fix = (
      f'connect it to an output of the type {wanted}, or change artifact_type= of its Importer'
      if side == 'input'
      else 'compile the pipeline again'
    )
    raise ConfigError(
      f'the {side} {name!r} is of the type {hint}, and the component declares {wanted}; {fix}'
    )
  typed = {**artifact, 'type': dict(declared) if declared and wanted else {'schemaTitle': hint}}
  if side == 'input' and not any(came.values()):
    typed['metadata'] = {k: _unwrap(v) for k, v in artifact.get('metadata', {}).items()}
  return typed


def _unwrap(value: Any) -> Any:
  """Takes a list or a dict out of what open-source KFP's metadata store wraps it in."""
  if isinstance(value, dict) and len(value) == 1:
    ((key, inner),) = value.items()
    if key in _WRAPPERS and isinstance(inner, _WRAPPERS[key]):
      return inner
  return value


def _named(inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> dict[str, Any]:
  """Returns input artifacts with names that no other artifact has.

  The Evaluator tells models apart by the ids that TFX makes of names. Kubeflow names an artifact by
  a number in its metadata store; kfp.local and the branch mlmd-removal by the key of the output
  that it was, which models of two Trainers share. There, the branch has an `artifactId`.
  """
  uris = defaultdict(set)
  for artifact in (*_artifacts({'artifacts': inputs}), *_artifacts(outputs)):
    uris[_given_name(artifact)].add(artifact['uri'])

  def with_name(_: str, artifact: Mapping[str, Any]) -> dict[str, Any]:
    name = _given_name(artifact)
    return {**artifact, 'name': name if name and len(uris[name]) == 1 else artifact['uri']}

  return _map_artifacts(inputs, with_name)


def _given_name(artifact: Mapping[str, Any]) -> str:
  return artifact.get('artifactId') or artifact.get('name') or ''


FOLDERS = {'gs://': '/gcs/', 'minio://': '/minio/', 's3://': '/s3/'}
"""URI scheme to where KFP's launcher has the same path."""

POD_NAME = 'KFP_POD_NAME'
"""Environment variable of each pod in which KFP's launcher runs a task; without it, it fails."""


def launcher_is_here() -> bool:
  """Returns whether open-source KFP's launcher has started this process.

  Vertex AI has no launcher: its `/gcs` is a mounted bucket, and nothing is uploaded from it.
  """
  return bool(os.environ.get(POD_NAME))


def task_folders(workers_are_here: bool) -> dict[str, str]:
  """Returns URI scheme to the launcher's folder that a task works in; empty without a launcher.

  Args:
    workers_are_here: Whether Beam's workers are in this container. On other machines they have none
      of its folders, but can reach `gs://` itself, which is left out for them.
  """
  if not launcher_is_here():
    return {}
  return {s: folder for s, folder in FOLDERS.items() if workers_are_here or s != 'gs://'}


def local_path(uri: str, folders: Mapping[str, str]) -> str:
  """Returns the path of a URI in a launcher's folder; the URI itself where it is read directly.

  >>> local_path('minio://bucket/run/examples', {'minio://': '/minio/'})
  '/minio/bucket/run/examples'
  >>> local_path('gs://bucket/run/examples', {'minio://': '/minio/'})
  'gs://bucket/run/examples'
  """
  for scheme, folder in folders.items():
    if uri.startswith(scheme):
      return folder + uri.removeprefix(scheme)
  return uri


def to_local(executor_input: Mapping[str, Any], folders: Mapping[str, str]) -> dict[str, Any]:
  """Returns an ExecutorInput whose artifacts are in the launcher's folders.

  Args:
    executor_input: ExecutorInput of a task.
    folders: URI scheme to folder, as in FOLDERS.
  """

  def with_local_uri(_: str, artifact: Mapping[str, Any]) -> dict[str, Any]:
    return {**artifact, 'uri': local_path(artifact['uri'], folders)}

  sides = {
    side: {**message, 'artifacts': _map_artifacts(message['artifacts'], with_local_uri)}
    for side in ('inputs', 'outputs')
    if 'artifacts' in (message := executor_input.get(side, {}))
  }
  return {**executor_input, **sides}


def to_remote(
  executor_output: Mapping[str, Any],
  executor_input: Mapping[str, Any],
  folders: Mapping[str, str],
) -> dict[str, Any]:
  """Returns an ExecutorOutput that speaks of URIs where it spoke of the launcher's folders.

  Properties that are null are left out: KFP up to 2.17 fails a task that publishes one.

  Args:
    executor_output: ExecutorOutput that a task wrote.
    executor_input: ExecutorInput of the task, as KFP handed it over.
    folders: URI scheme to folder, as the task's ExecutorInput was changed by.
  """
  uris = {
    local_path(artifact['uri'], folders): artifact['uri']
    for side in ('inputs', 'outputs')
    for artifact in _artifacts(executor_input.get(side, {}))
  }

  def restored(value: Any) -> Any:
    for path, uri in uris.items() if isinstance(value, str) else ():
      if value == path or value.startswith(f'{path}/'):
        return uri + value[len(path) :]
    return value

  def restore(_: str, artifact: Mapping[str, Any]) -> dict[str, Any]:
    metadata = artifact.get('metadata', {})
    return {
      **artifact,
      'uri': restored(artifact.get('uri', '')),
      'metadata': {key: restored(value) for key, value in metadata.items() if value is not None},
    }

  artifacts = executor_output.get('artifacts', {})
  return {**executor_output, 'artifacts': _map_artifacts(artifacts, restore)}


def make_output_folders(executor_input: Mapping[str, Any], folders: Mapping[str, str]) -> None:
  """Makes the launcher's folder of each output that a task has not written.

  The branch mlmd-removal of KFP fails a task one of whose outputs is missing; releases up to 2.17
  warn. An Evaluator without thresholds writes no blessing, a Trainer no `model_run`.

  Args:
    executor_input: ExecutorInput of the task, as KFP handed it over.
    folders: URI scheme to folder, as in FOLDERS.
  """
  for artifact in _artifacts(executor_input.get('outputs', {})):
    path = local_path(artifact['uri'], folders)
    if path != artifact['uri'] and not os.path.exists(path):  # one of a value is a file
      os.makedirs(path)


def _artifacts(message: Mapping[str, Any]) -> list[Mapping[str, Any]]:
  return [
    artifact
    for artifacts in message.get('artifacts', {}).values()
    for artifact in artifacts.get('artifacts', [])
  ]


def _map_artifacts(
  named: Mapping[str, Any], change: Callable[[str, Mapping[str, Any]], dict[str, Any]]
) -> dict[str, Any]:
  """Returns the artifacts of each name, each changed by a function of the name and itself."""
  return {
    name: {**artifacts, 'artifacts': [change(name, a) for a in artifacts.get('artifacts', [])]}
    for name, artifacts in named.items()
  }
