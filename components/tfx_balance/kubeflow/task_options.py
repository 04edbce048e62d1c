"""What a task gets from the cluster: CPU, memory, environment variables, secrets by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from tfx_balance.arguments import check_mapping, check_number, check_text, shown
from tfx_balance.errors import ConfigError

_VARIABLE = re.compile(r'[A-Za-z_][A-Za-z0-9_]*')
_SECRET_VARIABLE = re.compile(r'SECRET|PASSWORD|PASSWD|TOKEN|ACCESS_KEY|API_KEY|PRIVATE_KEY', re.I)
_KEY = re.compile(r'[-._a-zA-Z0-9]{1,253}')
_NAME = re.compile(r'[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?')


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
    _check_name(self.name)
    check_text('key', self.key, "the name of the value in the Secret's data")
    if not _KEY.fullmatch(self.key):
      raise ConfigError(
        f'key={self.key!r} is no key of a Kubernetes Secret; use letters, digits, -, _ and .'
      )


@dataclass(frozen=True)
class TaskOptions:
  """What a task is given. What is not named here is left to the cluster.

  Attributes:
    cpu: Cores to reserve.
    cpu_limit: Cores that it may use.
    memory_gb: Memory to reserve, in 10^9 bytes.
    memory_limit_gb: Memory that it may use, in 10^9 bytes.
    environment: Values by variable, in the compiled pipeline for everyone to read.
    secrets: Secret values by variable.
    secret_files: Names of Secrets by folder in the container, where their keys become files.
  """

  cpu: float | None = None
  cpu_limit: float | None = None
  memory_gb: float | None = None
  memory_limit_gb: float | None = None
  environment: Mapping[str, str] = field(default_factory=dict)
  secrets: Mapping[str, SecretKey] = field(default_factory=dict)
  secret_files: Mapping[str, str] = field(default_factory=dict)

  def __post_init__(self) -> None:
    for name in _RESOURCES:
      value = getattr(self, name)
      if value is not None:
        amount = check_number(name, value, 0, above=True, fix='leave it out for no reservation')
        object.__setattr__(self, name, amount)
    for name in ('environment', 'secrets', 'secret_files'):
      for key in check_mapping(name, getattr(self, name), "{'NAME': ...}"):
        check_text(f'{name}: key', key)
    for variable, value in self.environment.items():
      if not isinstance(value, str):
        raise ConfigError(
          f'environment[{variable!r}]={shown(value)} must be a text; give one such as "1"'
        )
    for variable, secret in self.secrets.items():
      if not isinstance(secret, SecretKey):
        raise ConfigError(
          f'secrets[{variable!r}]={shown(secret)} must be a SecretKey; give one such as '
          f"SecretKey('name', 'key')"
        )
    for variable in (*self.environment, *self.secrets):
      if not _VARIABLE.fullmatch(variable):
        raise ConfigError(f'{variable!r} names no environment variable; use letters, digits and _')
    for variable in self.environment:
      if _SECRET_VARIABLE.search(variable):
        raise ConfigError(
          f'the value of {variable} would be in the compiled pipeline for everyone to read; '
          f'put it into a Kubernetes Secret and pass secrets={{{variable!r}: SecretKey(...)}}'
        )
    for folder, name in self.secret_files.items():
      if not folder.startswith('/'):
        raise ConfigError(f'{folder!r} in secret_files is no absolute path in the container')
      _check_name(name)

  def over(self, other: TaskOptions) -> TaskOptions:
    """Returns these options, and another's where these say nothing."""
    merged: dict[str, Any] = {}
    for name in (f.name for f in fields(self)):
      mine, others = getattr(self, name), getattr(other, name)
      if isinstance(mine, Mapping):
        merged[name] = {**others, **mine}
      else:
        merged[name] = others if mine is None else mine
    return TaskOptions(**merged)

  def resources(self) -> dict[str, float]:
    """Returns a PipelineContainerSpec's `resources`.

    As numbers, which every version of KFP and Vertex AI read; newer ones also read strings.
    """
    found = {key: getattr(self, name) for name, key in _RESOURCES.items()}
    return {key: float(value) for key, value in found.items() if value is not None}

  def container_environment(self) -> list[dict[str, str]]:
    """Returns a PipelineContainerSpec's `env`."""
    return [{'name': name, 'value': value} for name, value in sorted(self.environment.items())]

  def kubernetes(self) -> dict[str, Any]:
    """Returns a KubernetesExecutorConfig of the platform specification; empty without secrets."""
    config: dict[str, Any] = {}
    if self.secrets:
      config['secretAsEnv'] = [
        {
          'secretName': secret.name,
          'keyToEnv': [{'secretKey': secret.key, 'envVar': variable}],
          'optional': False,
        }
        for variable, secret in sorted(self.secrets.items())
      ]
    if self.secret_files:
      config['secretAsVolume'] = [
        {'secretName': name, 'mountPath': folder, 'optional': False}
        for folder, name in sorted(self.secret_files.items())
      ]
    return config


_RESOURCES = {
  'cpu': 'cpuRequest',
  'cpu_limit': 'cpuLimit',
  'memory_gb': 'memoryRequest',
  'memory_limit_gb': 'memoryLimit',
}


def _check_name(name: str) -> None:
  if not isinstance(name, str) or not _NAME.fullmatch(name):
    raise ConfigError(
      f'{shown(name)} is no name of a Kubernetes Secret; use small letters, digits, - and .'
    )
