"""Options of a task in the cluster: resources, retries, secrets, volumes and nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tfx_balance.arguments import check_mapping, check_number, check_text, check_whole, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.kubernetes_names import (
  check_label_key,
  check_label_value,
  check_mounted_name,
  check_object_name,
  check_toleration,
)

BACKOFF_S = 60
"""Seconds before the first retry, unless given."""
RETRY_WITHIN_S = 30 * 24 * 3600
"""Seconds after the start of the first attempt within which others begin and end.

KFP from 2.14 on takes none given for 0, and never retries; its SDK gives an hour at most, after
which a task that failed late is not retried either.
"""

_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_SECRET_VARIABLE = re.compile(r'SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY|API_KEY|PRIVATE_KEY', re.I)
_KEY = re.compile(r'[-._a-zA-Z0-9]{1,253}')


@dataclass(frozen=True)
class SecretKey:
  """One value in a Kubernetes Secret of the namespace that the pipeline runs in.

  Attributes:
    name: Name of the Secret.
    key: Name of the value in it.
  """

  name: str
  key: str

  def __post_init__(self) -> None:
    check_object_name(self.name, 'Secret')
    check_text('key', self.key, "the name of the value in the Secret's data")
    if not _KEY.fullmatch(self.key):
      raise ConfigError(
        f'key={self.key!r} is not a valid key of a Kubernetes Secret; use letters, digits, '
        '-, _ and .'
      )


@dataclass(frozen=True)
class TaskOptions:
  """Resources, retries, secrets, volumes and nodes of a task; others are left to the cluster.

  Attributes:
    cpu: Cores to reserve.
    cpu_limit: Cores that it may use.
    memory_gb: Memory to reserve, in 10^9 bytes.
    memory_limit_gb: Memory that it may use, in 10^9 bytes.
    accelerator: Resource of a node, such as 'nvidia.com/gpu'; on Vertex AI a type of accelerator.
    accelerator_count: Number of accelerators, 1 unless given.
    retries: Number of further attempts after one that failed; unless given, 2 for the components
      of this package and 0 for others.
    backoff: Seconds before the first retry, doubled for every other; 60 unless given.
    timeout: Seconds that an attempt may take, its downloads and uploads included.
    environment: Values by variable, in the compiled pipeline for everyone to read.
    secrets: Secret values by variable.
    secret_files: Names of Secrets by folder in the container, where their keys become files.
    image_pull_secrets: Names of Secrets with the credentials of the image's registry.
    pvcs: Names of PersistentVolumeClaims by folder in the container.
    ephemeral_storage_gb: Sizes in 10^9 bytes by folder in the container, each a volume of its own
      that is deleted with the pod.
    storage_class: Storage class of these volumes, the cluster's default unless given.
    node_selector: Values by label that a node must have.
    tolerations: Taints that a node may have, each with Kubernetes' fields: key, operator, value,
      effect, tolerationSeconds.
    labels: Values by label of the pod.
  """

  cpu: float | None = None
  cpu_limit: float | None = None
  memory_gb: float | None = None
  memory_limit_gb: float | None = None
  accelerator: str | None = None
  accelerator_count: int | None = None
  retries: int | None = None
  backoff: int | None = None
  timeout: int | None = None
  environment: Mapping[str, str] = field(default_factory=dict)
  secrets: Mapping[str, SecretKey] = field(default_factory=dict)
  secret_files: Mapping[str, str] = field(default_factory=dict)
  image_pull_secrets: Sequence[str] = ()
  pvcs: Mapping[str, str] = field(default_factory=dict)
  ephemeral_storage_gb: Mapping[str, float] = field(default_factory=dict)
  storage_class: str | None = None
  node_selector: Mapping[str, str] = field(default_factory=dict)
  tolerations: Sequence[Mapping[str, Any]] = ()
  labels: Mapping[str, str] = field(default_factory=dict)

  def __post_init__(self) -> None:
    for name in _RESOURCES:
      if (value := getattr(self, name)) is not None:
        amount = check_number(name, value, 0, above=True, fix='leave it out for no reservation')
        object.__setattr__(self, name, amount)
    for name, (least, fix) in _WHOLE.items():
      if (value := getattr(self, name)) is not None:
        object.__setattr__(self, name, check_whole(name, value, least, _LARGEST_COUNT, fix))
    if self.accelerator is not None:
      check_label_key('accelerator', self.accelerator)
    for name in _MAPPINGS:
      for key in check_mapping(name, getattr(self, name), "{'NAME': ...}"):
        check_text(f'{name}: key', key)
    for name in ('image_pull_secrets', 'tolerations'):
      value = getattr(self, name)
      if not isinstance(value, Sequence) or isinstance(value, str):
        raise ConfigError(f'{name}={format_value(value)} must be a list; give one, or leave it out')
      object.__setattr__(self, name, tuple(value))
    _check_environment(self.environment, self.secrets)
    for name in self.image_pull_secrets:
      check_object_name(name, 'Secret')
    _check_volumes(self)
    for name in ('node_selector', 'labels'):
      for key, value in getattr(self, name).items():
        check_label_key(f'{name}: key', key)
        check_label_value(f'{name}[{key!r}]', value)
    for toleration in self.tolerations:
      check_toleration(toleration)

  def over(self, other: TaskOptions) -> TaskOptions:
    """Returns these options, and another's where these say nothing."""
    merged: dict[str, Any] = {}
    for name in (f.name for f in fields(self)):
      mine, others = getattr(self, name), getattr(other, name)
      if isinstance(mine, Mapping):
        merged[name] = {**others, **mine}
      else:
        merged[name] = others if mine in (None, ()) else mine
    return TaskOptions(**merged)

  def retry_policy(self, unless_given: int) -> dict[str, Any]:
    """Returns a PipelineTaskSpec's `retryPolicy`; empty without retries.

    Every field is there, and the factor is whole: what KFP hands on to Argo needs both.

    Args:
      unless_given: Number of retries where these options name none.
    """
    retries = unless_given if self.retries is None else self.retries
    if not retries:
      return {}
    return {
      'maxRetryCount': retries,
      'backoffDuration': f'{BACKOFF_S if self.backoff is None else self.backoff}s',
      'backoffFactor': 2.0,
      'backoffMaxDuration': f'{RETRY_WITHIN_S}s',
    }

  def resources(self) -> dict[str, Any]:
    """Returns a PipelineContainerSpec's `resources`.

    As numbers, which every version of KFP and Vertex AI read; newer ones also read strings.

    Raises:
      ConfigError: if there are accelerators of no kind.
    """
    given = {key: getattr(self, name) for name, key in _RESOURCES.items()}
    found: dict[str, Any] = {key: float(value) for key, value in given.items() if value is not None}
    if self.accelerator is not None:
      count = 1 if self.accelerator_count is None else self.accelerator_count
      found['accelerator'] = {'type': self.accelerator, 'count': str(count)}
    elif self.accelerator_count is not None:
      raise ConfigError(
        f'accelerator_count={self.accelerator_count} is of no kind of accelerator; '
        "give one, such as accelerator='nvidia.com/gpu'"
      )
    return found

  def container_environment(self) -> list[dict[str, str]]:
    """Returns a PipelineContainerSpec's `env`."""
    return [{'name': name, 'value': value} for name, value in sorted(self.environment.items())]

  def kubernetes(self) -> dict[str, Any]:
    """Returns a KubernetesExecutorConfig of the platform specification, in protobuf's JSON.

    What only newer versions of KFP read (names as parameters) is not used. Empty where nothing is
    asked for that the pipeline's own specification has no field for.
    """
    config: dict[str, Any] = {
      'secretAsEnv': [
        {
          'secretName': secret.name,
          'keyToEnv': [{'secretKey': secret.key, 'envVar': variable}],
        }
        for variable, secret in sorted(self.secrets.items())
      ],
      'secretAsVolume': [
        {'secretName': name, 'mountPath': folder}
        for folder, name in sorted(self.secret_files.items())
      ],
      'imagePullSecret': [{'secretName': name} for name in self.image_pull_secrets],
      'pvcMount': [
        {'constant': name, 'mountPath': folder} for folder, name in sorted(self.pvcs.items())
      ],
      'genericEphemeralVolume': list(self._ephemeral_volumes()),
      'nodeSelector': {'labels': dict(self.node_selector)} if self.node_selector else {},
      'tolerations': [_toleration_of(toleration) for toleration in self.tolerations],
      'podMetadata': {'labels': dict(self.labels)} if self.labels else {},
    }
    if self.timeout is not None:
      config['activeDeadlineSeconds'] = str(self.timeout)
    return {name: value for name, value in config.items() if value}

  def _ephemeral_volumes(self) -> Iterator[dict[str, Any]]:
    chosen: dict[str, Any] = {'defaultStorageClass': True}
    if self.storage_class is not None:
      chosen = {'storageClassName': self.storage_class}
    for number, (folder, size) in enumerate(sorted(self.ephemeral_storage_gb.items())):
      yield {
        'volumeName': f'ephemeral-storage-{number}',
        'mountPath': folder,
        'accessModes': ['ReadWriteOnce'],
        'size': str(round(size * 1e9)),
        **chosen,
      }


