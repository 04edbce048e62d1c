"""The sidecar: JSON that anybody reads, with numbers that a recount confirms."""

import json
import math
import re
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.documents.class_distribution import (
  ClassDistribution,
  InputRecords,
)
from tfx_balance.documents.descriptions import describe_balance, describe_split, split_warnings
from tfx_balance.plan.balance_plan import BalanceRequest, plan_balance
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

from tests.helpers_counts import by_class, by_stratum

SOURCE = InputRecords(0, 0, 3, '00ff')
CLASSES = st.one_of(
  st.integers(-5, 5).map(lambda value: ClassValue('int', value)),
  st.integers(-5, 5).map(lambda value: ClassValue('float', float(value))),
  st.binary(max_size=4).map(lambda value: ClassValue('bytes', value)),
  st.just(MISSING),
)
RECORDS = st.dictionaries(st.tuples(CLASSES, CLASSES), st.integers(0, 300), min_size=1).filter(
  lambda records: any(records.values())
)


def describe(plan, parameters=None, source=None, passed_through=()):
  """Returns the sidecar as somebody reads it from the file, and checks that it is strict JSON."""
  files = {name: {f'{name}{j}': 7 for j in range(i + 1)} for i, name in enumerate(plan.splits)}
  read = replace(SOURCE, **(source or {}))
  found = describe_split(plan, parameters or {}, read, files, passed_through)
  data = json.loads(json.dumps(found.to_json(), allow_nan=False))
  assert json.loads(found.dumps()) == data
  assert ClassDistribution.from_json(found.dumps(), 'x') == found
  return data


def text(value):
  return (ClassValue('bytes', value.encode()),)


@given(RECORDS, st.integers(0, 99))
def test_a_recount_of_the_strata_gives_the_numbers_of_the_splits(records, seed):
  plan = plan_splits(
    *by_stratum(records), SplitShares.parse({'train': 7, 'eval': 2, 'test': 1}), seed
  )
  data = describe(plan, {'stratify_by': ['kind', 'side']})
  found = {
    tuple(ClassValue.from_json(value) for value in row['stratum']): row for row in data['strata']
  }
  assert {stratum: row['records'] for stratum, row in found.items()} == records
  assert list(found) == list(plan.strata)
  total = sum(records.values())
  for name, tenths in {'train': 7, 'eval': 2, 'test': 1}.items():
    split = data['splits'][name]
    counts = [row['splits'][name]['records'] for row in found.values()]
    assert split['records'] == sum(counts)
    assert split['ideal'] == float(Fraction(total * tenths, 10))
    if min(counts):
      assert split['imbalance_ratio'] == pytest.approx(max(counts) / min(counts))
    else:
      assert split['imbalance_ratio'] is None
    for row in found.values():
      assert row['splits'][name]['ideal'] == float(Fraction(row['records'] * tenths, 10))
  for row in found.values():
    assert sum(cell['records'] for cell in row['splits'].values()) == row['records']
  (margin,) = data['margins']
  cells = [
    row['splits'][margin['split']]['records']
    for stratum, row in found.items()
    if stratum[1] == ClassValue.from_json(margin['value'])
  ]
  assert (margin['feature'], margin['records']) == ('side', sum(cells))
  out_of_reach = [
    row for row in found.values() if not all(cell['records'] for cell in row['splits'].values())
  ]
  counts = [re.match(r'(\d+) classes are not|class ', w) for w in data['warnings']]
  assert sum(int(found[1] or 1) for found in counts if found) == len(out_of_reach)


def test_the_whole_of_a_small_sidecar():
  plan = plan_splits(
    *by_stratum({text('cat'): 90, text('dög'): 10}), SplitShares.parse({'a': 4, 'b': 1})
  )
  data = describe(plan, {'seed': 0}, {'records': 100}, ['old'])
  assert data == {
    'format': 'tfx_balance.class_distribution',
    'version': 2,
    'component': 'StratifiedSplitter',
    'parameters': {'seed': 0},
    'input': {'records': 100, 'dropped': 0, 'files': 3, 'fingerprint': '00ff'},
    'splits': {
      'a': {
        'records': 80,
        'ideal': 80,
        'imbalance_ratio': 9.0,
        'files': 1,
        'file_bytes': {'a0': 7},
      },
      'b': {
        'records': 20,
        'ideal': 20,
        'imbalance_ratio': 9.0,
        'files': 2,
        'file_bytes': {'b0': 7, 'b1': 7},
      },
    },
    'strata': [
      {
        'stratum': [{'type': 'bytes', 'value': 'cat'}],
        'name': 'cat',
        'records': 90,
        'splits': {
          'a': {'records': 72, 'ideal': 72, 'recall_half_widths': [0.113, 0.07]},
          'b': {'records': 18, 'ideal': 18, 'recall_half_widths': [0.21, 0.144]},
        },
      },
      {
        'stratum': [{'type': 'bytes', 'value': 'dög'}],
        'name': 'dög',
        'records': 10,
        'splits': {
          'a': {'records': 8, 'ideal': 8, 'recall_half_widths': [0.285, 0.215]},
          'b': {'records': 2, 'ideal': 2, 'recall_half_widths': [0.405, 0.358]},
        },
      },
    ],
    'passed_through': ['old'],
    'warnings': [],
    'step': 1,
    'checksum': data['checksum'],
  }


def test_an_ideal_is_a_whole_number_where_it_is_one():
  ideals = []
  for n in (10, 11):
    plan = plan_splits(*by_stratum({text('cat'): n}), SplitShares.parse({'a': 1, 'b': 1}))
    ideals.append(describe(plan)['splits']['a']['ideal'])
  assert json.dumps(ideals) == '[5, 5.5]'


