"""The Keras that runs: Keras 3, or tf_keras as in the child processes of TFX."""

from __future__ import annotations

import importlib
import os
from typing import Any, Literal, get_args

from tfx_balance.arguments import check_choice

KerasName = Literal['keras', 'tf_keras']


def keras_module(name: KerasName | None) -> Any:
  """Returns the module of a Keras.

  Args:
    name: 'keras' (3) or 'tf_keras'; None for tf_keras where TF_USE_LEGACY_KERAS is set.

  Raises:
    ConfigError: if it is neither.
  """
  legacy = os.environ.get('TF_USE_LEGACY_KERAS', '').lower() in ('1', 'true')
  found = ('tf_keras' if legacy else 'keras') if name is None else name
  return importlib.import_module(check_choice('keras', found, get_args(KerasName)))
