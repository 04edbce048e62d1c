"""Arrays and files of this machine need no library of object stores; a path of one says so."""

import subprocess
import sys

import tensorflow as tf

from tests.inputs.helpers_inputs import example, write_file

PROGRAM = """
import sys

sys.modules['obstore'] = None  # to import it fails
import tensorflow as tf
from tfx_balance.inputs import BalancedInputs

root = sys.argv[1]
spec = {name: tf.io.FixedLenFeature([], tf.int64) for name in ('id', 'label')}
for made in (
  BalancedInputs.from_arrays({'x': [1, 2, 3]}, [0, 1, 1]),
  BalancedInputs.from_generator(lambda: [(1, 0), (2, 1)]),
  BalancedInputs.from_files(f'{root}/a.gz', 'label', spec),
  BalancedInputs.from_files([f'{root}/1.png'] * 2, [0, 1]),
):
  assert sorted(next(iter(made.train(2)))[1].numpy().tolist()) == [0, 1]
try:
  BalancedInputs.from_files(['s3://bucket/1.png'], [0])
except ImportError as error:
  print(error)
"""


def test_arrays_and_local_files_are_read_where_obstore_is_not_installed(tmp_path):
  write_file(tmp_path / 'a.gz', [example(i, i % 2) for i in range(6)])
  image = tf.io.encode_png(tf.zeros([2, 2, 1], tf.uint8)).numpy()
  (tmp_path / '1.png').write_bytes(image)
  command = [sys.executable, '-c', PROGRAM, str(tmp_path)]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stderr
  assert 'are read by obstore, which is not installed; install it' in done.stdout
