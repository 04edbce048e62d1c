"""The validator on multi-label data: each label has its count, its share and its limits."""

import pyarrow as pa
import pytest
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics import stats_impl
from tfx.types import Channel, standard_artifacts
from tfx_balance import ClassDistributionValidator, StratifiedSplitter
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.report import read_run
from tfx_balance.report.page import render_page

from tests.class_distribution_validator.helpers_validate import statistics_artifact, validate
from tests.helpers_examples import example
from tests.helpers_pipeline import execute, input_artifact

ROWS = {
  'train': [['a', 'b']] * 40 + [['a', 'a']] * 30 + [['c', 'b', 'a']] * 10 + [None] * 2,
  'eval': [['b', 'a']] * 20 + [['a']] * 15 + [['a', 'b', 'c']] * 5,
}


def examples_of(folder):
  records = {
    name: [[example(id=f'{name}{i}', tags=tags) for i, tags in enumerate(rows)]]
    for name, rows in ROWS.items()
  }
  return input_artifact(folder, records)


def statistics_of(rows=ROWS):
  return {name: one_statistics(tags) for name, tags in rows.items()}


def one_statistics(rows):
  values = [None if tags is None else [tag.encode() for tag in tags] for tags in rows]
  batch = pa.RecordBatch.from_arrays([pa.array(values, pa.large_list(pa.binary()))], ['tags'])
  return stats_impl.generate_statistics_in_memory(batch, tfdv.StatsOptions())


def by_name(checks):
  return {row['class']['value']: row['splits'] for row in checks['counts']}


LABELS = {'label': 'tags', 'multilabel': True, 'max_missing': 0.05}


def test_labels_are_counted_once_a_record(tmp_path):
  found = validate(
    tmp_path / 'out',
    statistics_of(),
    examples=examples_of(tmp_path / 'in'),
    min_count=10,
    **LABELS,
  )
  assert by_name(found.checks) == {
    'a': {'eval': 40, 'train': 80},
    'b': {'eval': 25, 'train': 50},
    'c': {'eval': 5, 'train': 10},
  }
  assert found.checks['missing'] == {'eval': 0, 'train': 2}
  (broken,) = found.broken()
  assert (broken['rule'], broken['split'], broken['class']['value']) == ('min_count', 'eval', 'c')
  # 25 of 40 and 50 of 80: labels have the same part of the records that have any.
  distances = [row for row in found.checks['checks'] if row['rule'] == 'max_l_infinity']
  assert [row['measured'] for row in distances] == [0]


def test_a_label_has_drifted_by_its_share_of_the_labelled_records(tmp_path):
  rows = {
    'train': [['a', 'b']] * 100 + [['a']] * 900 + [None] * 9,
    'eval': [['a', 'b']] * 100 + [['a']] * 100,
  }
  found = validate(tmp_path, statistics_of(rows), **LABELS)
  (drift,) = [row for row in found.broken() if row['rule'] == 'max_share_ratio']
  assert (drift['class']['value'], drift['measured']) == ('b', 5)
  assert "50 % of split 'eval' and 10 % of split 'train'" in drift['message']


def test_statistics_tell_labels_that_records_have_once(tmp_path):
  rows = {
    name: [tags and [*dict.fromkeys(tags)] for tags in label_sets]
    for name, label_sets in ROWS.items()
  }
  found = validate(
    tmp_path / 'out',
    statistics_of(rows),
    baseline=statistics_of(rows),
    min_share={'train': 0.1},
    expected_shares={'a': 1, 'b': 0.625},
    **LABELS,
  )
  assert by_name(found.checks)['a'] == {'eval': 40, 'train': 80}
  assert found.checks['missing'] == {'eval': 0, 'train': 2}
  assert found.checks['counts_from'] == 'statistics'
  assert found.broken() == []


@pytest.mark.parametrize('counted', [True, False], ids=['records', 'statistics'])
def test_a_report_of_the_validator_alone_has_the_number_of_records(tmp_path, counted):
  rows = {
    name: [tags and [*dict.fromkeys(tags)] for tags in label_sets]
    for name, label_sets in ROWS.items()
  }
  examples = {'examples': examples_of(tmp_path / 'in')} if counted else {}
  found = validate(tmp_path / 'out', statistics_of(rows), **examples, **LABELS)
  assert found.checks['labelled'] == {'eval': 40, 'train': 80}
  (stage,) = read_run([str(found.folder)]).stages
  assert {split.name: split.records for split in stage.splits} == {'eval': 40, 'train': 82}
  assert sum(stage.total.values()) == 210  # each label of a record


