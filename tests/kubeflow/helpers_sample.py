"""The sample pipeline, compiled for Kubeflow as a person does it, on small data."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import Any
from unittest import mock

from pipelines import kubeflow_runner
from tests.kubeflow.helpers_compile import load_package

EXECUTOR = '--executor_class_path'


def compile_sample(folder: Path, train_steps: int = 1) -> dict[str, Any]:
  """Returns the PipelineSpec of the sample, its data in `folder / 'data'`, not in an image."""
  output = folder / 'digits.yaml'
  steps = ('--train_steps', str(train_steps))
  with mock.patch.dict(os.environ):
    kubeflow_runner.main(['--image', 'registry/image:1', '--output', str(output), *steps])
  text = json.dumps(load_package(output)[0])
  spec: dict[str, Any] = json.loads(text.replace('/app/', f'{folder}/'))
  return spec


def with_executor(spec: dict[str, Any], path: str) -> dict[str, Any]:
  """Returns a PipelineSpec whose tasks run another executor."""
  spec = copy.deepcopy(spec)
  for executor in spec['deploymentSpec']['executors'].values():
    arguments = executor['container']['args']
    arguments[arguments.index(EXECUTOR) + 1] = path
  return spec
