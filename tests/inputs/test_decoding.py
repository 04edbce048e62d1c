"""Decoded records: kept within the budget, and the batches are the same as without."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs
from tfx_balance.inputs.decoding import DecodedRows
from tfx_balance.inputs.file_cache import FileCache
from tfx_balance.inputs.parsing import RecordForm
from tfx_balance.inputs.record_files import RECORD_OVERHEAD

from tests.inputs.helpers_inputs import write_artifact, write_file

COUNTS = (60, 25, 10, 4, 1)
SIDE = 4
SPEC = {
  'image': tf.io.FixedLenFeature([], tf.string),
  'label': tf.io.FixedLenFeature([], tf.int64),
}
ROW_BYTES = SIDE * SIDE * 3 + 1

pytestmark = pytest.mark.filterwarnings('ignore:streaming the classes')


def pixels(record):
  return np.random.default_rng(record).integers(0, 256, (SIDE, SIDE, 3), np.uint8)


def picture(record, label, image=None):
  """Returns a serialized tf.Example of a PNG, which differs between records."""
  image = tf.io.encode_png(pixels(record)).numpy() if image is None else image
  features = {
    'image': tf.train.Feature(bytes_list=tf.train.BytesList(value=[image])),
    'label': tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
  }
  return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def decode(features):
  return {'image': tf.io.decode_png(features['image'], channels=3)}


@pytest.fixture(scope='module')
def artifact(tmp_path_factory):
  """Returns the root of an artifact, and its bytes."""
  root = tmp_path_factory.mktemp('pictures')
  plan = write_artifact(root, COUNTS, per_file=5, make=picture)
  return str(root), sum(file.n_bytes for file in plan.files)


def load(artifact, share):
  """Returns inputs with a budget of a share of the data."""
  return BalancedInputs.load(artifact[0], SPEC, memory_budget=int(share * artifact[1]))


def read(batches, n):
  return [(f['image'].numpy().tobytes(), label.numpy().tolist()) for f, label in batches.take(n)]


def decoded_outside(batches):
  def each(features, label):
    images = tf.map_fn(
      lambda image: tf.io.decode_png(image, channels=3),
      features['image'],
      fn_output_signature=tf.uint8,
    )
    return {'image': images}, label

  return batches.map(each)


@pytest.mark.parametrize(
  ('share', 'strategy'),
  [(0, 'natural'), (0.5, 'exact'), (0.8, 'natural'), (1, 'exact'), (1.2, 'exact'), (9, 'natural')],
)
def test_batches_are_those_that_are_decoded_afterwards(artifact, share, strategy):
  made = load(artifact, share)
  plain = read(decoded_outside(made.train(8, strategy)), 30)
  batches = made.train(8, strategy, decode_fn=decode)
  assert read(batches, 30) == plain
  assert read(batches, 30) == plain  # of what is kept from the first time


def test_a_run_that_goes_on_from_its_state_decodes_the_same_batches(artifact):
  whole = read(load(artifact, 0.8).train(8, decode_fn=decode), 30)
  made = load(artifact, 0.8)
  read(made.train(8, decode_fn=decode), 11)  # some records are kept from here
  state = made.batch_state(11, 8)
  assert read(made.train(8, decode_fn=decode, state=state), 19) == whole[11:]
  resumed = load(artifact, 0.8).train(8, decode_fn=decode, state=state, start_step=20)
  assert read(resumed, 10) == whole[20:]


def test_hosts_give_slices_of_the_same_batches(artifact):
  made = load(artifact, 0.8)
  context = tf.distribute.InputContext(2, 1, 2)
  own = made.train(8, decode_fn=decode, input_context=context).take(20)
  for (part, _), (whole, _) in zip(own, made.train(8, decode_fn=decode), strict=False):
    assert (part['image'].numpy() == whole['image'].numpy()[4:]).all()


def test_records_of_rare_classes_are_decoded_once(artifact):
  decoded = collections.Counter()

  def count(image):
    decoded[bytes(image.item() if isinstance(image, np.ndarray) else image)] += 1
    return image

  def counting(features):
    return decode({'image': tf.numpy_function(count, [features['image']], tf.string)})

  for budget, most in ((1, 10**9), (9, 30)):
    decoded.clear()
    read(load(artifact, budget).train(5, decode_fn=counting), 80)
    assert len(decoded) == sum(COUNTS)
    assert (max(decoded.values()) >= 80) == (budget == 1)
    assert max(decoded.values()) < most  # batches that are read at once decode it each


@pytest.mark.parametrize('share', [0.8, 0.9, 1, 1.1, 9])
def test_what_is_held_stays_within_the_budget(artifact, share, monkeypatch):
  caches, most = [], []

  class Spy(FileCache):
    def __post_init__(self):
      caches.append(self)

    def take(self, file, position):
      found = super().take(file, position)
      most.append(self.used)
      return found

  monkeypatch.setattr('tfx_balance.inputs.file_source.FileCache', Spy)
  made = load(artifact, share)
  reader = made.source.reader(SPEC, spare=True)
  specs = {'image': tf.TensorSpec([SIDE, SIDE, 3], tf.uint8)}
  kept = DecodedRows.of(reader, made.source.counts, specs)
  n_kept = 0 if kept is None else int((kept.slots >= 0).numpy().sum())
  assert n_kept == min(
    reader.spare_bytes // ROW_BYTES,
    int(made.source._records_in_memory(RecordForm(SPEC))[0].shape[0]),
  )
  used = int(tf.reduce_sum(tf.strings.length(made.source._records_in_memory(RecordForm(SPEC))[0])))
  read(made.train(8, decode_fn=decode), 40)
  streamed = max(most, default=0)
  assert all(cache.limit >= streamed for cache in caches)
  limit = caches[0].limit if caches else 0
  assert used + limit + n_kept * ROW_BYTES <= share * artifact[1]
  assert n_kept > 0 or share == 1


@pytest.mark.parametrize('share', [0, 0.8, 9], ids=['streamed', 'part streamed', 'held'])
@pytest.mark.parametrize(('record', 'name'), [(7, 'record 2 of .*-00001-'), (97, 'record 2 of')])
def test_a_record_that_cannot_be_decoded_is_named(tmp_path, record, name, share):
  def make(number, label):
    return picture(number, label, b'no picture' if number == record else None)

  plan = write_artifact(tmp_path, COUNTS, per_file=5, make=make)
  size = sum(file.n_bytes for file in plan.files)
  made = BalancedInputs.load(str(tmp_path), SPEC, memory_budget=int(share * size))
  message = rf'{name}.* cannot be decoded: decode_fn= fails, or does not .*\[4, 4, 3\]'
  with pytest.raises(tf.errors.InvalidArgumentError, match=message):
    read(made.train(8, 'natural', decode_fn=decode), 13)


def test_a_record_of_files_in_any_order_is_named(tmp_path):
  for i in range(2):
    images = [None, None, b'no picture' if i else None]
    write_file(tmp_path / f'{i}.gz', [picture(j, j % 2, image) for j, image in enumerate(images)])
  made = BalancedInputs.from_files(str(tmp_path), 'label', SPEC)
  assert made.source.reader(None).spare_bytes > 1 << 29
  with pytest.raises(
    tf.errors.InvalidArgumentError, match=r'record 2 of .*1\.gz cannot be decoded'
  ):
    read(made.train(4, 'natural', decode_fn=decode), 2)


def test_a_record_of_another_shape_is_named():
  images = [tf.io.encode_png(np.zeros((n, 3, 3), np.uint8)).numpy() for n in (3, 3, 3, 4)]
  made = BalancedInputs.from_arrays({'image': np.array(images, object)}, [0, 1, 1, 1])
  with pytest.raises(tf.errors.InvalidArgumentError, match=r'row 3 .*the shapes .*\[3, 3, 3\]'):
    read(made.train(4, decode_fn=decode), 3)


def test_the_first_record_that_cannot_be_decoded_is_named_at_once(tmp_path):
  write_artifact(tmp_path, (3, 1), make=lambda record, label: picture(record, label, b'no picture'))
  with pytest.raises(DataError, match=r'record 0 of .*-00001-.* cannot be decoded'):
    BalancedInputs.load(str(tmp_path), SPEC).train(2, decode_fn=decode)


@pytest.mark.parametrize(
  ('decode_fn', 'message'),
  [
    (3, 'decode_fn=3'),
    (lambda features: features['image'], 'decode_fn= returns .* must be a dict'),
    (lambda features: {}, 'decode_fn= returns {}, which must be a dict'),
    (dict, "'image' of string, and only numbers are kept"),
    (lambda features: {'x': tf.random.uniform([9])}, "two values of 'x' for one record"),
    (int, "decode_fn=<class 'int'> raises TypeError .* features .'image'"),
  ],
  ids=['number', 'tensor', 'nothing', 'string', 'random', 'raises'],
)
def test_functions_that_do_not_decode_are_refused(artifact, decode_fn, message):
  with pytest.raises(ConfigError, match=message):
    load(artifact, 9).train(2, decode_fn=decode_fn)


def test_features_that_are_no_dict_are_refused():
  made = BalancedInputs.from_arrays(np.zeros((4, 2)), [0, 0, 1, 1])
  with pytest.raises(ConfigError, match='decode_fn= takes a dict of features'):
    made.train(2, decode_fn=decode)


def test_what_is_augmented_is_decoded(artifact):
  def brighter(features, seed):
    return {**features, 'image': features['image'] // 2}

  made = load(artifact, 9)
  plain = made.train(8, decode_fn=decode).take(9)
  changed = made.train(8, decode_fn=decode, augment_fn=brighter, augment='all').take(9)
  for (a, _), (b, _) in zip(plain, changed, strict=True):
    assert (a['image'].numpy() // 2 == b['image'].numpy()).all()


def test_evaluation_decodes_in_order(artifact):
  batches = load(artifact, 0.8).eval(7, split='train', decode_fn=decode)
  images = np.concatenate([features['image'].numpy() for features, _ in batches])
  assert (images == [pixels(record) for record in range(sum(COUNTS))]).all()


@pytest.fixture
def cache(artifact):
  """Returns a cache of three of the files, each of 5 records."""
  plan = load(artifact, 1).source.plan
  paths = [f'{artifact[0]}/{file.path}' for file in plan.files[:6]]
  sizes = [file.n_bytes + RECORD_OVERHEAD * file.records for file in plan.files[:6]]
  return FileCache(paths, [5] * 6, sizes, 3 * max(sizes), RecordForm(SPEC))


def take(cache, *files):
  return cache.take(np.array(files, np.int64), np.zeros(len(files), np.int64))[0].tolist()


def test_a_file_is_read_before_it_is_due(cache, monkeypatch):
  reads = []
  real = tf.io.gfile.GFile
  monkeypatch.setattr(
    tf.io.gfile, 'GFile', lambda path, mode: reads.append(path) or real(path, mode)
  )
  first = take(cache, 0, 1)
  cache.read_ahead(np.array([2, 2, 0]))
  cache._cached[2].result()
  assert reads == cache.paths[:3]
  assert take(cache, 2, 1, 0)[1:] == first[::-1]
  assert reads == cache.paths[:3]


def test_reading_ahead_drops_no_file_in_use_and_keeps_to_the_limit(cache):
  for files in ((0, 1, 2), (3,), (3, 4), (5,)):
    take(cache, *files)
    cache.read_ahead(np.arange(6))
    assert set(files) <= set(cache._cached)
    assert cache.used == sum(cache.n_bytes[file] for file in cache._cached) <= cache.limit


def test_a_fault_of_a_file_that_is_read_ahead_is_raised_when_it_is_due(cache, tmp_path):
  cache.paths[4] = str(tmp_path / 'none.gz')
  cache.read_ahead(np.array([4]))
  assert len(take(cache, 0)) == 1
  with pytest.raises(DataError, match=r'none\.gz does not exist'):
    take(cache, 4)
  assert cache.used == cache.n_bytes[0]


def test_a_decode_function_may_branch_on_a_tensor(artifact):
  def inverted_if_bright(features):
    image = decode(features)['image']
    if image[0, 0, 0] > 127:
      image = 255 - image
    return {'image': image}

  features, _ = next(iter(load(artifact, 1).train(20, decode_fn=inverted_if_bright)))
  assert features['image'].numpy()[:, 0, 0, 0].max() <= 127
