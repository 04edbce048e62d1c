"""What balancing is to do, decided from totals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.balanced_augmenter.output_plan import AugmentContext, plan_augment
from tfx_balance.balanced_augmenter.parameters import AugmenterParameters
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.balance_plan import BalanceRequest
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.scan.totals import Totals
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.tfrecord.reading import READ_DEFAULTS

from tests.helpers_counts import counts_of


def stratum(value):
  return (ClassValue('int', value) if isinstance(value, int) else value,)


def totals(counts, **attributes):
  known = {
    'n_bytes': 100 * sum(counts.values()),
    'n_files': 1,
    'feature_names': {'label', 'x'},
  }
  records = counts_of({stratum(value): n for value, n in counts.items()}, 100)
  return Totals(counts=[records], **{**known, **attributes})


def context(augmented_split=None, missing='error', missing_is_class=False, sizes=SIZES, **balance):
  parameters = AugmenterParameters(
    label='label',
    balance=BalanceRequest(**balance),
    splits=('train',),
    augmented_split=augmented_split,
    seed=0,
    missing=missing,
    reading=READ_DEFAULTS,
    missing_is_class=missing_is_class,
    provenance=False,
    augment_timeout=None,
    shown={},
  )
  return AugmentContext(parameters, 'FORMAT_TF_EXAMPLE', 'out', '.gz', work_dir='work', sizes=sizes)


TWO = {'train': totals({0: 10, 1: 3}), 'extra': totals({1: 4, 2: 4, 3: 1})}


def test_each_split_is_balanced_by_itself():
  output_plan = plan_augment(TWO, context())
  assert output_plan.names == ('extra', 'train')
  assert output_plan.written == (12, 20)
  assert output_plan.plans['extra'].targets.tolist() == [4, 4, 4]
  assert output_plan.plans['train'].targets.tolist() == [10, 10]
  assert [
    output_plan.file_group_of(name, whole=False) for name in output_plan.names
  ] == output_plan.file_groups
  assert [layout.paths for layout in output_plan.layouts] == [
    (f'out/Split-{name}/data_tfrecord-00000-of-00001.gz',) for name in ('extra', 'train')
  ]
  strata = output_plan.selection.strata
  keys = [(name, key[0].value) for name, of_split in strata.items() for key in of_split]
  rows = {key: row for row, key in enumerate(keys)}
  assert rows == {
    ('extra', 1): 0,
    ('extra', 2): 1,
    ('extra', 3): 2,
    ('train', 0): 3,
    ('train', 1): 4,
  }


def test_some_records_are_there_once_more_than_others():
  output_plan = plan_augment({'train': totals({0: 10, 1: 3})}, context())
  assert output_plan.selection.quotas.tolist() == [[0, 10], [1, 2]]
  assert output_plan.copies.tolist() == [[2, 1], [4, 3]]


def test_a_split_of_copies_holds_what_was_added():
  output_plan = plan_augment({'train': TWO['train']}, context('more'))
  assert (output_plan.names, output_plan.written) == (('more',), (7,))
  assert [output_plan.file_group_of('train', whole=False)] == output_plan.file_groups
  assert output_plan.layouts[0].paths == ('out/Split-more/data_tfrecord-00000-of-00001.gz',)


def test_undersampling_keeps_the_first_of_a_class():
  output_plan = plan_augment(
    {'train': totals({0: 10, 1: 3})}, context(sampling_strategy='auto', undersample=True)
  )
  assert output_plan.selection.quotas.tolist() == [[3, 7], [0, 3]]
  assert output_plan.copies.tolist() == [[1, 0], [2, 1]]
  assert output_plan.written == (6,)


@given(
  st.dictionaries(st.integers(0, 40), st.integers(1, 1000), min_size=1),
  st.sampled_from(['not majority', 'median', 'mean', 0.3, 'power:0.5', 'all']),
  st.booleans(),
)
def test_quotas_and_copies_come_to_the_targets(counts, strategy, undersample):
  asked = context(sampling_strategy=strategy, undersample=undersample)
  output_plan = plan_augment({'train': totals(counts)}, asked)
  records, plan = output_plan.selection.quotas.sum(axis=1), output_plan.plans['train']
  assert records.tolist() == list(plan.records)
  assert (output_plan.selection.quotas * output_plan.copies).sum(axis=1).tolist() == list(
    plan.targets
  )
  assert output_plan.written == (sum(plan.targets),)
  assert np.all(output_plan.copies[:, 0] == output_plan.copies[:, 1] + 1)


def test_a_large_split_has_several_files_as_large_as_its_copies_make_it():
  sizes = Sizes(shard_bytes=1000)
  output_plan = plan_augment({'train': totals({0: 30, 1: 10})}, context(sizes=sizes))
  assert len(output_plan.layouts[0].paths) == 6  # 60 records of 100 bytes
  output_plan = plan_augment({'train': totals({0: 30, 1: 10})}, context('more', sizes=sizes))
  assert len(output_plan.layouts[0].paths) == 2


def test_dropped_records_count_for_the_size_of_a_record_alone():
  output_plan = plan_augment(
    {'train': totals({0: 3}, dropped=7, n_bytes=1000)}, context(missing='drop')
  )
  assert output_plan.written == (3,)


FAULTS = {
  'no records': ({'train': totals({})}, {}, DataError, 'record'),
  'one split without records': ({**TWO, 'empty': totals({})}, {}, DataError, 'record'),
  'all dropped': (
    {'train': totals({}, dropped=9, n_bytes=900)},
    {'missing': 'drop'},
    DataError,
    'label',
  ),
  'label missing': (
    {'train': totals({0: 3, MISSING: 1}, missing_in={'label': ('file-7', 2)})},
    {},
    DataError,
    'label.*file-7|file-7.*label',
  ),
  'class unknown': (TWO, {'sampling_strategy': {0: 50}}, ConfigError, '0 is not a class'),
  'below': ({'train': TWO['train']}, {'sampling_strategy': {0: 5}}, ConfigError, 'a target of 5'),
}


@pytest.mark.parametrize(('read', 'asked', 'kind', 'fault'), FAULTS.values(), ids=FAULTS)
def test_what_cannot_be_balanced_is_refused(read, asked, kind, fault):
  with pytest.raises(kind, match=fault):
    plan_augment(read, context(**asked))
