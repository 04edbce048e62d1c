"""Tests on the newest TFX and Python, against the wheel that the image holds."""

import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.containers
ROOT = Path(__file__).parents[2]

PYTEST = (
  'python',
  '-m',
  'pytest',
  '-q',
  '--numprocesses=auto',
  '--maxprocesses=4',
  '--dist=loadfile',
)
OF_THIS_STACK = (
  # Each component through a runner.
  'tests/*/test_*_in_pipelines.py',
  # Protobuf 6, and the compiler of kfp 2.16.
  'tests/kubeflow',
  'tests/pipelines/test_kubeflow_runner.py',
  'tests/class_distribution_validator/test_label_schema.py',
  'tests/report/test_tfx_artifacts.py',
  'tests/scan/test_record_values.py',
  # Keras 3, and TensorFlow 2.21 with NumPy 2.
  'tests/augment',
  'tests/inputs/test_augment.py',
  'tests/inputs/test_programs.py',
  'tests/inputs/test_selection.py',
  'tests/inputs/test_train.py',
  'tests/inputs/test_training_callbacks.py',
  'tests/plan/test_batch_quota.py',
  'tests/plan/test_ranks.py',
  'tests/test_exported_members.py',
)
"""What may differ between the image's stack and that of a machine with TFX 1.16."""


def paths_of(patterns):
  """Returns the files and folders that patterns name; each names one at least."""
  found = {pattern: sorted(ROOT.glob(pattern)) for pattern in patterns}
  assert all(found.values()), [pattern for pattern, paths in found.items() if not paths]
  return [str(path.relative_to(ROOT)) for paths in found.values() for path in paths]


def test_tests_pass_in_the_image(engine, test_image, request):
  paths = [] if request.config.getoption('--all') else paths_of(OF_THIS_STACK)
  command = ['run', '--rm', '--network', 'none']
  data = os.environ.get('TFX_BALANCE_DATA')
  if data:
    command += ['--volume', f'{os.path.abspath(data)}:/data:ro', '--env', 'TFX_BALANCE_DATA=/data']
  assert engine.show(*command, test_image, *PYTEST, *paths) == 0
