"""Names and values that Kubernetes takes, checked before it rejects a pod for them.

Every function raises a ConfigError for a value that breaks a rule.
"""

from __future__ import annotations

import re
from typing import Any

from tfx_balance.arguments import check_choice, check_mapping, check_whole, format_value
from tfx_balance.errors import ConfigError

_DNS_LABEL = r'[a-z0-9]([-a-z0-9]*[a-z0-9])?'
_OBJECT = re.compile(rf'(?=.{{1,253}}\Z){_DNS_LABEL}(\.{_DNS_LABEL})*')
_VOLUME = re.compile(rf'(?=.{{1,63}}\Z){_DNS_LABEL}')
_WORD = re.compile(r'(?=.{1,63}\Z)[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?')

_TOLERATION = ('key', 'operator', 'value', 'effect', 'tolerationSeconds')
_EFFECTS = ('NoSchedule', 'PreferNoSchedule', 'NoExecute')
_EXAMPLE = "{'key': 'gpu', 'operator': 'Exists', 'effect': 'NoSchedule'}"


def check_object_name(value: Any, kind: str) -> None:
  """Checks the name of an object.

  Args:
    value: Value to check.
    kind: Kind of object, such as 'Secret', for the message.
  """
  if not isinstance(value, str) or not _OBJECT.fullmatch(value):
    raise ConfigError(
      f'{format_value(value)} is not a valid name of a Kubernetes {kind}; use small letters, '
      'digits, - and .'
    )


def check_mounted_name(value: Any, kind: str) -> None:
  """Checks the name of an object that KFP mounts, in a volume that it names after the object."""
  check_object_name(value, kind)
  if not _VOLUME.fullmatch(value):
    raise ConfigError(
      f'{value!r} cannot be mounted: KFP names a volume after its {kind}, and the name of a volume '
      f'has small letters, digits and -, 63 at most; make a {kind} with such a name'
    )


def check_label_key(name: str, value: Any) -> None:
  """Checks the key of a label, or a name of that form: with a domain before a slash, or not."""
  prefix, slash, word = value.rpartition('/') if isinstance(value, str) else ('', '', '')
  if not _WORD.fullmatch(word) or (slash and not _OBJECT.fullmatch(prefix)):
    raise ConfigError(
      f'{name}={format_value(value)} is not a valid name in Kubernetes; give one such as pool or '
      f'example.com/pool'
    )


def check_label_value(name: str, value: Any) -> None:
  """Checks the value of a label, which may be empty."""
  if not isinstance(value, str) or (value and not _WORD.fullmatch(value)):
    raise ConfigError(
      f'{name}={format_value(value)} is not a valid value of a label in Kubernetes; give a text of '
      'at most 63 letters, digits, -, _ and ., which begins and ends with a letter or digit'
    )


def check_toleration(value: Any) -> None:
  """Checks a toleration in the fields of a pod's specification."""
  given = check_mapping('tolerations: each', value, _EXAMPLE)
  for name in given:
    check_choice('tolerations: field', name, _TOLERATION)
  operator = check_choice(
    'tolerations: operator', given.get('operator', 'Equal'), ('Equal', 'Exists')
  )
  compared = {'key', 'value'}.intersection(given)
  if len(compared) < 2 if operator == 'Equal' else 'value' in compared:
    raise ConfigError(
      f"tolerations has {format_value(value)}; 'Equal' takes a key and a value, 'Exists' no value: "
      f'give one such as {_EXAMPLE}'
    )
  if 'key' in compared:
    check_label_key('tolerations: key', given['key'])
  if 'value' in compared:
    check_label_value('tolerations: value', given['value'])
  if 'effect' in given:
    check_choice('tolerations: effect', given['effect'], _EFFECTS)
  if 'tolerationSeconds' in given:
    check_whole('tolerations: tolerationSeconds', given['tolerationSeconds'], 0)
    # Kubernetes rejects the pod otherwise: only what is evicted can be evicted later.
    check_choice('tolerations: effect with tolerationSeconds', given.get('effect'), _EFFECTS[2:])
