"""Every side of the input benchmark feeds the records that it is timed for, and figures follow."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from benchmarks import input as benchmark
from benchmarks.data import DataSpec, find_or_write
from benchmarks.input_data import InputFiles, lay_out
from benchmarks.input_reading import Reading, read_batches, summed_up
from benchmarks.input_results import Case, CaseResult
from benchmarks.measure import Measured

BEAM = ['--direct_running_mode=in_memory']
OURS = [side for side in benchmark.SIDES if side.split(',')[0] in ('exact', 'weighted', 'natural')]


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  data = asdict(find_or_write(DataSpec('small', 2_000, 2), tmp_path_factory.mktemp('input')))
  work = lay_out(data, first_label=0, classes=5, images=False, beam_args=BEAM)
  return InputFiles(**work.check(work.run()))


def test_files_by_class_hold_their_class(files):
  import tensorflow as tf

  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  for label, path in enumerate(files.class_paths()):
    records = list(tf.data.TFRecordDataset(path, 'GZIP'))
    assert len(records) == [1200, 500, 200, 80, 20][label]
    assert (tf.io.parse_example(records, spec)['label'].numpy() == label).all()


@pytest.mark.parametrize('side', benchmark.SIDES)
@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_a_side_feeds_batches_of_the_classes_that_it_says(files, side):
  from benchmarks.input_sides import SIDES

  rows = []
  for features, label in SIDES[side](files, 50).take(40):
    assert features['x'].shape == (50, 20)
    rows.append(np.bincount(label.numpy().reshape(-1), minlength=5))
  counts = np.array(rows)
  assert (counts.sum(axis=1) == 50).all()
  if side == 'group_by_window':
    assert ((counts > 0).sum(axis=1) == 1).all()
  elif side in ('plain', 'tf_dataset_factory') or side.startswith('natural'):
    assert abs(counts[:, 0].mean() - 30) < 5
  elif side.startswith('exact'):
    assert (counts == 10).all()
  else:
    assert np.abs(counts.mean(axis=0) - 10).max() < 2.5


def test_the_benchmark_names_the_sides_that_there_are():
  from benchmarks.input_sides import SIDES

  assert tuple(SIDES) == benchmark.ALL_SIDES
  assert set(benchmark.SMALL_SIDES) < set(SIDES)


def test_images_are_decoded(tmp_path):
  from benchmarks import augment_images
  from benchmarks.input_sides import SIDES

  made = augment_images.ImageFiles(str(tmp_path / 'images'), 200, 12, 3)
  augment_images.find_or_write(made)
  files = InputFiles(made.folder, '', '', 200, 0, 5, True)
  ((features, label),) = SIDES['plain'](files, 7).take(1)
  assert features['image'].shape == (7, 12, 12, 3)
  assert label.shape == (7,)


def test_labels_of_more_classes_than_a_byte_holds_are_read(tmp_path):
  import tensorflow as tf

  spec = DataSpec('small', 3_000, 1, classes=1_000)
  assert sum(spec.class_counts()) == 3_000
  (path,) = find_or_write(spec, tmp_path).paths()
  records = list(tf.data.TFRecordDataset(path, 'GZIP'))
  parsed = tf.io.parse_example(records, {'label': tf.io.FixedLenFeature([], tf.int64)})
  found = np.bincount(parsed['label'].numpy() - spec.first_label, minlength=1_000)
  assert found.tolist() == list(spec.class_counts())


def test_what_is_read_is_summed_up():
  import tensorflow as tf

  labels = tf.data.Dataset.from_tensors(tf.constant([3, 3, 3, 4], tf.int64)).repeat()
  found = read_batches(lambda: tf.data.Dataset.zip((labels, labels)), 0.2)
  files = InputFiles('', '', '', 0, first_label=3, classes=3, images=False)
  reading = summed_up(found, files)
  assert reading.examples == 4 * reading.batches > 0
  assert (reading.classes_a_batch, reading.top_share, reading.rarest_share) == (2, 0.75, 0)
  assert reading.seconds >= 0.2
  assert Reading.from_json(asdict(reading)) == reading


def run(examples: int) -> Measured:
  reading = Reading(0.5, 2.0, 10, examples, 5.0, 0.2, 0.2)
  return Measured(3.0, 3.0, 1_000, 0, 0.5, asdict(reading))


def test_ratios_are_of_examples_a_second():
  case = Case('name', DataSpec('small', 10, 1), False, 4, 2.0, ('plain', 'exact', 'filter'))
  runs = {'plain': [run(200), run(100), run(600)], 'exact': [run(500)], 'filter': []}

  result = CaseResult(case, runs, [])

  assert result.examples_per_second('plain') == 100
  assert result.ratio('exact') == 2.5
  assert result.ratio('filter') is None
  assert result.ratio('exact', 'not run') is None
  assert result.start_seconds('exact') == 0.5
  assert result.to_json()['ratios'] == {'plain': 1, 'exact': 2.5, 'filter': None}


def test_small_and_full_runs_have_the_same_cases():
  small, full = (benchmark.parse_arguments(given).cases for given in (['--small'], []))
  assert [case.batch_size for case in small] == [case.batch_size for case in full]
  assert {case.sides for case in full} == {benchmark.SIDES, benchmark.AUGMENT_SIDES}
  (only,) = benchmark.parse_arguments(['--only', '1000', '--sides', 'plain;exact']).cases
  assert (only.sides, only.spec.classes) == (('plain', 'exact'), 1_000)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--repeat', '0'], 'run each side at least once'),
    (['--sides', 'plain;fast'], "--sides has 'fast', which is not in"),
  ],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
  with pytest.raises(SystemExit):
    benchmark.parse_arguments(arguments)
  assert message in capsys.readouterr().err


def test_both_ways_to_choose_by_priority_take_steps():
  from benchmarks.input_priorities import SIDES, choose

  for side in SIDES:
    work = choose(side, 1_000, 0.05)
    assert work.check(work.run()) > 0
