"""Messages recorded from the driver of KFP 2.17.0, without what differs from run to run."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

_FOLDER = Path(os.environ.get('TFX_BALANCE_DATA', ''), 'kfp')
_ROOT = 's3://bkt/kfp/root'
_ID = re.compile(r'[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}')


def recorded_tasks() -> dict[str, dict[str, Any]]:
  """Returns task to its ComponentSpec and ExecutorInput; skips the test where there are none."""
  if not _FOLDER.is_dir():
    pytest.skip('TFX_BALANCE_DATA is not set or has no folder kfp: no messages to compare with')
  return {path.stem: json.loads(path.read_text()) for path in sorted(_FOLDER.glob('*.json'))}


def normalised(message: dict[str, Any], root: str = _ROOT) -> dict[str, Any]:
  """Returns an ExecutorInput without what differs between runs.

  These are the bucket and its root, the ids of the run and of its tasks, the numbers of artifacts,
  and the object store's address.
  """
  text = json.dumps(message).replace(root, 's3://ROOT')
  text = text.replace(root.replace('://', '/'), 's3/ROOT')
  found: dict[str, Any] = json.loads(_ID.sub('ID', text))
  for artifacts in found['inputs'].get('artifacts', {}).values():
    for artifact in artifacts['artifacts']:
      assert artifact['name'].isdecimal()
      artifact['name'] = 'NUMBER'
      session = json.loads(artifact['metadata']['store_session_info'])
      session['Params']['endpoint'] = 'ADDRESS'
      artifact['metadata']['store_session_info'] = session
  return found


def without_the_runs_own(message: dict[str, Any]) -> dict[str, Any]:
  """Returns a normalised ExecutorInput without arguments, TFX's version and files' fingerprints.

  Names of splits are in order: Transform writes them in that of a Python set.
  """
  message['inputs'].pop('parameterValues', None)
  for artifacts in message['inputs'].get('artifacts', {}).values():
    for artifact in artifacts['artifacts']:
      for name in ('tfx_version', 'input_fingerprint'):
        artifact['metadata'].pop(name, None)
      if 'split_names' in artifact['metadata']:
        splits = json.loads(artifact['metadata']['split_names'])
        artifact['metadata']['split_names'] = sorted(splits)
  return message
