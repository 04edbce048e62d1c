"""Least numbers of each class in each split: arrays, the component, and what is refused."""

import json
import warnings

import numpy as np
import pytest
from tfx_balance import StratifiedSplits, stratified_indices
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_examples import example, in_shards, read_splits, value_of
from tests.helpers_split import input_files, split_context
from tests.list_runner import write_on_lists

Y = np.repeat(['a', 'b', 'c'], [2, 100, 1])


def counts_of(indices, labels=Y):
  return {name: [int((labels[at] == c).sum()) for c in 'abc'] for name, at in indices.items()}


def messages(call):
  with warnings.catch_warnings(record=True) as found:
    warnings.simplefilter('always')
    result = call()
  return result, [str(each.message) for each in found]


def test_a_class_of_two_is_in_both_splits():
  found, told = messages(lambda: stratified_indices(Y, {'train': 8, 'test': 2}, at_least=1))
  assert counts_of(found) == {'train': [1, 80, 1], 'test': [1, 20, 0]}
  assert told == [
    'at_least=1 takes 2 records of a class, and classes with fewer are split by their shares '
    'alone: c (1)'
  ]


def test_without_it_classes_that_a_split_has_none_of_are_warned_of():
  found, told = messages(lambda: stratified_indices(Y, {'train': 8, 'test': 2}))
  assert counts_of(found)['test'][0] == 0
  assert told == [
    'classes that are not in every split: a (2 records, none in test), c (1 records, none in test)'
  ]
  _, told = messages(lambda: stratified_indices(Y[2:102], {'train': 8, 'test': 2}))
  assert told == []


def test_labels_of_sets_are_warned_of():
  rows = np.zeros((40, 2), int)
  rows[:, 0], rows[0, 1] = 1, 1
  _, told = messages(lambda: stratified_indices(rows, {'train': 8, 'test': 2}, multilabel=True))
  assert told == ['labels that are not in every split: 1 (1 records, none in test)']


def test_a_number_for_one_split_and_totals_that_it_moves():
  y = np.repeat(np.arange(50), 5)
  found, told = messages(lambda: stratified_indices(y, at_least={'test': 2}))
  assert np.bincount(y[found['test']]).tolist() == [2] * 50
  assert told[0].startswith("at_least={'test': 2} moves totals from their shares: 'train' has ")
  assert "'test' has 100 records, ideally 25" in told[0]


def test_counts_hold_where_they_can():
  y = np.repeat(np.arange(11), [2] * 10 + [100])
  found = stratified_indices(y, counts={'test': 12}, rest='train', at_least=1)
  assert np.bincount(y[found['test']]).tolist() == [1] * 10 + [2]
  with pytest.raises(DataError, match=r"bring split 'test' to 11 records; ask for 11 there"):
    stratified_indices(y, counts={'test': 10}, rest='train', at_least=1)


def test_each_class_cut_by_time_keeps_it():
  y, order = np.repeat(np.arange(3), [3, 4, 60]), np.arange(67)
  found = stratified_indices(y, order=order, within='strata', at_least=1)
  assert [np.bincount(y[at]).min() for at in found.values()] == [1, 1, 1]
  assert all(order[found['train']][y[found['train']] == 0] < order[found['test']].min())


@pytest.mark.parametrize('more', [{}, {'within': 'strata', 'embargo_records': 2}], ids=str)
def test_an_order_that_decides_what_splits_have_is_refused(more):
  match = "at_least= and order= do not combine where .*within='strata'"
  with pytest.raises(ConfigError, match=match):
    stratified_indices(Y, {'train': 8, 'test': 2}, at_least=1, order=np.arange(103), **more)


@pytest.mark.parametrize(
  ('at_least', 'match'),
  [
    (-1, 'at_least=-1 must be a whole number from 0'),
    (0.5, 'at_least=0.5 must be a whole number'),
    ({'tset': 1}, r"at_least= names split 'tset', which is not in \['train', 'test'\]"),
    ({'test': True}, r"at_least\['test'\]=True must be"),
  ],
)
def test_a_wrong_number_is_refused(at_least, match):
  with pytest.raises(ConfigError, match=match):
    stratified_indices(Y, {'train': 8, 'test': 2}, at_least=at_least)


def test_folds_that_would_be_empty_are_refused():
  with pytest.raises(DataError, match=r'folds=5 leaves fold-\d, fold-\d empty, .* 3 records; ask'):
    list(StratifiedSplits(5).split(np.zeros(3), [0, 0, 1]))
  groups = np.arange(30) // 10
  with pytest.raises(DataError, match='30 records in 3 groups; ask for fewer folds'):
    list(StratifiedSplits(4).split(np.zeros(30), np.arange(30) % 2, groups))


def test_a_class_with_fewer_items_than_folds_is_warned_of():
  y = np.repeat([0, 1], [20, 3])
  with pytest.warns(UserWarning, match=r'not in every split: 1 \(3 records, none in fold-'):
    list(StratifiedSplits(5).split(y, y))
  rounds = list(StratifiedSplits(3, at_least=1).split(y, y))
  assert [np.bincount(y[test])[1] for _, test in rounds] == [1, 1, 1]


def test_the_component_has_the_bounds_and_tells_of_them(tmp_path):
  records = [example(label=i // 3 if i < 60 else 99, id=i) for i in range(160)]
  properties = {'splits': {'train': 8, 'eval': 1, 'test': 1}, 'at_least': '1'}
  context = split_context(tmp_path, properties['splits'], at_least=properties['at_least'])
  write_on_lists(StratifiedSplit(context), input_files(tmp_path, in_shards(records, 3)))
  splits = read_splits(context.output_uri)
  for name in ('eval', 'test'):
    labels = [value_of(record, 'label') for record in splits[name]]
    assert sorted(labels) == [*range(20), *[99] * 10]
  with open(f'{context.output_uri}/class_distribution.json', encoding='utf-8') as file:
    sidecar = json.load(file)
  assert sidecar['parameters']['at_least'] == 1
  assert sidecar['warnings'] == [
    "at_least=1 moves totals from their shares: 'train' has 100 records, ideally 128, 'eval' has "
    "30 records, ideally 16, 'test' has 30 records, ideally 16"
  ]
  cells = {cell['records']: cell for row in sidecar['strata'] for cell in row['splits'].values()}
  assert cells[10]['recall_half_widths'] == [0.263, 0.193]


@pytest.mark.parametrize('mode', ['exact', 'stable'])
def test_the_component_refuses_folds_without_a_record(tmp_path, mode):
  arguments = {'mode': mode} if mode == 'stable' else {}
  context = split_context(tmp_path, {'train': 9, 'test': 1}, folds=5, **arguments)
  records = [example(label=1, id=i) for i in range(4)]
  with pytest.raises(DataError, match=r'folds=5 leaves .* empty, for there are 4 records'):
    write_on_lists(StratifiedSplit(context), input_files(tmp_path, in_shards(records, 1)))


def test_arguments_as_tfx_carries_them():
  decoded = SplitterParameters.decode({'at_least': '{"eval": 2}'})
  assert decoded.shares.at_least == {'eval': 2}
  assert SplitterParameters.decode({'at_least': ''}).shares.at_least == {}
