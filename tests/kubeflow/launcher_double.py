"""What KFP's driver and launcher do around each task of a compiled pipeline, in each version.

The driver tells a task its inputs and outputs; the launcher, in the task's pod, downloads the
inputs, runs the container's command, uploads the outputs and publishes what the task says of them.
What differs between versions is in `launcher_versions`; what is alike is cited here as of 2.17.0,
below backend/src/v2.
"""

from __future__ import annotations

import copy
import itertools
import json
import posixpath
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from tests.kubeflow.launcher_versions import LauncherVersion, Store

LOGS = 'executor-logs'
# 2.17.0: component/launcher_v2.go:1239
FOLDERS = {'gs://': 'gcs/', 'minio://': 'minio/', 's3://': 's3/'}
"""URI scheme to where its objects are in a pod."""
# Titles that the next release knows, but for those of metrics: e2520ff3: component/util.go:113
_TITLES = {f'system.{n}': n for n in ('Artifact', 'Dataset', 'Model', 'HTML', 'Markdown')}
# What 2.17.0 hands on of its configuration: config/s3.go, config/gcs.go:71.
_SESSIONS: dict[str, dict[str, str]] = {
  'gs': {'fromEnv': 'true'},
  's3': {
    'accessKeyKey': 'accesskey',
    'disableSSL': 'true',
    'endpoint': 'http://127.0.0.1:9000',
    'forcePathStyle': 'true',
    'fromEnv': 'false',
    'maxRetries': '5',
    'region': 'us-east-1',
    'secretKeyKey': 'secretkey',
    'secretName': 'mlpipeline-minio-artifact',
  },
}


# 2.17.0: objectstore/object_store.go:96,342, and the AWS SDK for Go.
S3_VARIABLES = {
  'AWS_REGION',
  'AWS_ENDPOINT_URL_S3',
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
}
"""What the pod has to say of an S3 that the launcher has no settings of."""


class Objects(Protocol):
  """A bucket."""

  def keys(self, prefix: str = '') -> list[str]: ...

  def read(self, key: str) -> bytes: ...

  def write(self, key: str, data: bytes) -> None: ...


class MemoryBucket:
  """A bucket in memory."""

  def __init__(self) -> None:
    self.objects: dict[str, bytes] = {}

  def keys(self, prefix: str = '') -> list[str]:
    return sorted(key for key in self.objects if key.startswith(prefix))

  def read(self, key: str) -> bytes:
    return self.objects[key]

  def write(self, key: str, data: bytes) -> None:
    self.objects[key] = data


class TaskFailed(Exception):
  """A task that the launcher counts as failed."""


@dataclass(frozen=True)
class Pod:
  """An attempt at a task.

  Attributes:
    folder: What `/` is to the task.
    executor_input: What the task gets.
    command: Command of its container and the arguments, placeholders filled in.
    log: File of what it prints; None if that is not kept.
    has_launcher: Whether a launcher has started it.
    variables: Names of the variables that its options give it.
  """

  folder: Path
  executor_input: dict[str, Any]
  command: list[str]
  log: Path | None
  has_launcher: bool
  variables: frozenset[str] = frozenset()

  @property
  def environment(self) -> dict[str, str]:
    """Variables that the launcher's version sets; none where there is no launcher."""
    # 2.17.0: compiler/argocompiler/common.go:43, and alike from 2.5.0 to e2520ff3
    return {'KFP_POD_NAME': self.folder.name} if self.has_launcher else {}

  @property
  def arguments(self) -> list[str]:
    """The arguments of the Python module that the command runs."""
    return self.command[3:]

  def local_path(self, uri: str) -> Path | None:
    """Returns where the launcher has what is at a URI; None if it knows no such scheme."""
    return _local_path(self.folder, uri)


Container = Callable[[Pod], int]
"""Runs the command of a pod, and returns its exit code."""


