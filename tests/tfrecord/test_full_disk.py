"""A full disk: the run ends, says where and what is needed, and leaves nothing."""

import errno
import os
import random
import re
import resource
import tempfile

import pytest
from apache_beam.io.filesystem import BeamIOError
from obstore.store import LocalStore
from tfx_balance.errors import DataError, StorageError, plain_cause
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord import object_store
from tfx_balance.tfrecord.work_folder import needed_bytes, no_room, work_folder

from tests.helpers_disks import small_disk
from tests.helpers_examples import all_bytes, example, in_shards, write_tfrecords
from tests.helpers_split import input_files, split_context
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
  ('error', 'number'),
  [
    pytest.param(FULL, errno.ENOSPC, id='as it is'),
    pytest.param(OSError(errno.EDQUOT, 'x'), errno.EDQUOT, id='quota'),
    pytest.param(OSError(errno.EFBIG, 'x'), errno.EFBIG, id='limit of a file'),
    pytest.param(caused_by(RuntimeError('a'), FULL), errno.ENOSPC, id='cause'),
    pytest.param(OSError(FULL), errno.ENOSPC, id='in another'),
    pytest.param(BeamIOError('Copy failed', {('a', 'b'): OSError(FULL)}), errno.ENOSPC, id='copy'),
    pytest.param(
      RuntimeError("OSError: [Errno 28] No space left on device: 'x' [while running 'Y']"),
      errno.ENOSPC,
      id='of another process',
    ),
    pytest.param(OSError(errno.EACCES, 'Permission denied'), None, id='no permission'),
    pytest.param(DataError('28 records'), None, id='data'),
    pytest.param(cycle(), None, id='cycle'),
  ],
)
def test_what_a_full_disk_leads_to_is_known(error, number):
  assert no_room(error) == number


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


@pytest.fixture
def files(tmp_path):
  """Returns 4,000 records in two files."""
  rng = random.Random(0)
  records = [example(label=i % 3, data=rng.randbytes(300)) for i in range(4000)]
  return input_files(tmp_path / 'in', in_shards(records, 2), '.gz')


def split(files, tmp_path, uri):
  """Splits records into an artifact."""
  with work_folder(uri, [file.path for file in files]) as work_dir:
    context = split_context(tmp_path, suffix='.gz', output_uri=uri, work_dir=work_dir)
    run_on_lists(StratifiedSplit(context), files)


def fault(files, uri, limit, fix):
  """Returns a pattern of the whole message."""
  needed = f'this input needs about {needed_bytes([file.path for file in files]):,}, and room for '
  return (
    rf'^{re.escape(uri)} cannot be written: {limit}; the files in the making had [\d,]+; {needed}'
    rf'copies where any are made\); {fix}, and run again$'
  )


FREE_IT = 'free that much on its disk or quota, or '
LARGER = f'{FREE_IT}put the pipeline root on a larger one'


@pytest.mark.parametrize('size', [64 << 10, 1 << 20, 2 << 20], ids=['tiny', 'spills', 'outputs'])
def test_a_split_on_a_full_disk_says_what_is_needed_and_leaves_nothing(tmp_path, files, size):
  with small_disk(tmp_path / 'disk', f'size={size}') as disk:
    limit = rf'No space left on device \([\d,]+ bytes are free in {re.escape(str(disk))}/out'
    with pytest.raises(StorageError, match=fault(files, f'{disk}/out', limit, LARGER)):
      split(files, tmp_path, f'{disk}/out')
    assert all_bytes(disk) == {}


def test_where_no_more_files_are_allowed_free_bytes_are_not_told(tmp_path, files):
  with small_disk(tmp_path / 'disk', 'nr_inodes=5') as disk:
    limit = (
      rf'No space left on device \(no more files \(inodes\) are free in {re.escape(str(disk))}'
    )
    with pytest.raises(StorageError, match=fault(files, f'{disk}/out', f'{limit}/out', LARGER)):
      split(files, tmp_path, f'{disk}/out')


def test_a_full_temporary_folder_is_named_where_the_artifact_is_elsewhere(
  tmp_path, files, monkeypatch
):
  store = LocalStore(tmp_path / 'bucket', mkdir=True)
  monkeypatch.setattr(object_store, '_bucket', lambda *_: store)
  fix = f'{FREE_IT}set TMPDIR or TFX_BALANCE_WORK_DIR to a folder on a larger one'
  with small_disk(tmp_path / 'disk', 'size=1m') as disk:
    monkeypatch.setattr(tempfile, 'tempdir', str(disk))
    limit = rf'No space left on device \([\d,]+ bytes are free in {re.escape(str(disk))}/\S+'
    with pytest.raises(StorageError, match=fault(files, 's3://bucket/out', limit, fix)):
      split(files, tmp_path, 's3://bucket/out')
    assert all_bytes(disk) == {}


def test_a_quota_is_named_and_no_free_room(tmp_path, files):
  uri = str(tmp_path / 'out')
  paths = [file.path for file in files]
  fix = 'free that much of the quota, or have it raised'
  whole = fault(files, uri, rf'{os.strerror(errno.EDQUOT)} \(', fix).replace('(; ', '(')
  with pytest.raises(StorageError, match=whole), work_folder(uri, paths):
    raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


def test_the_limit_of_file_sizes_is_named_and_no_free_room(tmp_path, files):
  uri, (soft, hard) = str(tmp_path / 'out'), resource.getrlimit(resource.RLIMIT_FSIZE)
  whole = (
    rf"^{re.escape(uri)} cannot be written: File too large \(the limit of a file's size is 65,536 "
    r'bytes\); raise it \(`ulimit -f`, RLIMIT_FSIZE\), or use a file system for larger files, and '
    r'run again$'
  )
  try:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    with pytest.raises(StorageError, match=whole):
      split(files, tmp_path, uri)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
  assert all_bytes(uri) == {}
