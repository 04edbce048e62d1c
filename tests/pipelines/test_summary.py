import io
import math
from types import SimpleNamespace

import pytest
from ml_metadata.proto import metadata_store_pb2
from rich.console import Console
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx_balance.plan.class_value import ClassValue

from pipelines import digits, summary
from pipelines.artifacts import PublishedArtifacts, read_published


def make_sidecar(counts: dict, warnings: tuple[str, ...] = ()) -> dict:
  """What StratifiedSplitter writes, as far as the summary reads it."""
  strata = []
  for value, row in counts.items():
    kind = 'bytes' if isinstance(value, str) else 'int'
    strata.append(
      {
        'stratum': [{'type': kind, 'value': value}],
        'name': str(value),
        'splits': {
          split: {'records': n} for split, n in zip(('train', 'eval', 'test'), row, strict=True)
        },
      }
    )
  splits = {split: {} for split in ('train', 'eval', 'test')}
  return {'splits': splits, 'strata': strata, 'warnings': list(warnings)}


def make_balanced_sidecar(counts: dict, warnings: tuple[str, ...] = ()) -> dict:
  """What BalancedAugmenter writes of a split that it balances in place, as far as it is read."""
  strata = [
    {
      'stratum': [{'type': 'bytes' if isinstance(value, str) else 'int', 'value': value}],
      'splits': {'train': {'records': after, 'records_before': before, 'target': after}},
    }
    for value, (before, after) in counts.items()
  ]
  return {'strata': strata, 'warnings': list(warnings)}


def make_result(overall: dict, by_class: dict, label: str = 'kind') -> SimpleNamespace:
  """What tfma.load_eval_result returns, as far as the summary reads it."""

  def scores(values: dict) -> dict:
    return {'': {'': {name: {'doubleValue': value} for name, value in values.items()}}}

  slices = [((), scores(overall))]
  slices += [(((label, value),), scores(values)) for value, values in by_class.items()]
  return SimpleNamespace(slicing_metrics=slices)


@pytest.fixture
def three_classes() -> summary.Summary:
  """Of 'c' nothing is in test, so that it has no recall; TFMA's values are float32."""
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)}, ('c is small',))
  result = make_result(
    {'accuracy': 10 / 12, 'example_count': 12},
    {
      'a': {'accuracy': 0.8999999761581421, 'example_count': 10},
      'b': {'accuracy': 0.5, 'example_count': 2},
    },
  )
  return summary.summarize(sidecar, *summary.slice_scores(result, 'kind'))


def print_to_text(numbers: summary.Summary, label: str = 'kind', width: int = 80) -> str:
  screen = Console(file=io.StringIO(), width=width)
  summary.print_summary(screen, numbers, label)
  return screen.file.getvalue()


def test_classes_come_by_size_with_their_counts(three_classes):
  assert [c.name for c in three_classes.classes] == ['a', 'b', 'c']
  assert [c.total for c in three_classes.classes] == [100, 11, 1]
  assert three_classes.total('train') == 89
  assert three_classes.total('eval') == 11
  assert three_classes.total('total') == 112


def test_imbalance_is_the_largest_class_over_the_smallest(three_classes):
  assert three_classes.ratio('train') == 80
  assert three_classes.ratio('test') == math.inf


@pytest.fixture
def balanced_classes() -> summary.Summary:
  """Train is balanced; none of 'c' is in it, so nothing could be copied."""
  return summary.summarize(
    make_sidecar({'a': (80, 10, 10), 'b': (8, 1, 2), 'c': (0, 0, 1)}, ('c is small',)),
    {'accuracy': 1.0},
    {},
    ['odd'],
    make_balanced_sidecar({'b': (8, 80), 'a': (80, 80)}, ('b is held back',)),
  )


def test_balanced_counts_are_a_column_after_those_of_train(balanced_classes):
  assert list(balanced_classes.columns) == ['train', 'balanced', 'eval', 'test', 'total']
  assert balanced_classes.columns['balanced'] == [80, 80, 0]
  assert balanced_classes.total('total') == 112  # copies are no records of the data
  assert balanced_classes.ratio('balanced') == math.inf


def test_without_balancing_there_is_no_such_column(three_classes):
  assert list(three_classes.columns) == ['train', 'eval', 'test', 'total']
  assert summary.balance_lines(three_classes) == []
  assert 'balanced' not in print_to_text(three_classes)


def test_warnings_of_all_components_are_kept(balanced_classes):
  assert balanced_classes.warnings == ('c is small', 'b is held back', 'odd')


def test_how_many_copies_were_made_is_told(balanced_classes):
  lines = [line.split() for line in print_to_text(balanced_classes).splitlines()]
  assert ['b', '8', '80', '1', '2', '11', '9.8%', '█', 'not', 'tested'] in lines
  assert ['records', '88', '160', '11', '13', '112'] in lines
  told = 'balanced     72 augmented copies (train was 88 records and is 160)'
  assert told.split() in lines


def test_recall_is_the_accuracy_within_a_class(three_classes):
  assert [c.recall for c in three_classes.classes] == [pytest.approx(0.9), 0.5, None]
  assert [(c.hits, c.tested) for c in three_classes.classes] == [(9, 10), (1, 2), (0, 0)]


