"""Pipelines on Kubeflow: compiled for it, and run by it task by task.

`python -m tfx_balance.kubeflow.entrypoint` is what a compiled task calls in its container.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

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

__all__ = list(_HOME)

__getattr__, __dir__ = lazy_names(globals(), _HOME)
