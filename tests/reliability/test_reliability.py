"""The campaign's own tools: a fault that it makes is one, and a kill is a kill."""

import random
import time
from pathlib import Path

import pytest
from tfx_balance.tfrecord.work_files import create_as_is

from tests.helpers_examples import write_tfrecords
from tests.reliability.children import KillAt, run_in_child
from tests.reliability.mutations import is_whole, mutated


@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_a_damaged_file_is_told_from_a_whole_one(tmp_path, suffix):
  path = Path(write_tfrecords(tmp_path / f'in{suffix}', [b'a' * 50, b'', b'b' * 70]))
  data, rng = path.read_bytes(), random.Random(0)
  assert is_whole(data, suffix)
  assert not is_whole(data[:-1], suffix)
  changed = [mutated(data, rng) for _ in range(200)]
  assert sum(is_whole(each, suffix) for each in changed) < 100
  assert len(set(changed)) > 150


def fails():
  raise ValueError('so it is')


def test_a_child_tells_how_it_ended():
  done, error = run_in_child(lambda: 7), run_in_child(fails)
  assert (done.how, done.result) == ('done', 7)
  assert (error.how, error.kind, error.result) == ('error', 'ValueError', 'so it is')
  assert run_in_child(lambda: time.sleep(600), kill_after=0.01).how == 'killed'


@pytest.mark.parametrize(('after', 'there'), [(False, ['0']), (True, ['0', '1'])])
def test_a_child_is_killed_around_a_change_of_files(tmp_path, after, there):
  def run():
    KillAt(1, after).install()
    for i in range(3):
      create_as_is(str(tmp_path / str(i))).close()

  assert run_in_child(run).how == 'killed'
  assert sorted(path.name for path in tmp_path.iterdir()) == there
