"""The sample pipeline as a person runs it, through LocalDagRunner; in this process, since
importing TFX takes ten seconds."""

import collections
import os
import random
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_data_validation as tfdv
import tensorflow_transform as tft
from ml_metadata.metadata_store import metadata_store
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx_balance.cli.evaluation import Recall
from tfx_balance.cli.own_data import OwnData
from tfx_balance.cli.published import PublishedArtifacts, read_published
from tfx_balance.cli.summary import Summary, read_summary
from tfx_balance.inputs import BalancedInputs

from pipelines import local_runner
from pipelines.digits import long_tail_counts
from tests.cli.helpers_own_data import write_image, write_records

pytestmark = pytest.mark.e2e

FOUR_MODELS = ['natural', 'natural + threshold', 'balanced', 'balanced + correction']
WEIGHTS = {'train': 0.8, 'eval': 0.1, 'test': 0.1}


@pytest.fixture(autouse=True)
def _process_as_before() -> Iterator[None]:
  """Undoes what a run sets up for its own process."""
  with mock.patch.dict(os.environ), warnings.catch_warnings():
    yield


def read_run(root: Path) -> PublishedArtifacts:
  """What the one run below the root published."""
  connection = sqlite_metadata_connection_config(str(root / 'metadata.sqlite'))
  store = metadata_store.MetadataStore(connection)
  (run,) = store.get_contexts_by_type('pipeline_run')
  return read_published(connection, run.name)


def records_in(folder: Path) -> collections.Counter:
  """The serialized records of a split, each with how often it is there."""
  paths = [str(path) for path in folder.iterdir()]
  return collections.Counter(tf.data.TFRecordDataset(paths, 'GZIP').as_numpy_iterator())


def count_labels(folder: Path, label: str) -> collections.Counter:
  """Records by label (None without) in a split, from its files and not from any sidecar."""
  counts: collections.Counter = collections.Counter()
  for path in folder.iterdir():
    for serialized in tf.data.TFRecordDataset(str(path), 'GZIP').as_numpy_iterator():
      feature = tf.train.Example.FromString(serialized).features.feature[label]
      kind = feature.WhichOneof('kind')
      values = getattr(feature, kind).value if kind else []
      assert len(values) <= 1
      counts[values[0] if values else None] += 1
  return counts


def assert_split_exactly(uri: str, label: str, expected: dict) -> None:
  """Every class is whole, and in each split within one record of its share."""
  splits = {name: count_labels(Path(uri) / f'Split-{name}', label) for name in WEIGHTS}
  assert sum(splits.values(), collections.Counter()) == expected
  for name, weight in WEIGHTS.items():
    for value, n in expected.items():
      assert abs(splits[name][value] - weight * n) < 1


def counts_in_statistics(uri: str, split: str, label: str) -> dict[str, float]:
  """Records by label as StatisticsGen counted them; exact, since the label is categorical."""
  path = Path(uri) / f'Split-{split}' / 'FeatureStats.pb'
  (dataset,) = tfdv.load_stats_binary(str(path)).datasets
  (feature,) = [f for f in dataset.features if f.path.step[0] == label]
  histogram = feature.string_stats.rank_histogram
  assert sum(bucket.sample_count for bucket in histogram.buckets) == dataset.num_examples
  return {bucket.label: bucket.sample_count for bucket in histogram.buckets}


def assert_scores_add_up(numbers: Summary, tested: dict) -> None:
  """Every model was tested on those records, and its recalls, weighted with them, are its accuracy.

  Args:
    numbers: of the run.
    tested: label to test records.
  """
  for comparison in numbers.models:
    for scores in comparison.trainings:
      recalls = {value.value: recall for value, recall in scores.recalls.items()}
      assert {value: recall.tested for value, recall in recalls.items()} == tested
      hits = sum(recall.hits for recall in recalls.values())
      assert scores.accuracy == pytest.approx(hits / sum(tested.values()), abs=1e-6)


def assert_trained_on_balanced_batches(published: PublishedArtifacts) -> None:
  """Trainer's input has equal classes, each in files of its own or shared ones, and a plan."""
  root = Path(published['BalancedInputGen', 'examples'])
  counts = count_labels(root / 'Split-train', 'label')
  assert set(counts) == set(range(10))
  assert len(set(counts.values())) == 1
  inputs = BalancedInputs.load(str(root))
  assert sum(n for n in inputs.source.counts.records) == sum(counts.values())
  hyperparameters = Path(published['BalancedInputGen', 'hyperparameters'])
  assert (hyperparameters / 'best_hyperparameters.txt').read_text().strip()


