"""A program is built once, and anew if the cache does not have it as it was built."""

import os

import pytest

from tests.objectstore.go_programs import BuildError, GoProgram, find_program

PROGRAM = GoProgram('example.com/someone/tool', 'v1.2.3')

GO = """#!/bin/sh
case $1 in
  version) echo go version go{version} linux/amd64;;
  install) echo built >> {log}; {install};;
esac
"""


def put_go(monkeypatch, folder, version='1.30', install='cp "$0" "$GOBIN/tool"'):
  """Puts a stand-in for Go on the path, and nothing else; returns the file that it logs to."""
  log = folder / 'log'
  go = folder / 'bin' / 'go'
  go.parent.mkdir(parents=True)
  go.write_text(GO.format(version=version, log=log, install=install))
  go.chmod(0o755)
  monkeypatch.setenv('PATH', f'{go.parent}:{os.defpath}' if install else str(go.parent))
  return log


def test_the_program_is_built_once_and_anew_where_it_is_damaged(monkeypatch, tmp_path):
  log = put_go(monkeypatch, tmp_path)
  program = find_program(PROGRAM, tmp_path / 'cache')
  assert find_program(PROGRAM, tmp_path / 'cache') == program
  assert log.read_text() == 'built\n'

  program.write_bytes(program.read_bytes()[:-1])

  assert find_program(PROGRAM, tmp_path / 'cache') == program
  assert log.read_text() == 'built\n' * 2


def test_what_cannot_be_built_is_told(monkeypatch, tmp_path):
  put_go(monkeypatch, tmp_path, install='echo dial tcp: no route to host; exit 1')

  with pytest.raises(BuildError, match="no route to host; let this machine reach Go's module"):
    find_program(PROGRAM, tmp_path / 'cache')

  assert list((tmp_path / 'cache').iterdir()) == []
