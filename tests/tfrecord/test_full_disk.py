"""A full disk: the run ends, says where and what is needed, and leaves nothing."""

import contextlib
import errno
import os
import random
import re
import subprocess

import pytest
from apache_beam.io.filesystem import BeamIOError
from tfx_balance.errors import DataError, StorageError, plain_cause
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord.work_folder import needed_bytes, no_room, work_folder

from tests.helpers_examples import all_bytes, example, in_shards, write_tfrecords
from tests.helpers_split import input_files, split_request
from tests.list_runner import run_on_lists

FULL = OSError(errno.ENOSPC, 'No space left on device', 'file')


def caused_by(error, cause):
  error.__cause__ = cause
  return error


def cycle():
  first, second = RuntimeError('first'), RuntimeError('second')
  first.__context__, second.__context__ = second, first
  return first


@pytest.mark.parametrize(
  ('error', 'reason'),
  [
    pytest.param(FULL, 'No space left on device', id='as it is'),
    pytest.param(OSError(errno.EDQUOT, 'x'), os.strerror(errno.EDQUOT), id='quota'),
    pytest.param(OSError(errno.EFBIG, 'x'), 'File too large', id='limit of a file'),
    pytest.param(caused_by(RuntimeError('a'), FULL), 'No space left on device', id='cause'),
    pytest.param(OSError(FULL), 'No space left on device', id='in another'),
    pytest.param(
      BeamIOError('Copy failed', {('a', 'b'): OSError(FULL)}), 'No space left on device', id='copy'
    ),
    pytest.param(
      RuntimeError("OSError: [Errno 28] No space left on device: 'x' [while running 'Y']"),
      'No space left on device',
      id='of another process',
    ),
    pytest.param(OSError(errno.EACCES, 'Permission denied'), None, id='no permission'),
    pytest.param(DataError('28 records'), None, id='data'),
    pytest.param(cycle(), None, id='cycle'),
  ],
)
def test_what_a_full_disk_leads_to_is_known(error, reason):
  assert no_room(error) == reason


def test_a_cycle_of_errors_has_an_end():
  assert plain_cause(cycle()) is None


@pytest.mark.parametrize('suffix', ['', '.gz'])
def test_the_need_is_known_from_the_input(tmp_path, suffix):
  records = [bytes(1000)] * 50
  plain = os.path.getsize(write_tfrecords(tmp_path / 'plain', records))
  path = write_tfrecords(tmp_path / f'in{suffix}', records)
  assert needed_bytes([path, path]) == 2 * (os.path.getsize(path) + plain)
  assert needed_bytes([path, str(tmp_path / 'none')]) == 0


def test_other_errors_stay_what_they_are(tmp_path):
  with pytest.raises(DataError, match=r'^a fault of the data$'), work_folder(str(tmp_path)):
    raise DataError('a fault of the data')


@contextlib.contextmanager
def small_disk(folder, size):
  """Mounts a filesystem of so many bytes."""
  folder.mkdir()
  command = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(folder)]
  try:
    done = subprocess.run(command, capture_output=True, text=True)
  except FileNotFoundError:
    pytest.skip('there is no program mount')
  if done.returncode:
    pytest.skip(f'no filesystem can be mounted here: {done.stderr.strip()}')
  try:
    yield folder
  finally:
    subprocess.run(['umount', str(folder)], check=True)


@pytest.mark.parametrize('size', [64 << 10, 1 << 20, 2 << 20], ids=['tiny', 'spills', 'outputs'])
def test_a_split_on_a_full_disk_says_what_is_needed_and_leaves_nothing(tmp_path, size):
  rng = random.Random(0)
  records = [example(label=i % 3, data=rng.randbytes(300)) for i in range(4000)]
  files = input_files(tmp_path / 'in', in_shards(records, 2), '.gz')
  read = [file.path for file in files]
  with small_disk(tmp_path / 'disk', size) as disk:
    fault = (
      rf'^{re.escape(str(disk))}/out cannot be written: No space left on device \([\d,]+ bytes are '
      rf'free; the files in the making had [\d,]+; this input needs about {needed_bytes(read):,}, '
      r'and room for copies where any are made\); free that much on its disk or quota, or put the '
      r'pipeline root on a larger one, and run again$'
    )
    out = f'{disk}/out'
    with pytest.raises(StorageError, match=fault), work_folder(out, read) as work_dir:
      run_on_lists(
        StratifiedSplit(split_request(tmp_path, suffix='.gz', output_uri=out, work_dir=work_dir)),
        files,
      )
    assert all_bytes(disk) == {}