def by_value(numbers: Summary, column: str) -> dict:
  """Records in a column of the table of classes, by label."""
  return {value.value: n for value, n in numbers.columns[column].items()}


def in_test_split(numbers: Summary) -> dict:
  """Records of split 'test' by class, as far as there are any."""
  return {value.value: n for value, n in numbers.columns['test'].items() if n}


def test_digits_are_split_trained_and_evaluated(tmp_path, capsys):
  arguments = ['--pipeline_root', str(tmp_path), '--train_steps', '20', '--compare', '2']
  assert local_runner.main(arguments) == 0

  published = read_run(tmp_path)
  expected = dict(enumerate(long_tail_counts(160, 18)))
  assert_split_exactly(published['StratifiedSplitter', 'examples'], 'label', expected)
  assert (Path(published['Trainer', 'model']) / 'Format-Serving' / 'saved_model.pb').is_file()

  numbers = read_summary(published, 'label')
  assert [value.value for value in numbers.classes] == list(range(10))
  assert by_value(numbers, 'total') == expected
  held_out = count_labels(Path(published['HeldOutExampleGen', 'examples']) / 'Split-test', 'label')
  assert [c.model for c in numbers.models] == FOUR_MODELS
  assert_scores_add_up(numbers, dict(held_out))
  assert min(held_out[k] for k in range(3, 10)) >= 100
  assert [len(c.trainings) for c in numbers.models] == [2] * 4
  assert all(0 < s.log_loss < 5 for c in numbers.models for s in c.trainings)
  assert numbers.warnings == ()

  printed = capsys.readouterr().out
  assert printed.count('step 20 of 20  loss ') == 4
  for comparison in numbers.models:
    for score in ('macro_recall', 'worst', 'log_loss'):
      assert all(line in printed for line in str(comparison.spread(score)).split(' ± '))
  assert printed.count('  threshold: log p - ') == 2
  assert published['Evaluator', 'evaluation'] in printed
  assert_trained_on_balanced_batches(published)
  assert_adjusted_by_natural_shares(published)
  assert_train_is_balanced(published, numbers, printed)


def assert_adjusted_by_natural_shares(published: PublishedArtifacts) -> None:
  """Both models know the shares of train without copies, and are served without adjustment."""
  splits = Path(published['StratifiedSplitter', 'examples'])
  counts = count_labels(splits / 'Split-train', 'label')
  log_prior = np.log([counts[k] / counts.total() for k in range(10)])
  records = tf.constant(list(records_in(splits / 'Split-test')))
  for node in ('NaturalTrainer', 'Trainer', 'NaturalTrainer_1', 'Trainer_1'):
    model = tf.saved_model.load(str(Path(published[node, 'model']) / 'Format-Serving'))
    np.testing.assert_allclose(model.log_prior, log_prior, rtol=1e-5)
    served = model.signatures['serving_default'](records)
    assert list(served) == ['probabilities']
    both = {name: value.numpy() for name, value in model.signatures['adjusted'](records).items()}
    np.testing.assert_allclose(both['probabilities'], served['probabilities'], rtol=1e-5)
    shift = np.log(both['adjusted']) - np.log(both['probabilities'])
    shift -= shift[:, :1]  # what is the same for all classes changes nothing
    expected = log_prior - log_prior[0]
    # One factor for all records and classes: -t, or 1 for the correction.
    factor = shift[:, 9].mean() / expected[9]
    np.testing.assert_allclose(shift, np.tile(factor * expected, (len(shift), 1)), atol=1e-3)
    assert (
      -2 - 1e-3 <= factor <= 1e-3 if 'Natural' in node else factor == pytest.approx(1, abs=1e-3)
    )


