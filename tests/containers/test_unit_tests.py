"""Tests on the newest TFX and Python, against the wheel that the image holds."""

import os

import pytest

pytestmark = pytest.mark.containers

PYTEST = (
  'python',
  '-m',
  'pytest',
  '-q',
  '--numprocesses=auto',
  '--maxprocesses=4',
  '--dist=loadfile',
)
SPANS = 'test_several_spans_and_runtime_parameters'
OF_THIS_STACK = (
  # Each component through a runner.
  f'tests/stratified_splitter/test_splitter_in_pipelines.py::{SPANS}',
  f'tests/balanced_augmenter/test_augmenter_in_pipelines.py::{SPANS}',
  f'tests/balanced_input_gen/test_input_gen_in_pipelines.py::{SPANS}',
  'tests/class_distribution_validator/test_validator_in_pipelines.py::'
  'test_between_splitter_and_trainer_with_a_schema_and_its_own_sidecar',
  # Protobuf 6, and the compiler of kfp 2.16.
  'tests/kubeflow/test_compile.py',
  'tests/kubeflow/test_refusals.py',
  'tests/kubeflow/test_sample_tasks.py',
  'tests/kubeflow/test_spans.py',
  'tests/kubeflow/test_task_options.py',
  'tests/kubeflow/test_tasks.py',
  'tests/pipelines/test_kubeflow_runner.py',
  'tests/class_distribution_validator/test_label_schema.py',
  'tests/report/test_tfx_artifacts.py',
  'tests/scan/test_record_values.py',
  # Keras 3, and TensorFlow 2.21 with NumPy 2.
  'tests/augment/test_image.py',
  'tests/augment/test_image_files.py',
  'tests/augment/test_keras.py',
  'tests/augment/test_random.py',
  'tests/augment/test_tabular.py',
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


def test_tests_pass_in_the_image(engine, test_image, request):
  paths = [] if request.config.getoption('--all') else OF_THIS_STACK
  command = ['run', '--rm', '--network', 'none']
  data = os.environ.get('TFX_BALANCE_DATA')
  if data:
    command += ['--volume', f'{os.path.abspath(data)}:/data:ro', '--env', 'TFX_BALANCE_DATA=/data']
  assert engine.show(*command, test_image, *PYTEST, *paths) == 0
