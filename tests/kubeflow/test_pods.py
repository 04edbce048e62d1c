"""Tests of the ways to run the command of a pod."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.kubeflow.launcher_double import Pod
from tests.kubeflow.pods import ForkedPods


@pytest.mark.parametrize(('module', 'code'), [('this', 0), ('no_such_module', 1)])
def test_every_one_of_many_forked_pods_returns_its_own_exit_code(tmp_path, module, code):
  run = ForkedPods()

  def exit_code(number):
    folder = tmp_path / str(number)
    folder.mkdir()
    command = ['python', '-m', module]
    return run(Pod(folder, {}, command, folder / 'log', has_launcher=True))

  with ThreadPoolExecutor(8) as threads:
    assert set(threads.map(exit_code, range(100))) == {code}
