"""Where a job server cannot be put together, the message says why and what to do."""

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer

from tests.flink.job_server_jars import FLINK, SPARK, JarError, find_jars


@pytest.fixture(autouse=True)
def put_on_path(monkeypatch, tmp_path):
  """Returns a function that puts a program on the path, where there is nothing else."""
  monkeypatch.setenv('PATH', str(tmp_path))
  monkeypatch.setattr(JavaJarServer, 'JAR_CACHE', str(tmp_path / 'cache'))

  def put(name, script=''):
    (tmp_path / name).write_text(f'#!/bin/sh\n{script}\n')
    (tmp_path / name).chmod(0o755)

  return put


def test_without_java_or_maven(put_on_path):
  with pytest.raises(JarError, match=r'java is not on PATH; beam-runners-flink.* Java 11 or 17'):
    find_jars(FLINK)
  put_on_path('java')
  with pytest.raises(JarError, match=r'mvn is not on PATH; beam-runners-spark-3-.* needs Maven'):
    find_jars(SPARK)


def test_jars_are_put_together_once(put_on_path, tmp_path):
  put_on_path('java')
  put_on_path('mvn', f'for last; do :; done; echo {tmp_path}/mvn:{tmp_path}/java > "${{last#*=}}"')
  jars = [f'{tmp_path}/mvn', f'{tmp_path}/java']
  assert find_jars(SPARK) == jars

  put_on_path('mvn', 'echo "[ERROR] no route to host"; exit 1')

  assert find_jars(SPARK) == jars
  with pytest.raises(JarError, match=r'flink.* by Maven: \[ERROR\] no route to host; let this mac'):
    find_jars(FLINK)