_RESOURCES = {
  'cpu': 'cpuRequest',
  'cpu_limit': 'cpuLimit',
  'memory_gb': 'memoryRequest',
  'memory_limit_gb': 'memoryLimit',
}
_WHOLE = {
  'accelerator_count': (1, 'leave it out for one'),
  'retries': (0, 'give 0 for none'),
  'backoff': (0, 'give 0 to retry at once'),
  'timeout': (1, 'leave it out for no limit'),
}
_LARGEST_COUNT = (1 << 31) - 1  # of PipelineSpec's maxRetryCount
_FOLDERS = ('secret_files', 'pvcs', 'ephemeral_storage_gb')
_MAPPINGS = ('environment', 'secrets', *_FOLDERS, 'node_selector', 'labels')


def _check_environment(environment: Mapping[str, str], secrets: Mapping[str, SecretKey]) -> None:
  for variable, value in environment.items():
    if not isinstance(value, str):
      raise ConfigError(
        f'environment[{variable!r}]={format_value(value)} must be a text; give one such as "1"'
      )
  for variable, secret in secrets.items():
    if not isinstance(secret, SecretKey):
      raise ConfigError(
        f'secrets[{variable!r}]={format_value(secret)} must be a SecretKey; give one such as '
        f"SecretKey('name', 'key')"
      )
  for variable in (*environment, *secrets):
    if not _VARIABLE.fullmatch(variable):
      raise ConfigError(f'{variable!r} names no environment variable; use letters, digits and _')
  for variable in environment:
    if _SECRET_VARIABLE.search(variable):
      raise ConfigError(
        f'the value of {variable} would be in the compiled pipeline for everyone to read; '
        f'put it into a Kubernetes Secret and pass secrets={{{variable!r}: SecretKey(...)}}'
      )


