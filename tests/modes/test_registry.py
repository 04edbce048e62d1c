"""The registry of split modes: what modes declare, and a mode that is not in the package."""

import inspect
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tfx_balance import StratifiedSplitter
from tfx_balance.errors import ConfigError
from tfx_balance.modes.array_items import ArrayItems
from tfx_balance.modes.groups import Groups
from tfx_balance.modes.mode import Mode, SplitModes
from tfx_balance.modes.registry import ARGUMENTS, MODES, parse_modes
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.group_table import GroupBy
from tfx_balance.plan.split_plan import Placed
from tfx_balance.plan.split_shares import SplitShares
from tfx_balance.stratified_splitter import output_plan, transform
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.stratified_splitter.transform import StratifiedSplit

from tests.helpers_checks import assert_conserved
from tests.helpers_examples import example, in_shards, read_splits, value_of
from tests.helpers_split import input_files, split_context
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


GIVEN = {
  'at_least': 1,
  'bins': 3,
  'counts': {'test': 5},
  'embargo_records': 2,
  'group_by': 'patient',
  'identity': 'values',
  'key': 'id',
  'mode': 'stable',
  'multilabel': True,
  'order_by': 'time',
  'split_by': 'set',
  'within': 'strata',
}
APART = {pair: reason for mode in MODES for pair, reason in mode.APART.items()}


@pytest.mark.parametrize('pair', APART, ids=' and '.join)
def test_arguments_that_do_not_combine_are_refused(pair):
  given = {name: GIVEN[name] for name in pair if name != 'extend'}
  if {'within', 'embargo_records'} & {*pair}:
    given['order_by'] = 'time'
  message = f'{pair[0]}= and {pair[1]}= do not combine: {APART[pair]}'
  with pytest.raises(ConfigError, match=f'^{re.escape(message)}$'):
    SplitterParameters.decode(given, '' if 'extend' in pair else None)


@dataclass(frozen=True)
class Tens(GroupBy):
  """Groups of numbers with the same tens."""

  def parts_of(self, values):
    return np.floor(values / 10).astype(np.int64)


@dataclass(frozen=True)
class TenGroups(Groups):
  """Groups of numbers with the same tens: a mode in the place of the one that it is based on."""

  @classmethod
  def parse(cls, given):
    return cls(Tens(tuple(given['group_by'])))


def test_a_mode_takes_the_place_of_its_base_class_for_arrays_too():
  given = {**{name: declared.default for name, declared in ARGUMENTS.items()}, 'group_by': ['x']}
  modes = parse_modes(
    {**given, 'stratify_by': (), 'missing_label': 'error', 'extend': None}, (TenGroups, *MODES)
  )
  assert modes == SplitModes((TenGroups(Tens(('x',))),))
  x = np.arange(800) * 7 % 400 + 0.5
  strata = [(ClassValue('int', i),) for i in range(2)]
  shares = SplitShares.parse({'a': 3, 'b': 1})
  arrays = {'key': None, 'group_by': {'x': x}}
  items = ArrayItems(strata, np.arange(800) % 2, shares, modes, 0, arrays)
  (mode,) = modes
  split = mode.split_items(items)
  tens = [set((x[split == i] // 10).tolist()) for i in range(2)]
  assert not tens[0] & tens[1]
  assert [len(each) for each in tens] == [30, 10]


def test_a_mode_may_say_what_groups_are_made_of(tmp_path):
  records = [example(label=i % 2, x=i * 7 % 400 + 0.5, id=i) for i in range(800)]
  context = split_context(tmp_path, {'a': 3, 'b': 1})
  modes = SplitModes((Groups(Tens(('x',))),))
  context = replace(context, parameters=replace(context.parameters, modes=modes))
  write_on_lists(StratifiedSplit(context), input_files(tmp_path, in_shards(records, 3)))
  splits = read_splits(context.output_uri)
  assert_conserved(splits, records)
  tens = [{value_of(record, 'x') // 10 for record in held} for held in splits.values()]
  assert not tens[0] & tens[1]
  assert [len(each) for each in tens] == [30, 10]


@pytest.mark.parametrize('module', [output_plan, transform])
def test_no_step_knows_a_mode(module):
  assert not {mode.__name__ for mode in MODES} & {*vars(module)}


@dataclass(frozen=True)
class LastFirst(Mode):
  """Splits by rank, of which the last split has the lowest ranks."""

  places = True

  def parts(self, quotas):
    return quotas[:, ::-1]

  def place(self, rows, parts, orders, bounds):
    return Placed.in_splits(1 - parts)


def test_a_mode_may_say_where_items_go():
  strata = [(ClassValue('int', i),) for i in range(2)]
  shares = SplitShares.parse({'a': 3, 'b': 1})
  plain, other = (
    ArrayItems(strata, np.arange(800) % 2, shares, SplitModes(modes), 0, {'key': None})
    for modes in ((), (LastFirst(),))
  )
  plain, other = (items.modes.placement.split_items(items) for items in (plain, other))
  assert np.bincount(other).tolist() == np.bincount(plain).tolist() == [600, 200]
  assert not ((plain == 1) & (other == 1)).any()


def test_a_mode_may_say_where_records_go(tmp_path):
  records = [example(label=i % 2, id=i) for i in range(800)]
  found = []
  for name, modes in (('plain', ()), ('other', (LastFirst(),))):
    context = split_context(tmp_path / name, {'a': 3, 'b': 1})
    context = replace(context, parameters=replace(context.parameters, modes=SplitModes(modes)))
    files = input_files(tmp_path / name, in_shards(records, 3))
    write_on_lists(StratifiedSplit(context), files)
    found.append({k: set(held) for k, held in read_splits(context.output_uri).items()})
  plain, other = found
  assert [len(held) for held in other.values()] == [600, 200]
  assert not plain['b'] & other['b']
  assert len(plain['a'] & other['a']) == 400