def assert_train_is_balanced(published: PublishedArtifacts, numbers: Summary, printed: str) -> None:
  """Equal classes in files, statistics and table; the originals and other splits as they were."""
  natural = Path(published['StratifiedSplitter', 'examples'])
  balanced = Path(published['BalancedAugmenter', 'examples'])
  before = count_labels(natural / 'Split-train', 'label')
  after = count_labels(balanced / 'Split-train', 'label')
  most = max(before.values())
  assert after == dict.fromkeys(range(10), most)
  statistics = counts_in_statistics(
    published['BalancedStatisticsGen', 'statistics'], 'train', 'label'
  )
  assert statistics == {str(k): most for k in range(10)}
  assert by_value(numbers, 'train') == before
  assert by_value(numbers, 'balanced') == dict.fromkeys(range(10), most)

  originals, now = records_in(natural / 'Split-train'), records_in(balanced / 'Split-train')
  assert originals <= now
  copies = now - originals
  assert len(set(copies) - set(originals)) > 0.9 * copies.total()  # augmented, not duplicated
  for split in ('eval', 'test'):
    assert records_in(balanced / f'Split-{split}') == records_in(natural / f'Split-{split}')

  lines = [line.split() for line in printed.splitlines()]
  header = next(line for line in lines if line[:1] == ['class'])
  (ratios,) = [line[3:] for line in lines if line[:3] == ['max', '/', 'min']]
  assert header[1:6] == ['train', 'balanced', 'eval', 'test', 'total']
  assert ratios[1] == '1.0'
  assert f'{copies.total():,} augmented copies' in printed
  assert max(len(line) for line in printed.splitlines() if '█' in line) <= 80


def write_table(path: Path, kinds: list[str]) -> None:
  """Writes rows with awkward column names, gaps, texts and numbers; all from the row's number."""
  draw = random.Random(0)
  rows = ['"home town",size (cm),flag/x,person,"kind"']
  for i, kind in enumerate(kinds):
    gap = draw.choice(['', 'NA', '?'])
    size = gap if draw.random() < 0.1 else f'{draw.gauss(len(kind), 1):.3f}'
    rows.append(f'{draw.choice(["Ulm", "Köln", ""])},{size},{draw.randrange(3)},p{i},{kind}')
  path.write_text('\n'.join(rows) + '\n', encoding='utf-8-sig')


def test_own_table_with_texts_gaps_and_classes_of_one(tmp_path, capsys):
  once = [f'once {k}' for k in range(10)]
  (tmp_path / 'in').mkdir()
  long = 'a label of\ntwo lines'  # the sizes of these are far from those of others
  kinds = ['often'] * 160 + ['seldom'] * 30 + once + [f'"{long}"'] * 50 + [''] * 40
  write_table(tmp_path / 'in' / 'a.csv', kinds)
  root = tmp_path / 'root'
  code = local_runner.main(
    f'--examples {tmp_path}/in --label kind --missing_label own --ignore person '
    f'--pipeline_root {root} --train_steps 100 --compare 0'.split()
  )
  assert code == 0
  published = read_run(root)
  expected = {b'often': 160, b'seldom': 30, long.encode(): 50, None: 40}
  expected |= {name.encode(): 1 for name in once}
  assert_split_exactly(published['StratifiedSplitter', 'examples'], 'kind', expected)
  numbers = read_summary(published, 'kind')
  assert by_value(numbers, 'total') == expected
  (balanced,) = numbers.models
  assert_scores_add_up(numbers, in_test_split(numbers))
  for value in (long.encode(), None):
    (learned,) = [c for c in numbers.classes if c.value == value]
    assert balanced.recall(learned).share > 0
  assert not any('missing' in warning for warning in numbers.warnings)
  train = by_value(numbers, 'train')
  (unknown,) = [
    c for c in numbers.classes if c.value in in_test_split(numbers) and not train[c.value]
  ]
  # A class that is in test alone cannot be learned, and is counted.
  assert balanced.recall(unknown) == Recall(0, 1)
  assert any('class once 0 has 1 record' in warning for warning in numbers.warnings)
  line = '5 columns: the label, 2 numeric (1 with gaps), 1 categorical (1 with gaps), 1 ignored\n'
  assert capsys.readouterr().out.startswith(line)
  transform = tft.TFTransformOutput(published['Transform', 'transform_graph'])
  assert transform.raw_feature_spec()['size (cm)'].dtype == tf.float32
  assert 'person' not in transform.transformed_feature_spec()
  assert_model_needs_no_other_files(published, len(numbers.classes))


