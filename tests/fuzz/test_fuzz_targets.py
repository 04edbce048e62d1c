"""The fuzzer's targets hold on a few random inputs, and fail where the code is made wrong."""

import random

import numpy as np
import pytest
from tfx_balance.plan import split_plan
from tfx_balance.tfrecord import reading

from tests.fuzz.__main__ import run_target
from tests.fuzz.targets import TARGETS


def random_inputs(n):
  source = random.Random(0)
  return [source.randbytes(source.randrange(1, 400)) for _ in range(n)]


def run(name, n):
  for raw in random_inputs(n):
    TARGETS[name](raw)


@pytest.mark.parametrize('name', TARGETS)
def test_a_target_holds_on_random_inputs(name):
  run(name, 40)


def test_a_target_is_fuzzed_in_a_process_of_its_own(tmp_path, capfd):
  assert run_target('plans', 1, tmp_path)
  assert 'no fault' in capfd.readouterr().out


def test_unchecked_frames_are_found(monkeypatch):
  monkeypatch.setattr(reading, '_check_records', lambda *_: None)
  with pytest.raises(AssertionError, match='read what TensorFlow refuses'):
    run('frames', 400)


def test_wrong_rounding_is_found(monkeypatch):
  def all_to_the_first(table, denominator, **_):
    return np.array([[sum(row) // denominator] + [0] * (len(row) - 1) for row in table])

  monkeypatch.setattr(split_plan, 'controlled_rounding', all_to_the_first)
  with pytest.raises(AssertionError):
    run('plans', 40)