def _check_volumes(options: TaskOptions) -> None:
  """Checks folders in the container, and what is mounted there."""
  taken: dict[str, str] = {}
  for name in _FOLDERS:
    for folder in getattr(options, name):
      if not folder.startswith('/') or ':' in folder:
        raise ConfigError(
          f'{folder!r} in {name} is not an absolute path in the container; give one such as /data'
        )
      if folder in taken:
        raise ConfigError(
          f'{folder!r} is in {taken[folder]} and in {name}; mount one of them elsewhere'
        )
      taken[folder] = name
  for secret in options.secret_files.values():
    check_mounted_name(secret, 'Secret')
  for claim in options.pvcs.values():
    check_mounted_name(claim, 'PersistentVolumeClaim')
    if claim in options.secret_files.values():
      raise ConfigError(
        f'{claim!r} names a Secret and a PersistentVolumeClaim, and KFP names the volume of each '
        'by it; give one of them another name'
      )
  for folder, size in options.ephemeral_storage_gb.items():
    check_number(f'ephemeral_storage_gb[{folder!r}]', size, 0, above=True)
  if options.storage_class is not None:
    check_object_name(options.storage_class, 'StorageClass')


def _toleration_of(toleration: Mapping[str, Any]) -> dict[str, Any]:
  """Returns a toleration in protobuf's JSON, where a long integer is a text."""
  return {
    name: str(int(value)) if name == 'tolerationSeconds' else value
    for name, value in toleration.items()
  }
