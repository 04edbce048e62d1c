"""Arguments of all components: checked when built and when run, carried, part of the key."""

import inspect
import json

import numpy as np
import pytest
import tfx.v1 as tfx
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import (
  BalancedAugmenter,
  BalancedInputGen,
  ClassDistributionValidator,
  StratifiedSplitter,
)
from tfx_balance.augment import ImageAugment, SmoothedBootstrap, Smote
from tfx_balance.balanced_augmenter import parameters as augmenter
from tfx_balance.balanced_input_gen import parameters as input_gen
from tfx_balance.class_distribution_validator import parameters as validator
from tfx_balance.errors import ConfigError
from tfx_balance.stratified_splitter import parameters as splitter

FUNCTIONS = 'tests.balanced_augmenter.functions'
DECLARED = {
  StratifiedSplitter: (splitter, splitter.SplitterParameters),
  BalancedAugmenter: (augmenter, augmenter.AugmenterParameters),
  BalancedInputGen: (input_gen, input_gen.InputGenParameters),
  ClassDistributionValidator: (validator, validator.ValidatorParameters),
}


def properties(component, **arguments):
  """Returns the execution properties of a component."""
  inputs = {'examples': channel_utils.as_channel([standard_artifacts.Examples()])}
  if component is ClassDistributionValidator:
    for name in ('statistics', 'baseline_statistics'):
      inputs[name] = channel_utils.as_channel([standard_artifacts.ExampleStatistics()])
  return dict(component(**inputs, **arguments).exec_properties)


