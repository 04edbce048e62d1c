import math

import pytest
from ml_metadata.proto import metadata_store_pb2
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx_balance.cli import summary
from tfx_balance.cli.evaluation import compare
from tfx_balance.cli.published import read_published

from tests.cli.helpers_summary import (
  class_of,
  make_balanced_sidecar,
  make_scores,
  make_sidecar,
  summarize,
)


def test_classes_come_by_size_with_their_counts_and_ratios():
  three_classes = summarize(make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)}))
  assert [str(value) for value in three_classes.classes] == ['a', 'b', 'c']
  assert [three_classes.columns['total'][value] for value in three_classes.classes] == [100, 11, 1]
  assert three_classes.total('train') == 89
  assert three_classes.total('eval') == 11
  assert three_classes.total('total') == 112
  assert three_classes.ratio('train') == 80
  assert three_classes.ratio('test') == math.inf
  assert list(three_classes.columns) == ['train', 'eval', 'test', 'total']


def test_balanced_counts_are_a_column_after_those_of_train():
  numbers = summarize(
    make_sidecar({'a': (80, 10, 10), 'b': (8, 1, 2), 'c': (0, 0, 1)}, ('c is small',)),
    [],
    ['odd'],
    make_balanced_sidecar({'b': (8, 80), 'a': (80, 80)}, ('b is held back',)),
  )
  assert list(numbers.columns) == ['train', 'balanced', 'eval', 'test', 'total']
  assert numbers.columns['balanced'] == {class_of('a'): 80, class_of('b'): 80}
  assert numbers.total('total') == 112  # copies are no records of the data
  assert numbers.ratio('balanced') == math.inf
  assert numbers.warnings == ('c is small', 'b is held back', 'odd')


def test_anomalies_of_the_validator_are_sentences(tmp_path):
  for split in ('train', 'eval'):
    found = anomalies_pb2.Anomalies()
    if split == 'eval':
      found.anomaly_info['kind'].short_description = 'Unexpected value'
      found.anomaly_info['kind'].description = 'It is 7.'
    folder = tmp_path / f'Split-{split}'
    folder.mkdir()
    (folder / 'SchemaDiff.pb').write_bytes(found.SerializeToString())
  assert summary.read_anomalies(str(tmp_path)) == [
    "split 'eval', feature 'kind': Unexpected value. It is 7."
  ]


def test_a_run_that_the_metadata_does_not_have_is_named():
  connection = metadata_store_pb2.ConnectionConfig()
  connection.fake_database.SetInParent()
  with pytest.raises(KeyError, match="the metadata has no run 'r'"):
    read_published(connection, 'r')


def test_recall_is_that_of_all_seeds_by_model():
  scores = [
    make_scores('natural', {'a': (10, 10), 'b': (0, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (1, 2)}),
    make_scores('natural', {'a': (8, 10), 'b': (1, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (2, 2)}),
  ]
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)})
  data = summary.describe_recall(summarize(sidecar, compare(scores)), 'kind').to_json()
  assert data['label'] == 'kind'
  assert [model['name'] for model in data['models']] == ['natural', 'balanced']
  natural, balanced = (
    {row['name']: (row['recall'], row['tested']) for row in model['recall']}
    for model in data['models']
  )
  assert natural == {'a': (0.9, 20), 'b': (0.25, 4)}  # c was not tested
  assert balanced == {'a': (0.9, 20), 'b': (0.75, 4)}
