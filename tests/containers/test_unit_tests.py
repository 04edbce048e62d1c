"""The unit tests on the newest TFX and Python, against the wheel that the image holds."""

import os

import pytest

pytestmark = pytest.mark.containers


def test_unit_tests_pass(engine, test_image):
  command = ['run', '--rm', '--network', 'none']
  data = os.environ.get('TFX_BALANCE_DATA')
  if data:
    command += ['--volume', f'{os.path.abspath(data)}:/data:ro', '--env', 'TFX_BALANCE_DATA=/data']
  code = engine.show(*command, test_image)
  assert code == 0