@pytest.mark.parametrize(
  ('records', 'arguments'),
  [
    pytest.param({text('a'): 9, text('b'): 0}, {}, id='a class without records'),
    pytest.param(
      {text('a'): 5}, {'counts': {'test': 5}, 'rest': 'train'}, id='a split without records'
    ),
  ],
)
def test_a_ratio_that_is_no_number_is_null(records, arguments):
  data = describe(plan_splits(*by_stratum(records), SplitShares.parse(**arguments)))
  ratios = [split['imbalance_ratio'] for split in data['splits'].values()]
  assert None in ratios
  assert all(ratio is None or math.isfinite(ratio) for ratio in ratios)


@pytest.mark.parametrize(
  ('records', 'arguments', 'dropped', 'expected'),
  [
    pytest.param({text('a'): 30, text('b'): 30}, {}, 0, [], id='nothing to say'),
    pytest.param(
      {text('a'): 4},
      {'splits': {'train': 99, 'test': 1}},
      0,
      [
        "split 'test' is empty: it gets none of 4 records; SchemaGen needs",
      ],
      id='empty split',
    ),
    pytest.param(
      {text('a'): 998, text('b'): 1, (MISSING,): 1},
      {'counts': {'test': 400, 'eval': 100}, 'rest': 'train'},
      0,
      ['class b has 1 record, too few for every split: none in', 'class (missing) has 1 record,'],
      id='one record',
    ),
    pytest.param(
      {text('a'): 30}, {}, 7, ['7 records without a class were dropped'], id='dropped records'
    ),
  ],
)
def test_warnings_name_what_is_small(records, arguments, dropped, expected):
  plan = plan_splits(*by_stratum(records), SplitShares.parse(**arguments))
  warnings = split_warnings(plan, dropped)
  assert len(warnings) == len(expected)
  for warning, start in zip(warnings, expected, strict=True):
    assert warning.startswith(start)
  assert describe(plan, source={'dropped': dropped})['warnings'] == warnings


def test_many_warnings_of_one_kind_are_one_with_a_count_and_three_examples():
  records = {text(f'c{i:02}'): 900 if i < 25 else 2 for i in range(58)}
  plan = plan_splits(*by_stratum(records), SplitShares.parse())
  (warning,) = split_warnings(plan, 0)
  assert re.fullmatch(
    r'33 classes are not in every split: (class c2[567] has 2 records, .*?; ){3}and 30 more',
    warning,
  )
  shares = SplitShares.parse({f's{i}': 1 for i in range(9)})
  (warning,) = split_warnings(plan_splits(*by_stratum({text('a'): 4}), shares), 0)
  assert re.fullmatch(r"5 splits are empty: (split 's\d' is empty: .*?; ){3}and 2 more", warning)


def test_many_classes_below_their_targets_are_one_warning():
  records = {text(f'c{i:02}')[0]: 2 for i in range(20)} | {text('large')[0]: 900}
  plan = plan_balance(*by_class(records), BalanceRequest(max_copies=4))
  found = describe_balance(
    {'train': plan}, None, {'max_copies': 4}, {'train': SOURCE}, {'train': {}}, []
  )
  (warning,) = found.warnings
  assert warning.startswith('max_copies=4 keeps 20 classes below their targets: class c00 of split')
  assert warning.endswith('; and 17 more')


@pytest.mark.parametrize(
  ('apart', 'end'), [(None, 'were dropped'), ('more', "have no copies in 'more'")]
)
def test_a_balanced_sidecar_warns_of_records_without_a_class(apart, end):
  classes = {ClassValue('bytes', b'a'): 5, ClassValue('bytes', b'b'): 2}
  plans = {name: plan_balance(*by_class(classes), BalanceRequest()) for name in ('eval', 'train')}
  sources = {'eval': InputRecords(7, 0), 'train': InputRecords(10, 3)}
  files = {name: {'data_tfrecord': 9} for name in ('eval', 'train', 'more')}
  found = describe_balance(plans, apart, {}, sources, files, [])
  assert found.warnings == (f"3 records of split 'train' without a class {end}",)
  assert found.input == sources
  assert ClassDistribution.from_json(found.dumps(), 'x') == found


@pytest.mark.parametrize(
  ('counts', 'arguments', 'fault'),
  [
    pytest.param(
      {'a': 900, 'b': 100},
      {'sampling_strategy': 'not majority', 'undersample': True},
      r"sampling_strategy='not majority', undersample=True leaves the imbalance ratio of split "
      r"'train': 900 to 100 records \(9\) before, 900 to 100 \(9\) after; pass sampling_str",
      id='left',
    ),
    pytest.param(
      {'a': 800, 'b': 150, 'c': 50},
      {'factors': {'a': 2}},
      r"factors={'a': 2} raises .*: 800 to 50 records \(16\) before, 1600 to 50 \(32\) after; pass",
      id='raised',
    ),
    pytest.param({'a': 9, 'b': 1}, {'undersample': True}, None, id='lowered'),
    pytest.param({'a': 9}, {}, None, id='one class'),
  ],
)
def test_a_strategy_that_does_not_lower_the_imbalance_ratio_is_a_warning(counts, arguments, fault):
  records = {text(name)[0]: n for name, n in counts.items()}
  plan = plan_balance(*by_class(records), BalanceRequest(**arguments))
  found = describe_balance({'train': plan}, None, arguments, {'train': SOURCE}, {'train': {}}, [])
  assert len(found.warnings) == (fault is not None)
  assert all(re.match(fault, warning) for warning in found.warnings)
