"""The registry of split modes: what modes declare, and a mode that is not in the package."""

import inspect
from dataclasses import dataclass, replace

import numpy as np
from tfx_balance import StratifiedSplitter
from tfx_balance.modes.groups import Groups
from tfx_balance.modes.mode import SplitModes
from tfx_balance.modes.registry import ARGUMENTS, MODES
from tfx_balance.plan.group_by import GroupBy
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_checks import assert_conserved
from tests.helpers_examples import example, in_shards, read_splits, value_of
from tests.helpers_split import input_files, split_request
from tests.list_runner import write_on_lists


def test_arguments_of_modes_are_of_one_mode_and_in_the_constructor():
  declared = [name for mode in MODES for name in mode.ARGUMENTS]
  assert len(declared) == len(set(declared))
  assert {*ARGUMENTS} <= {*inspect.signature(StratifiedSplitter).parameters}


def test_pairs_that_do_not_combine_are_of_arguments_in_order():
  pairs = [pair for mode in MODES for pair in mode.APART]
  assert len(pairs) == len(set(pairs))
  assert all(pair == tuple(sorted(pair)) for pair in pairs)
  assert {name for pair in pairs for name in pair} <= {*ARGUMENTS, 'extend'}


@dataclass(frozen=True)
class Tens(GroupBy):
  """Groups of numbers with the same tens."""

  def parts_of(self, values):
    return np.floor(values / 10).astype(np.int64)


def test_a_mode_may_say_what_groups_are_made_of(tmp_path):
  records = [example(label=i % 2, x=i * 7 % 400 + 0.5, id=i) for i in range(800)]
  request = split_request(tmp_path, {'a': 3, 'b': 1})
  modes = SplitModes((Groups(Tens(('x',))),))
  request = replace(request, parameters=replace(request.parameters, modes=modes))
  write_on_lists(StratifiedSplit(request), input_files(tmp_path, in_shards(records, 3)))
  splits = read_splits(request.output_uri)
  assert_conserved(splits, records)
  tens = [{value_of(record, 'x') // 10 for record in held} for held in splits.values()]
  assert not tens[0] & tens[1]
  assert [len(each) for each in tens] == [30, 10]