def test_cross_validation_of_an_own_table(tmp_path, capsys):
  (tmp_path / 'in').mkdir()
  write_table(tmp_path / 'in' / 'a.csv', ['often'] * 100 + ['seldom'] * 20)
  root = tmp_path / 'root'
  code = local_runner.main(
    f'--examples {tmp_path}/in --label kind --pipeline_root {root} --folds 2 '
    '--train_steps 10'.split()
  )
  assert code == 0
  published = read_run(root)
  splits = Path(published['StratifiedSplitter', 'examples'])
  of_folds = [count_labels(splits / f'Split-fold-{i}', 'kind') for i in range(2)]
  assert of_folds == [{b'often': 45, b'seldom': 9}] * 2
  for i in range(2):  # what was trained on is the other fold, transformed by what it says
    trained = Path(published[f'BalancedInputGen_{i}', 'examples']) / 'Split-train'
    assert sum(count_labels(trained, 'kind').values()) == 54
  numbers = read_summary(published, 'kind', folds=2)
  assert [comparison.model for comparison in numbers.models] == FOUR_MODELS
  for comparison in numbers.models:
    tested = {c.value: comparison.recall(c).tested for c in numbers.classes}
    assert tested == {b'often': 90, b'seldom': 18}
  means = [f'{comparison.spread("macro_recall").mean:.3f}' for comparison in numbers.models]
  printed = capsys.readouterr().out
  assert 'Cross-validation over 2 folds' in printed
  assert printed.count('threshold: log p - 1.00 log prior (not tuned)') == 2
  assert f'mean 108 {" ".join(means)}' in [' '.join(line.split()) for line in printed.splitlines()]


def assert_model_needs_no_other_files(published: PublishedArtifacts, n_classes: int) -> None:
  """The model has the vocabularies of Transform, deleted here, and needs no ignored feature."""
  records = []
  for record in records_in(Path(published['StratifiedSplitter', 'examples']) / 'Split-test'):
    example = tf.train.Example.FromString(record)
    del example.features.feature['person']
    records.append(example.SerializeToString())
  shutil.rmtree(published['Transform', 'transform_graph'])
  folder = Path(published['Trainer', 'model']) / 'Format-Serving'
  moved = folder.rename(folder.parent / 'moved')
  served = tf.saved_model.load(str(moved)).signatures['serving_default'](tf.constant(records))
  assert served['probabilities'].shape[0] == len(records)
  assert 2 < served['probabilities'].shape[1] <= n_classes
  np.testing.assert_allclose(tf.reduce_sum(served['probabilities'], axis=1), 1, rtol=1e-5)


def test_own_images_of_many_sizes(tmp_path):
  greys = {'black': 0, 'grey': 128, 'white': 250}
  expected = {b'black': 30, b'grey': 20, b'white': 10}
  for name, grey in greys.items():
    for i in range(expected[name.encode()]):
      suffix = 'png' if i % 2 else 'jpg'
      write_image(tmp_path / 'in' / name / f'{i}.{suffix}', 9 + i, 40 - i, grey + i % 5)
  root = tmp_path / 'root'
  arguments = f'--images {tmp_path}/in --pipeline_root {root} --train_steps 60 --compare 0'
  assert local_runner.main(arguments.split()) == 0
  published = read_run(root)
  assert_split_exactly(published['StratifiedSplitter', 'examples'], 'label', expected)
  numbers = read_summary(published, 'label')
  assert numbers.warnings == ()
  (balanced,) = numbers.models
  assert balanced.spread('macro_recall').mean == 1.0


def test_a_failed_step_ends_with_the_errors_own_message(tmp_path, capsys):
  write_records(tmp_path / 'a', [*({'kind': k} for k in ('a', 'b') * 100), {'kind': None}])
  root = tmp_path / 'root'
  # As if the last record had come after the labels were looked at.
  unseen = OwnData(tmp_path, 'tfrecord')
  with mock.patch.object(local_runner, 'inspect', return_value=unseen):
    code = local_runner.main(f'--examples {tmp_path} --label kind --pipeline_root {root}'.split())
  out, err = capsys.readouterr()
  assert code == 1
  assert '[2/11] StratifiedSplitter … failed after' in out
  assert out.rstrip().endswith(str(root / 'run.log'))
  assert err.startswith("feature 'kind' has no value in 1 of 201 records")
  assert err.count('\n') == 1
  assert 'Traceback' in (root / 'run.log').read_text()
