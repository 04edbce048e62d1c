"""What the data must have for a split: each fault by value, rule and fix."""

import pytest
from tfx_balance.errors import DataError

from tests.helpers_examples import example, labelled
from tests.helpers_split import run_split

GOOD = labelled({0: 5, 1: 5})


@pytest.mark.parametrize(
  ('shards', 'arguments', 'fault'),
  [
    pytest.param(
      [GOOD, GOOD],
      {'stratify_by': ('lable',)},
      r"feature 'lable' is in none of the 20 records; stratify_by= takes one of: id, label",
      id='unknown feature',
    ),
    pytest.param(
      [GOOD],
      {'stratify_by': ('label', 'site')},
      r"feature 'site' is in none of the 10 records; stratify_by= takes one of: id, label",
      id='unknown second feature',
    ),
    pytest.param(
      [GOOD],
      {'stratify_by': ('lable',), 'missing_label': 'drop'},
      r"feature 'lable' is in none of the 10 records",
      id='unknown feature, dropped',
    ),
    pytest.param(
      [[b''] * 100],
      {},
      r"feature 'label' is in none of the 100 records; stratify_by= takes one of: none",
      id='no features at all',
    ),
    pytest.param(
      [GOOD, [*GOOD, example(id=1), example(id=2)]],
      {},
      r"feature 'label' has no value in 2 of 22 records, the first of them record 10 of .*in-1; "
      r"pass missing_label='own' or 'drop', or fill it in",
      id='missing label',
    ),
    pytest.param(
      [[example(label=[]), example(label=[])]],
      {},
      r"feature 'label' has no value in 2 of 2 records",
      id='label without values',
    ),
    pytest.param(
      [[example(label=[])] * 3],
      {'missing_label': 'drop'},
      r'all 3 records lack a class and missing_label drops them; fill it in',
      id='all dropped',
    ),
    pytest.param(
      [GOOD, [example(label='0')]],
      {},
      r"feature 'label' has values of types \['bytes', 'int'\] .*; give it one type in all files",
      id='two types in two files',
    ),
    pytest.param([[], []], {}, r'the input holds no records; give at least one', id='no records'),
    pytest.param(
      [GOOD],
      {'counts': {'eval': 6, 'test': 5}, 'rest': 'train'},
      r"counts={'eval': 6, 'test': 5} ask for 11 records, there are 10; ask for fewer",
      id='counts above what there is',
    ),
    pytest.param(
      [GOOD],
      {'counts': {'eval': 4, 'test': 5}, 'splits': {}},
      r'counts={.*} take 9 of 10 records; name the split that gets the other 1 with rest=',
      id='counts below what there is',
    ),
  ],
)
def test_a_fault_of_the_data_is_told_by_value_rule_and_fix(tmp_path, shards, arguments, fault):
  with pytest.raises(DataError, match=fault):
    run_split(tmp_path, shards, **arguments)