def test_a_report_of_statistics_alone_refuses_several_labels_by_name(tmp_path):
  artifact = statistics_artifact(tmp_path / 'statistics', statistics_of())
  view = read_run([artifact.uri], label='tags')
  assert view.stages == ()
  assert len(view.notes) == 2
  for note in view.notes:
    assert 'ClassDistributionValidator published with multilabel=True where the values' in note
    assert 'pass multilabel=True' not in note


@pytest.mark.parametrize(
  ('rows', 'arguments', 'fault'),
  [
    pytest.param(
      {'train': [['a'], []]}, LABELS, 'has empty lists in split .* pass examples=', id='empty'
    ),
    pytest.param(
      {'train': [['a', 'b']]},
      {'label': 'tags'},
      'has up to 2 values a record .* pass multilabel=True',
      id='not asked for',
    ),
  ],
)
def test_faults_of_statistics(tmp_path, rows, arguments, fault):
  with pytest.raises(DataError, match=fault):
    validate(tmp_path / 'out', statistics_of(rows), **arguments)


def test_the_splitters_sidecar_and_the_report_have_labels(tmp_path):
  split = execute(
    StratifiedSplitter,
    [examples_of(tmp_path / 'in')],
    tmp_path / 'split',
    stratify_by='tags',
    multilabel=True,
    splits={'train': 3, 'test': 1},
  )
  split.split_names = '["train", "test"]'
  total = sum(map(len, ROWS.values()))
  rows = {'train': [['a']] * (total * 3 // 4), 'test': [['a']] * (total - total * 3 // 4)}
  statistics = statistics_of(rows)
  found = validate(tmp_path / 'out', statistics, examples=split, **LABELS)
  counted = validate(tmp_path / 'again', statistics, examples=split, recount=True, **LABELS)
  assert found.checks['counts'] == counted.checks['counts']
  assert sum(by_name(found.checks)['a'].values()) == 120
  page = render_page(read_run([split.uri]))
  assert 'label sets' in page


FLAGS = {'label': ['a', 'b', 'c'], 'multilabel': True, 'max_missing': 0.05}


def flags_of(tags):
  return {name: int(name in (tags or ())) for name in 'abc'}


def test_several_features_of_0_and_1_are_counted_as_the_values_of_one(tmp_path):
  records = {
    name: [[example(id=f'{name}{i}', **flags_of(tags)) for i, tags in enumerate(rows)]]
    for name, rows in ROWS.items()
  }
  found = validate(
    tmp_path / 'flags',
    statistics_of(),
    examples=input_artifact(tmp_path / 'in', records),
    min_count=10,
    **FLAGS,
  )
  tags = validate(
    tmp_path / 'tags',
    statistics_of(),
    examples=examples_of(tmp_path / 'tagged'),
    min_count=10,
    **LABELS,
  )
  assert found.checks['counts'] == tags.checks['counts']
  assert found.checks['missing'] == {'eval': 0, 'train': 2}
  assert found.checks['label'] == 'a, b, c'
  (broken,) = found.broken()
  assert (broken['rule'], broken['split'], broken['class']['value']) == ('min_count', 'eval', 'c')


@pytest.mark.parametrize(
  ('inputs', 'fault'),
  [
    ((), r"label=\['a', 'b', 'c'\] are counted together.* pass examples="),
    (('examples', 'baseline_statistics'), 'and baseline_statistics= do not combine'),
    (('examples', 'schema'), 'and schema= do not combine: .* ExampleValidator'),
  ],
)
def test_several_features_are_counted_from_records_alone(inputs, fault):
  kinds = {'examples': standard_artifacts.Examples, 'schema': standard_artifacts.Schema}
  statistics = Channel(type=standard_artifacts.ExampleStatistics)
  given = {name: Channel(type=kinds[name]) if name in kinds else statistics for name in inputs}
  with pytest.raises(ConfigError, match=fault):
    ClassDistributionValidator(statistics, **given, **FLAGS)
