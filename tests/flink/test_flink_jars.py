"""Where Flink's job server cannot be had, the message says what was tried and what to do."""

import hashlib

import pytest
from apache_beam.utils.subprocess_server import JavaJarServer

from tests.flink import flink_jars


@pytest.fixture(autouse=True)
def _java(monkeypatch, tmp_path):
  """Puts a Java on the path, and nothing else; caches are empty."""
  java = tmp_path / 'bin' / 'java'
  java.parent.mkdir()
  java.write_text('#!/bin/sh\n')
  java.chmod(0o755)
  monkeypatch.setenv('PATH', str(java.parent))
  monkeypatch.delenv(flink_jars.JAR_VARIABLE, raising=False)
  monkeypatch.setattr(JavaJarServer, 'JAR_CACHE', str(tmp_path / 'cache'))


def serve(monkeypatch, tmp_path, jar, checksum):
  """Has Beam find a jar and its checksum; a file that is None cannot be fetched."""

  def local_jar(url):
    content = checksum if url.endswith('.sha1') else jar
    if content is None:
      raise RuntimeError(f'Unable to fetch remote job server jar at {url}: Not Found')
    path = tmp_path / url.rsplit('/', 1)[1]
    path.write_bytes(content)
    return str(path)

  monkeypatch.setattr(JavaJarServer, 'local_jar', local_jar)


def test_without_java(monkeypatch):
  monkeypatch.setenv('PATH', '')
  with pytest.raises(flink_jars.JarError, match='java is not on PATH; Flink needs Java 11 or 17'):
    flink_jars.find_jars()


def test_a_named_jar_is_taken(monkeypatch, tmp_path):
  monkeypatch.setenv(flink_jars.JAR_VARIABLE, str(tmp_path / 'server-1.jar'))
  with pytest.raises(flink_jars.JarError, match=r'server-1\.jar, which is no file'):
    flink_jars.find_jars()

  (tmp_path / 'server-1.jar').write_bytes(b'')
  found = flink_jars.find_jars()

  assert (found.version, found.class_path) == ('server-1', str(tmp_path / 'server-1.jar'))


def test_the_released_jar_is_taken_if_its_checksum_is_right(monkeypatch, tmp_path):
  serve(monkeypatch, tmp_path, b'jar', hashlib.sha1(b'jar').hexdigest().encode())

  (path,) = flink_jars.find_jars().paths

  assert path.startswith(f'{tmp_path}/beam-runners-flink-')


def test_a_jar_with_another_checksum_is_removed(monkeypatch, tmp_path):
  serve(monkeypatch, tmp_path, b'jar', b'0' * 40)

  with pytest.raises(flink_jars.JarError, match='it was removed, try again'):
    flink_jars.released_jar()

  assert not list(tmp_path.glob('*.jar'))


def test_where_nothing_is_to_be_had(monkeypatch, tmp_path):
  serve(monkeypatch, tmp_path, None, None)

  with pytest.raises(flink_jars.JarError) as raised:
    flink_jars.find_jars()

  told = str(raised.value).splitlines()
  assert told[0] == "Flink's job server cannot be had:"
  assert told[1].startswith('- beam-runners-flink-')
  assert told[2].endswith('could be put together by Maven, but mvn is not on PATH')
  assert told[3].endswith('or name a job server jar in FLINK_JOB_SERVER_JAR.')