WEIGHT = r'of split .train. must be a finite number above 0; give one such as 8, or leave'
NAME = r'must be letters, digits, "_" and "-", the first a letter or a digit; rename it'
COUNT = r'must be a whole number from 1; give records such as 1000'
TWICE = r'whose copies would make evaluation wrong; leave it out, or pass allow_evaluation_splits='
PAIRS = r"must hold pairs of splits; give for example \[\('eval', 'train'\)\]"
SPLITTER = [
  ({'splits': {'train': 0, 'test': 1}}, f'weight 0 {WEIGHT}'),
  ({'splits': {'train': float('nan')}}, f'weight nan {WEIGHT}'),
  ({'splits': {'train': True}}, f'weight True {WEIGHT}'),
  ({'splits': {'train': '8'}}, f"weight '8' {WEIGHT}"),
  ({'splits': {'train': None}}, f'weight None {WEIGHT}'),
  ({'splits': '{"train": NaN}'}, f'weight nan {WEIGHT}'),
  ({'splits': {'a/b': 1}}, f"split name 'a/b' {NAME}"),
  ({'counts': {'a b': 1}}, f"split name 'a b' {NAME}"),
  ({'splits': {'a' * 300: 1}}, 'has 300 characters, .*; shorten it'),
  ({'split_by': 'set', 'split_values': {'x': 'a' * 300}}, 'has 300 characters, .*; shorten it'),
  ({'splits': '{"train": 8, "train": 1}'}, "'train' is there twice .*name it once"),
  ({'counts': '{"test": 8, "test": 1}'}, "'test' is there twice .*name it once"),
  ({'splits': {}}, r'splits=\{\} names no split; give each split a weight'),
  ({'splits': 'train'}, "splits='train' is not valid JSON .*give it as in"),
  ({'splits': '["train"]'}, r"splits=\['train'\] has the wrong type; give"),
  (
    {'splits': {'train': 8, 'test': 1}, 'counts': {'test': 5}},
    "split 'test' is in splits= and in counts=; name it in one of them",
  ),
  ({'counts': {'test': 0}}, f'=0 {COUNT}'),
  ({'counts': {'test': 1.5}}, f'=1.5 {COUNT}'),
  ({'rest': 'train'}, "rest='train' takes what counts= leaves, .*; give counts="),
  (
    {'rest': 'test', 'counts': {'test': 5}},
    "split 'test' is in counts= and is rest=; name it in one of them",
  ),
  (
    {'rest': 'train', 'counts': {'test': 5}, 'splits': {'train': 1, 'eval': 1}},
    "rest='train' takes all that counts= leaves, .*; drop splits= or rest=",
  ),
  ({'rest': 'a b', 'counts': {'test': 5}}, f"split name 'a b' {NAME}"),
  ({'stratify_by': []}, r'stratify_by=\[\] names nothing; give at least one name'),
  ({'stratify_by': ''}, r"stratify_by=(''|\[''\]) must hold names; '' is none"),
  ({'stratify_by': ['label', 1]}, 'stratify_by=.*must hold names; 1 is none'),
  ({'stratify_by': ['a', 'a']}, "stratify_by=.* names 'a' twice; name it once"),
  ({'input_splits': ['a', 'b', 'a']}, "input_splits=.* names 'a' twice; name it once"),
  ({'seed': '1'}, "seed='1' must be a whole number; give one such as 0"),
  ({'missing_label': 'ignore'}, r"'ignore' is not one of \['error', 'own', 'drop'\]"),
  ({'output_files': {'tset': 2}}, r"names split 'tset', which is not in \['train', 'eval', 'test'"),
  ({'output_files': 0}, r'output_files\[.*\]=0 must be a whole number from 1 to 99999'),
  ({'output_files': {'train': 1.5}}, r"output_files\['train'\]=1.5 must be a whole number from 1"),
  ({'output_files': 100_000}, '=100000 must be a whole number from 1'),
  ({'missing_group': 'own'}, 'missing_group=.own. is of group_by='),
  ({'group_by': 'p', 'missing_group': 'skip'}, "missing_group='skip' is not one of"),
  ({'embargo': 5}, r'embargo=5 is of splits in the order of time; give the times with order_by='),
  ({'embargo_records': 5}, r'embargo_records=5 is of splits in the order'),
  ({'within': 'strata'}, r"within='strata' is of splits in the order of time"),
  ({'order_by': 't', 'within': 'class'}, r"within='class' is not one of \['all', 'strata'\]"),
  ({'order_by': 't', 'embargo': -1}, r'embargo=-1 must be a finite number from 0'),
  ({'order_by': 't', 'embargo_records': 1.5}, r'embargo_records=1.5 must be a whole number'),
  ({'mode': 'steady'}, r"mode='steady' is not one of \['exact', 'stable'\]"),
]
AUGMENTER = [
  ({'sampling_strategy': 'none'}, "sampling_strategy='none' is not one of"),
  ({'sampling_strategy': 1.5}, 'must be a ratio above 0 and at most 1'),
  ({'sampling_strategy': '1.5'}, 'must be a ratio above 0 and at most 1'),
  ({'sampling_strategy': 'power:2'}, "'power:2' must have a q from 0"),
  ({'sampling_strategy': 'majority'}, 'pass undersample=True'),
  ({'sampling_strategy': 'minority', 'undersample': True}, 'drop undersample=True'),
  ({'sampling_strategy': {'a': 0}}, r"sampling_strategy\['a'\]=0 must be a whole"),
  ({'sampling_strategy': {'a': '5'}}, "='5' must be a whole number"),
  ({'sampling_strategy': {1: 5, '1': 6}}, "'1' is there twice .*; name it once"),
  ({'sampling_strategy': '{"a": '}, 'is not valid JSON'),
  ({'factors': {'a': 0}}, r"factors\['a'\]=0 must be a whole number"),
  ({'factors': 'a'}, "factors='a' is not valid JSON"),
  ({'factors': '[2]'}, r'factors=\[2\] has the wrong type'),
  ({'factors': {'a': 2}, 'sampling_strategy': 'all'}, 'both say how many'),
  ({'max_copies': 1.5}, 'max_copies=1.5 must be a whole number from 1'),
  ({'undersample': 2}, 'undersample=2 must be True or False'),
  ({'provenance': 'yes'}, "provenance='yes' must be True or False"),
  ({'allow_evaluation_splits': 3}, 'allow_evaluation_splits=3 must be True or'),
  ({'splits': ['train', 'eval']}, f"has 'eval', {TWICE}"),
  ({'splits': 'test'}, f"has 'test', {TWICE}"),
  ({'splits': 'validation'}, f"has 'validation', {TWICE}"),
  (
    {'augmented_split': 'more', 'undersample': True},
    "augmented_split='more' leaves the originals as they are, .* drop one of them",
  ),
  (
    {'augmented_split': 'more', 'splits': ['train', 'a']},
    r"augmented_split='more' takes the copies of one split, splits=\['train', 'a'\] are several",
  ),
  ({'augmented_split': 'train'}, "augmented_split='train' is in splits="),
  ({'augmented_split': 'a b'}, f"split name 'a b' {NAME}"),
  ({'augmented_split': 'a' * 300}, 'has 300 characters, .*; shorten it'),
  (
    {'augment_timeout': 0},
    r'augment_timeout=0(\.0)? must be a finite number above 0; give seconds',
  ),
  ({'augment_timeout': 'a while'}, "augment_timeout='a while' must be a finite number"),
]
VALIDATOR = [
  ({'max_l_infinity': 1.1}, 'max_l_infinity=1.1 must be a number from 0 to 1'),
  ({'max_baseline_l_infinity': float('nan')}, 'must be a number from 0 to 1'),
  ({'max_l_infinity': 'low'}, "max_l_infinity='low' is not valid JSON"),
  ({'max_l_infinity': {'eval': 2}}, r"max_l_infinity\['eval'\]=2 must be"),
  ({'min_count': {'eval': True}}, r"min_count\['eval'\]=True must be a whole number"),
  ({'min_count': -1}, 'min_count=-1 must be a whole number from 0;'),
  ({'max_imbalance_ratio': 0.5}, 'max_imbalance_ratio=0.5 must be a finite number from 1;'),
  ({'max_share_ratio': {'eval': 0.5}}, r"\['eval'\]=0.5 must be a finite number from 1;"),
  ({'max_missing': {'a': '1'}}, r"max_missing\['a'\]='1' must be a number"),
  ({'max_missing': '[1]'}, r'max_missing=\[1\] has the wrong type'),
  ({'min_count': '{"a": 1, "a": 2}'}, "'a' is there twice"),
  ({'expected_shares': {'a': 2}}, r"expected_shares\['a'\]=2 must be a number"),
  ({'expected_shares': {'a': 1, 'b': {'a': 1}}}, 'has shares and mapp'),
  ({'share_tolerance': 2}, 'share_tolerance=2 must be a number from 0 to 1'),
  ({'missing_classes': 'no'}, "missing_classes='no' is not one of"),
  ({'compare': ['eval']}, PAIRS),
  ({'compare': [['a', 'b', 'c']]}, PAIRS),
  ({'leakage_pairs': [('a', 'a')], 'check_leakage': 'x'}, 'two different splits'),
  ({'leakage_pairs': [('a', 'b')]}, "no effect; pass check_leakage='records'"),
  ({'identity': 'values'}, "check_leakage=None; pass check_leakage='records'"),
  ({'identity': 'x'}, "identity='x' is not one of"),
  ({'exclude_splits': ['a', 'a']}, "names 'a' twice"),
  ({'on_violation': 'stop'}, r"on_violation='stop' is not one of \['fail', 'warn'"),
  ({'recount': 3}, 'recount=3 must be True or False'),
]
INPUT_GEN = [
  ({'train_splits': '["a", "a"]'}, "names 'a' twice; name it once"),
  ({'train_splits': '["a", ""]'}, "must hold names; '' is none"),
]
SEEDED = [
  ({'seed': 1.5}, r'seed=1\.5 must be a whole number'),
  ({'seed': True}, 'seed=True must be a whole number'),
  ({'max_record_bytes': 0}, 'max_record_bytes=0 must be a whole number from 1 to 2147483647'),
]
LABELLED = [
  ({'label': ''}, "label='' must be the name of the feature that holds the class"),
  ({'missing_label': 'ignore'}, "missing_label='ignore' is not one of"),
]
FAULTS = [
  *((StratifiedSplitter, *row) for row in SPLITTER + SEEDED),
  *((BalancedAugmenter, *row) for row in AUGMENTER + SEEDED + LABELLED),
  *((BalancedInputGen, *row) for row in INPUT_GEN + SEEDED + LABELLED),
  *((ClassDistributionValidator, *row) for row in VALIDATOR + LABELLED[:1]),
]
EACH_FAULT = pytest.mark.parametrize(
  ('component', 'arguments', 'fault'),
  FAULTS,
  ids=[f'{component.__name__}, {arguments}'[:80] for component, arguments, _ in FAULTS],
)
EACH = pytest.mark.parametrize('component', DECLARED, ids=lambda component: component.__name__)