class Launcher:
  """Runs the tasks of a PipelineSpec in order; remembers what each got and published.

  Attributes:
    spec: The PipelineSpec.
    platform: The platform specification.
    version: What is imitated.
    root: Root of this run's artifacts.
    buckets: 'scheme://name' to bucket.
    folder: Folder of the pods.
    messages: Task to its ExecutorInput as the driver makes it, the pod's folder being `/`.
    published: (task, output) to its artifact as it is stored.
    configured: The ConfigMap's defaultPipelineRoot and what its `Overrides` name.
    warnings: Lines of what a launcher warns of.
  """

  def __init__(
    self,
    spec: Mapping[str, Any],
    version: LauncherVersion,
    root: str,
    buckets: Mapping[str, Objects],
    folder: Path,
    platform: Mapping[str, Any] | None = None,
    configured: tuple[str, ...] = (),
  ) -> None:
    self.spec, self.version, self.buckets, self.folder = spec, version, buckets, folder
    # 2.17.0: metadata/client.go:420
    self.root = f'{root}/{spec["pipelineInfo"]["name"]}/{uuid.uuid4()}'
    self.platform = platform
    self.configured = configured or (root,)
    self.messages: dict[str, dict[str, Any]] = {}
    self.published: dict[tuple[str, str], dict[str, Any]] = {}
    self.warnings: list[str] = []
    self._ids = itertools.count(1)

  def run(self, container: Container) -> None:
    """Runs all tasks; raises what one raises."""
    for name in self.order():
      self.run_task(name, container)

  def order(self) -> Iterator[str]:
    """Yields the names of tasks, each after those that it depends on."""
    waiting = dict(self.spec['root']['dag']['tasks'])
    while waiting:
      ready = [
        name
        for name, task in waiting.items()
        if not set(task.get('dependentTasks', ())) & set(waiting)
      ]
      for name in sorted(ready):
        del waiting[name]
        yield name

  def run_task(self, name: str, container: Container) -> None:
    """Runs a task, and publishes its outputs.

    Raises:
      TaskFailed: if it failed.
    """
    self.messages[name] = self.executor_input(name)
    self.publish(name, self.launch(self.pod(name), container))

  # The driver.

  def executor_input(self, name: str) -> dict[str, Any]:
    """Returns what the driver hands a task."""
    given = self.spec['root']['dag']['tasks'][name].get('inputs', {})
    component = self.component(name)
    # Empty maps are left out by protojson.
    parameters = {k: v['runtimeValue']['constant'] for k, v in given.get('parameters', {}).items()}
    artifacts = {
      key: {'artifacts': [self.as_input(component, key, source['taskOutputArtifact'])]}
      for key, source in given.get('artifacts', {}).items()
    }
    inputs = {'parameterValues': parameters, 'artifacts': artifacts}
    task_root = f'{self.root}/{name}/{uuid.uuid4()}'  # 2.17.0: driver/driver.go:775
    return {
      'inputs': {key: value for key, value in inputs.items() if value},
      'outputs': {
        'artifacts': {
          key: {'artifacts': [self.as_output(task_root, key, declared['artifactType'])]}
          for key, declared in self.declared_outputs(component).items()
        },
        'outputFile': self.output_file(task_root),
      },
    }

  def component(self, name: str) -> dict[str, Any]:
    """Returns a task's ComponentSpec."""
    task = self.spec['root']['dag']['tasks'][name]
    return self.spec['components'][task['componentRef']['name']]

  def container_spec(self, name: str) -> dict[str, Any]:
    """Returns a task's PipelineContainerSpec."""
    label = self.component(name)['executorLabel']
    return self.spec['deploymentSpec']['executors'][label]['container']

  def variables(self, name: str) -> frozenset[str]:
    """Returns the names of the variables that a task's options give its pod."""
    found = {variable['name'] for variable in self.container_spec(name).get('env', ())}
    if self.platform:
      executors = self.platform['platforms']['kubernetes']['deploymentSpec']['executors']
      options = executors.get(self.component(name)['executorLabel'], {})
      for secret in options.get('secretAsEnv', ()):
        found |= {key['envVar'] for key in secret['keyToEnv']}
    return frozenset(found)

  def declared_outputs(self, component: Mapping[str, Any]) -> dict[str, Any]:
    declared = dict(component.get('outputDefinitions', {}).get('artifacts', {}))
    if self.version.has_launcher:  # 2.17.0: driver/driver.go:761
      declared[LOGS] = {'artifactType': {'schemaTitle': 'system.Artifact'}}
    return declared

  def as_output(self, task_root: str, key: str, declared: dict[str, Any]) -> dict[str, Any]:
    artifact = {'uri': f'{task_root}/{key}', 'type': declared}
    return {'name': key, **artifact} if self.version.names_outputs else artifact

  def output_file(self, task_root: str) -> str:
    if not self.version.has_launcher:
      return f'{task_root}/executor_output.json'
    if not self.version.output_in_task_root:
      return '/tmp/kfp_outputs/output_metadata.json'
    scheme, _, path = task_root.partition('://')
    return f'/{FOLDERS[f"{scheme}://"]}{path}/output_metadata.json'

  def as_input(self, component: dict[str, Any], key: str, source: dict[str, Any]) -> dict[str, Any]:
    """Returns an artifact as a task that reads it gets it."""
    origin = source['producerTask'], source['outputArtifactKey']
    if origin not in self.published:
      raise TaskFailed(f'output artifact {origin} not found')
    artifact = copy.deepcopy(self.published[origin])
    if self.version.store is Store.VERTEX:
      artifact['type'] = component['inputDefinitions']['artifacts'][key]['artifactType']
    return artifact

  # The launcher.

  def pod(self, name: str) -> Pod:
    """Returns a new pod with the folders that any pod has."""
    message = copy.deepcopy(self.messages[name])
    folder = self.folder / f'{name}-0'  # of the first attempt
    folder.mkdir(parents=True)
    outputs, log = message['outputs'], None
    if self.version.has_launcher:
      for mounted in FOLDERS.values():  # 2.17.0: compiler/argocompiler/container.go:543
        (folder / mounted).mkdir()
      outputs['outputFile'] = f'{folder}{outputs["outputFile"]}'
      (artifact,) = outputs['artifacts'][LOGS]['artifacts']
      if self.version.numbers_logs:
        artifact['uri'] += '-0'
      log = _local_path(folder, artifact['uri'])
    container = self.container_spec(name)
    text = json.dumps(message)
    command = [*container['command'], *container['args']]
    filled_in = [part.replace('{{$}}', text) for part in command]
    return Pod(folder, message, filled_in, log, self.version.has_launcher, self.variables(name))

  def launch(self, pod: Pod, container: Container) -> dict[str, Any]:
    """Runs a pod; returns output to artifact as the task describes it, after it is uploaded.

    Raises:
      TaskFailed: if the task or its transfers fail.
    """
    if self.version.has_launcher:
      for key, artifact in _artifacts(pod.executor_input['inputs']):
        self.download(pod, key, artifact['uri'])
      for _, artifact in _artifacts(pod.executor_input['outputs']):
        path = pod.local_path(artifact['uri'])
        if path is not None:  # its parent only: 2.17.0: component/launcher_v2.go:1300
          path.parent.mkdir(parents=True, exist_ok=True)
    if pod.log is not None:
      pod.log.touch()
    code = container(pod)
    if code:  # 2.17.0: component/launcher_v2.go:715
      end = pod.log.read_text()[-3000:] if pod.log is not None else ''
      raise TaskFailed(f'exit code {code}: {end}')
    described = read_output(Path(pod.executor_input['outputs']['outputFile']))
    return {
      key: merged
      for key, artifact in _artifacts(pod.executor_input['outputs'])
      if (merged := self.upload(pod, key, _merge(key, artifact, described))) is not None
    }

  def download(self, pod: Pod, key: str, uri: str) -> None:
    """Downloads an input: every object whose name begins with the URI's."""
    target = pod.local_path(uri)
    if target is None:  # 2.17.0: component/launcher_v2.go:958
      self.warnings.append(f'Input Artifact {key} does not have a recognized storage URI {uri}')
      return
    self.check_settings(pod, uri)
    bucket, prefix = self.bucket_of(uri)
    found = bucket.keys(prefix)
    if not self.version.takes_neighbours:
      found = [name for name in found if f'{name}/'.startswith(f'{prefix}/')]
    for name in found:
      path = Path(posixpath.normpath(target / posixpath.relpath(name, prefix)))
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_bytes(bucket.read(name))

  def upload(self, pod: Pod, key: str, artifact: dict[str, Any]) -> dict[str, Any] | None:
    """Uploads an output, file by file; returns it, or None if it is not to be published."""
    if not self.version.has_launcher:
      return artifact
    uri = artifact['uri']
    source = pod.local_path(uri)
    by_tables = self.version.store is Store.TASK_API
    if source is None:  # 2.17.0: component/launcher_v2.go:813; e2520ff3: the same:835
      self.warnings.append(f'Output Artifact {key} does not have a recognized storage URI {uri}')
      return None if by_tables or key == LOGS else artifact
    if not by_tables and not uri.startswith(self.root):  # 2.17.0: objectstore/config.go:101
      raise TaskFailed(f'URI {uri} does not have expected bucket prefix {self.root}')
    if not source.exists():
      if self.version.needs_outputs:
        raise TaskFailed(f'declared output artifact {key!r} is missing at {source}')
      self.warnings.append(f'Local filepath {source.relative_to(pod.folder)} does not exist')
      return None if key == LOGS else artifact
    self.check_settings(pod, uri)
    bucket, prefix = self.bucket_of(uri)
    if source.is_file():
      bucket.write(prefix, source.read_bytes())
    for path in sorted(source.rglob('*')):
      if path.is_file():  # a folder alone leaves nothing
        bucket.write(f'{prefix}/{path.relative_to(source)}', path.read_bytes())
    return artifact

  def check_settings(self, pod: Pod, uri: str) -> None:
    """Raises TaskFailed if the launcher does not know how to reach a bucket."""
    if self.version.needs_overrides:
      if not uri.startswith(self.configured):
        raise TaskFailed(
          f'artifact URI {uri!r} is outside the configured pipeline root and has no explicit '
          'provider override'
        )
      return
    own = '/'.join(self.root.split('/')[:3]) + '/'
    if not uri.startswith(('gs://', own)) and not pod.variables >= S3_VARIABLES:
      raise TaskFailed(f'failed to open bucket of {uri!r}: Invalid region')

  def bucket_of(self, uri: str) -> tuple[Objects, str]:
    """Returns the bucket of a URI, and the name of the object in it."""
    scheme, _, path = uri.partition('://')
    name, _, key = path.partition('/')
    return self.buckets[f'{scheme}://{name}'], key

  # What keeps artifacts.

  def publish(self, name: str, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Stores the outputs of a task in the form in which later ones get them."""
    stored = {
      Store.ML_METADATA: self._in_ml_metadata,
      Store.TASK_API: self._in_tables,
      Store.VERTEX: self._on_vertex,
      Store.KFP_LOCAL: self._in_kfp_local,
    }[self.version.store]
    for key, artifact in outputs.items():
      number = next(self._ids)
      self.published[name, key] = {
        'uri': artifact['uri'],
        **stored(key, artifact['type'], artifact.get('metadata', {}), number),
      }

  def _in_ml_metadata(
    self, key: str, declared: Mapping[str, Any], metadata: Mapping[str, Any], number: int
  ) -> dict[str, Any]:
    provider = self.root.partition('://')[0]
    params = _SESSIONS['gs' if provider == 'gs' else 's3']
    session = {'Provider': provider, 'Params': params}
    return {
      'name': str(number),
      'type': {'instanceSchema': ''},
      'metadata': {
        'display_name': key,  # 2.17.0: metadata/client.go:1236
        'store_session_info': json.dumps(session, separators=(',', ':')),  # the same:1249
        **{k: _wrapped(k, v) for k, v in metadata.items()},
      },
    }

  def _in_tables(
    self, key: str, declared: Mapping[str, Any], metadata: Mapping[str, Any], number: int
  ) -> dict[str, Any]:
    title = declared.get('schemaTitle') or declared.get('instanceSchema', '')
    stored = {
      'name': key,
      'artifactId': str(uuid.uuid4()),
      'type': {'schemaTitle': _TITLES.get(title, title)},
    }
    return {**stored, 'metadata': dict(metadata)} if metadata else stored

  def _on_vertex(
    self, key: str, declared: Mapping[str, Any], metadata: Mapping[str, Any], number: int
  ) -> dict[str, Any]:
    name = f'projects/1/locations/here/metadataStores/default/artifacts/{number}'
    return {'name': name, 'metadata': dict(metadata)}

  def _in_kfp_local(
    self, key: str, declared: Mapping[str, Any], metadata: Mapping[str, Any], number: int
  ) -> dict[str, Any]:
    schema = {'schemaTitle': 'system.Artifact', 'schemaVersion': '0.0.1'}
    return {'name': key, 'type': schema, 'metadata': dict(metadata)}


def read_output(path: Path) -> dict[str, Any]:
  """Returns the ExecutorOutput that a task wrote; an empty one where it wrote none.

  Raises:
    TaskFailed: if the file is no ExecutorOutput.
  """
  if not path.exists():  # 2.17.0: component/launcher_v2.go:1219
    return {}
  text = path.read_text()
  try:  # 2.17.0: component/launcher_v2.go:1233; unknown fields are errors
    json_format.Parse(text, pipeline_spec_pb2.ExecutorOutput())
  except json_format.ParseError as error:
    raise TaskFailed(f'failed to unmarshall ExecutorOutput in file {path}: {error}') from error
  read: dict[str, Any] = json.loads(text)
  return read


def _merge(key: str, artifact: Mapping[str, Any], described: Mapping[str, Any]) -> dict[str, Any]:
  """Returns an output with what the task says of it: 2.17.0: component/launcher_v2.go:1188."""
  found = described.get('artifacts', {}).get(key, {}).get('artifacts', [])
  if key == LOGS or not found:
    return dict(artifact)
  metadata = {**artifact.get('metadata', {}), **found[0].get('metadata', {})}
  return {**artifact, 'uri': found[0].get('uri') or artifact['uri'], 'metadata': metadata}


def _wrapped(key: str, value: Any) -> Any:
  """Returns a value as ML Metadata gives it back: 2.17.0: metadata/converter.go:138."""
  if value is None:
    raise TaskFailed(f'unknown/unsupported value type of {key}: null')
  if isinstance(value, bool):
    return int(value)
  wrapper = {list: 'list', dict: 'struct'}.get(type(value))
  return {wrapper: value} if wrapper else value


def _local_path(pod_folder: Path, uri: str) -> Path | None:
  for scheme, folder in FOLDERS.items():
    if uri.startswith(scheme):
      return pod_folder / folder / uri.removeprefix(scheme)
  return None


def _artifacts(side: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
  return [
    (key, artifact)
    for key, artifacts in side.get('artifacts', {}).items()
    for artifact in artifacts['artifacts']
  ]
