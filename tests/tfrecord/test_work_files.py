"""Files that no one sees until they are whole."""

from pathlib import Path

import pytest
from tfx_balance.tfrecord import work_files
from tfx_balance.tfrecord.work_files import WorkFile, publish

from tests.helpers_changes import stop_moves
from tests.helpers_examples import all_bytes


def work_files_in(tmp_path, n=3):
  """Returns files that wait to be published in two folders."""
  (tmp_path / 'work').mkdir()
  files = []
  for i in range(n):
    path = Path(work_files.new_work_file(str(tmp_path / 'work'), 'out'))
    path.write_text(f'content {i}')
    files.append(WorkFile(str(path), str(tmp_path / 'out' / f'Split-{i % 2}' / f'f{i}'), 1))
  return files


def published(tmp_path):
  return {name: data.decode() for name, data in all_bytes(tmp_path / 'out').items()}


EXPECTED = {'Split-0/f0': 'content 0', 'Split-0/f2': 'content 2', 'Split-1/f1': 'content 1'}


@pytest.mark.parametrize('moved', [0, 1, 2])
def test_a_second_call_ends_what_a_failed_one_began(tmp_path, monkeypatch, moved):
  files = work_files_in(tmp_path)
  stop_moves(monkeypatch, moved)
  with pytest.raises(OSError, match='killed'):
    publish(files)
  assert len(published(tmp_path)) == moved
  monkeypatch.undo()
  publish(files)
  assert published(tmp_path) == EXPECTED
  assert all_bytes(tmp_path / 'work') == {}
  publish(files)  # and a third changes nothing
  assert published(tmp_path) == EXPECTED


def test_a_file_that_is_nowhere_is_an_error(tmp_path):
  files = work_files_in(tmp_path)
  Path(files[1].work_path).unlink()
  with pytest.raises(Exception, match=r'[Rr]ename|No such file|not found'):
    publish(files)