@EACH_FAULT
def test_an_argument_that_breaks_a_rule_is_refused_at_construction(component, arguments, fault):
  with pytest.raises(ConfigError, match=fault):
    properties(component, **arguments)


@EACH_FAULT
def test_the_executor_checks_again_what_came_as_a_runtime_parameter(component, arguments, fault):
  module, parameters = DECLARED[component]
  given = {
    name: json.dumps(value)
    if isinstance(value, dict | list)
    or (module.ARGUMENTS[name].kind is str and not isinstance(value, str))
    else value
    for name, value in arguments.items()
  }
  with pytest.raises(ConfigError, match=fault):
    parameters.decode({**properties(component), **given})


@EACH
def test_the_constructor_takes_every_argument_with_its_declared_default(component):
  declared, parameters = DECLARED[component][0].ARGUMENTS, DECLARED[component][1]
  carried = properties(component)
  taken, plain = (vars(parameters.decode(each)) | {'shown': ''} for each in (carried, {}))
  assert taken == plain
  assert set(carried) >= {*declared, 'algorithm_version'}


@EACH
def test_any_argument_may_be_a_runtime_parameter_and_others_are_checked(component):
  declared = DECLARED[component][0].ARGUMENTS
  other = {'exclude_splits': ['a', 'a']} if 'seed' not in declared else {'seed': 1.5}
  for name in set(declared) & set(inspect.signature(component).parameters):
    kind = declared[name].kind
    later = tfx.dsl.experimental.RuntimeParameter(name=name, ptype=kind)
    assert properties(component, **{name: later})[name] is later
    if name not in other:
      with pytest.raises(ConfigError, match=f'{next(iter(other))}='):
        properties(component, **{name: later}, **other)


