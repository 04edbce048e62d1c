"""Pipelines on Kubeflow: compiled for it, and run by it task by task.

`python -m tfx_balance.kubeflow.entrypoint` is what a compiled task calls in its container.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
  from tfx_balance.kubeflow.compile import compile_pipeline as compile_pipeline
  from tfx_balance.kubeflow.task_options import SecretKey as SecretKey
  from tfx_balance.kubeflow.task_options import TaskOptions as TaskOptions

# Loaded when first used: a task's container has no use for the compiler.
_HOME = {
  'SecretKey': 'tfx_balance.kubeflow.task_options',
  'TaskOptions': 'tfx_balance.kubeflow.task_options',
  'compile_pipeline': 'tfx_balance.kubeflow.compile',
}

__all__ = ['SecretKey', 'TaskOptions', 'compile_pipeline']


def __getattr__(name: str) -> Any:
  if name not in _HOME:
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
  return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