def test_macro_recall_counts_each_tested_class_the_same(three_classes):
  assert three_classes.macro_recall == pytest.approx((0.9 + 0.5) / 2)
  assert three_classes.accuracy == pytest.approx(10 / 12)


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    (3, ClassValue('int', 3)),
    (3.0, ClassValue('float', 3.0)),
    ('3', ClassValue('bytes', b'3')),
    (b'3', ClassValue('bytes', b'3')),
  ],
  ids=['int', 'float', 'str', 'bytes'],
)
def test_a_slice_keeps_the_type_of_its_class(value, expected):
  assert summary.class_of(value) == expected


def test_slices_of_other_features_are_no_classes():
  result = make_result({'accuracy': 1.0}, {'x': {'accuracy': 0.0}}, label='other')
  assert summary.slice_scores(result, 'kind') == ({'accuracy': 1.0}, {})


def test_printed_table_has_every_number(three_classes):
  lines = [line.split() for line in print_to_text(three_classes).splitlines()]
  bar = '█' * summary.BAR_WIDTH
  assert ['a', '80', '10', '10', '100', '89.3%', bar, '0.90', '9', 'of', '10'] in lines
  assert ['c', '1', '0', '0', '1', '0.9%', '█', 'not', 'tested'] in lines
  assert ['records', '89', '11', '12', '112'] in lines
  assert ['max', '/', 'min', '80.0', '∞', '∞', '100.0'] in lines
  assert ['!', 'c', 'is', 'small'] in lines


@pytest.mark.parametrize('width', [40, 80, 1000])
def test_no_number_is_cut_however_narrow_the_screen(width):
  sidecar = make_sidecar({f'[bold] class {k} ' + 'x' * 60: (10**7, 10**6, 10**6) for k in range(3)})
  text = print_to_text(summary.summarize(sidecar, {'accuracy': 0.5}, {}), width=width)
  assert text.count('10,000,000  1,000,000  1,000,000  12,000,000') == 3
  assert '…' not in text
  assert '\x1b' not in text


def test_the_balanced_digits_table_fits_an_eighty_column_screen_with_its_bars():
  counts = {
    k: (n - n // 10 * 2, n // 10, n // 10) for k, n in enumerate(digits.long_tail_counts(178, 20))
  }
  scores = {ClassValue('int', k): {'accuracy': 1.0, 'example_count': 18} for k in counts}
  balanced = make_balanced_sidecar({k: (train, 144) for k, (train, _, _) in counts.items()})
  numbers = summary.summarize(make_sidecar(counts), {'accuracy': 1.0}, scores, (), balanced)
  text = print_to_text(numbers, 'label')
  assert '█' * summary.BAR_WIDTH in text
  assert ['max', '/', 'min', '16.0', '1.0', '∞', '∞', '19.8'] in [
    line.split() for line in text.splitlines()
  ]
  assert max(len(line) for line in text.splitlines() if '█' in line) <= 80


def test_many_classes_show_the_largest_and_the_smallest():
  sidecar = make_sidecar({k: (1000 - k, 1, 1) for k in range(100)})
  text = print_to_text(summary.summarize(sidecar, {'accuracy': 1.0}, {}))
  shown = [line.split()[0] for line in text.splitlines() if 'not tested' in line]
  assert shown == [str(k) for k in (*range(20), *range(80, 100))]
  assert '… 60 more …' in text


@pytest.mark.parametrize(('count', 'length'), [(100, 8), (50, 4), (1, 1), (0, 0)])
def test_a_bar_is_never_empty_for_a_class_with_records(count, length):
  assert len(summary.bar(count, 100)) == length


def test_anomalies_of_the_validator_are_sentences(tmp_path):
  for split in ('train', 'eval'):
    found = anomalies_pb2.Anomalies()
    if split == 'eval':
      found.anomaly_info['kind'].short_description = 'Unexpected value'
      found.anomaly_info['kind'].description = 'It is 7.'
    folder = tmp_path / f'Split-{split}'
    folder.mkdir()
    (folder / 'SchemaDiff.pb').write_bytes(found.SerializeToString())
  published = PublishedArtifacts({summary.ANOMALIES: str(tmp_path)})
  assert summary.read_anomalies(published) == [
    "split 'eval', feature 'kind': Unexpected value. It is 7."
  ]


def test_an_output_that_was_not_published_is_named():
  published = PublishedArtifacts({('Trainer', 'model'): '/m'})
  assert published.uri('Trainer', 'model') == '/m'
  assert published.has('Trainer', 'model')
  assert not published.has('Evaluator', 'evaluation')
  with pytest.raises(KeyError, match="Evaluator published no 'evaluation'"):
    published.uri('Evaluator', 'evaluation')


def test_a_run_that_the_metadata_does_not_have_is_named():
  connection = metadata_store_pb2.ConnectionConfig()
  connection.fake_database.SetInParent()
  with pytest.raises(KeyError, match="the metadata has no run 'r'"):
    read_published(connection, 'r')