CHANGES = {
  StratifiedSplitter: [
    {'stratify_by': ['label', 'site']},
    {'splits': {'train': 0.9, 'eval': 0.1}},
    {'counts': {'test': 10}},
    {'counts': {'test': 10}, 'rest': 'train'},
    {'input_splits': ('a', 'b')},
    {'output_files': {'train': 2}},
  ],
  BalancedAugmenter: [
    {'label': 'species'},
    {'sampling_strategy': 'median'},
    {'sampling_strategy': 0.5},
    {'sampling_strategy': {'a': 9}},
    {'factors': {'a': 2}},
    {'augment_fn': f'{FUNCTIONS}.jitter'},
    {'augment_fn': ImageAugment()},
    {'augment_fn': ImageAugment(rotation=1)},
    {'augment_fn': SmoothedBootstrap()},
    {'augment_fn': Smote(['x'])},
    {'splits': ('train', 'more')},
    {'augmented_split': 'more'},
    {'max_copies': 2},
    {'undersample': True},
    {'provenance': True},
    {'augment_timeout': 1.5},
    {'allow_evaluation_splits': True},
  ],
  BalancedInputGen: [{'label': 'a'}, {'train_splits': ['a']}, {'max_record_bytes': 9}],
  ClassDistributionValidator: [
    {'max_l_infinity': np.float32(0.5)},
    {'min_count': {'eval': np.int64(3)}},
    {'expected_shares': {'train': {b'\xff': 0.5, 3: 0.5}}},
    {'compare': [('eval', 'train')]},
    {'exclude_splits': ('test',)},
    {'recount': True},
    {'check_leakage': 'records'},
  ],
}


@EACH
def test_what_changes_the_result_changes_the_key_of_the_cache_as_tfx_carries_it(component):
  seeded = [{'seed': 1}, {'missing_label': 'drop'}] * (component is not ClassDistributionValidator)
  found = [properties(component, **each) for each in [{}, *CHANGES[component], *seeded]]
  for each in found:
    assert {type(value) for value in each.values()} <= {str, int, float, type(None)}
    assert each['algorithm_version'] == DECLARED[component][0].ALGORITHM_VERSION
  keys = [json.dumps(each, sort_keys=True) for each in found]
  assert len(set(keys)) == len(keys)
  assert [properties(component, **each) for each in CHANGES[component]] == found[1:][
    : len(CHANGES[component])
  ]
