"""What a killed component left in a bucket is overwritten or deleted by its repetition."""

import json
import subprocess
import sys
import time
from pathlib import Path

from tfx_balance import StratifiedSplitter

from tests.helpers_examples import all_bytes
from tests.objectstore.helpers_objects import (
  WRITERS,
  execute_at,
  input_examples,
  objects,
  put_folder,
  write_input,
)

ARGUMENTS = WRITERS[StratifiedSplitter]
ROOT = Path(__file__).parent.parent.parent


def test_a_repetition_writes_what_a_run_that_is_not_killed_writes(new_bucket, tmp_path):
  bucket = new_bucket()
  source = write_input(tmp_path / 'source')
  uri = put_folder(bucket, source, 'in')
  inputs = {'examples': input_examples(source)}
  execute_at(StratifiedSplitter, inputs, str(tmp_path / 'disk'), tmp_path, **ARGUMENTS)
  bucket.meddle(delay=0.1)
  target = f'{bucket.uri}/out'

  child = subprocess.Popen(
    [
      sys.executable,
      '-m',
      'tests.objectstore.run_splitter',
      uri,
      target,
      str(tmp_path),
      json.dumps(ARGUMENTS),
    ],
    cwd=ROOT,
  )
  deadline = time.monotonic() + 120
  while not bucket.keys('out/') and child.poll() is None and time.monotonic() < deadline:
    time.sleep(0.02)
  child.kill()
  child.wait()
  half = bucket.keys('out/')
  bucket.write('out/Split-train/data_tfrecord-00007-of-00008.gz', b'of another attempt')
  bucket.meddle()
  artifact = {'examples': input_examples(uri)}
  execute_at(StratifiedSplitter, artifact, target, tmp_path, **ARGUMENTS)

  expected = all_bytes(tmp_path / 'disk')
  assert 0 < len(half) < len(expected), half
  assert 'class_distribution.json' not in ' '.join(half)
  assert objects(bucket, 'out') == expected
  assert bucket.uploads() == []
