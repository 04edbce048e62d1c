"""What BalancedAugmenter makes of artifacts, one run of its executor each."""

import json
from collections import Counter
from pathlib import Path

import pytest
from tfx.types import artifact_utils
from tfx_balance import BalancedAugmenter
from tfx_balance.augment import ImageAugment, SmoothedBootstrap, Smote
from tfx_balance.balanced_augmenter.copies import PROVENANCE
from tfx_balance.errors import ConfigError, DataError

from tests.balanced_augmenter import functions
from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  class_counts,
  expected_targets,
  tabular,
)
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  example,
  in_shards,
  read_splits,
  sequence_example,
  value_of,
)
from tests.helpers_pipeline import in_new_folders, input_artifact

FUNCTIONS = 'tests.balanced_augmenter.functions'
RECORDS = tabular({'a': 30, 'b': 11, 'c': 2})
TARGETS = {b'a': 30, b'b': 30, b'c': 30}
OTHERS = {'eval': [[b'no example at all'], [b'', b'x' * 99]], 'serving': [[]]}


@pytest.fixture
def augment(tmp_path):
  """Returns a function that balances artifacts, or split name to shards, into a new folder."""
  return in_new_folders(BalancedAugmenter, tmp_path)


def names_of(artifact):
  return artifact_utils.decode_split_names(artifact.split_names)


def copies_of(records):
  """Returns the records that have the provenance of a copy."""
  return [record for record in records if value_of(record, PROVENANCE[2]) is not None]


def test_copies_alone_go_to_a_split_of_their_own(augment, tmp_path):
  out = augment(
    {'train': in_shards(RECORDS, 3), **OTHERS},
    augmented_split='train_augmented',
    augment_fn=f'{FUNCTIONS}.jitter',
    name='out',
  )
  assert sorted(names_of(out)) == ['eval', 'serving', 'train', 'train_augmented']
  for name in ('train', *OTHERS):
    before = all_bytes(tmp_path / 'out-in0' / f'Split-{name}')
    assert all_bytes(Path(out.uri) / f'Split-{name}') == before
  splits = read_splits(out.uri)
  assert class_counts(splits['train_augmented']) == {b'b': 19, b'c': 28}
  assert not set(splits['train_augmented']) & set(RECORDS)
  sidecar = assert_balance_sidecar(
    out.uri, {'train': RECORDS}, {'train': TARGETS}, 'train_augmented'
  )
  assert sidecar['passed_through'] == ['eval', 'serving', 'train']
  assert sidecar['parameters']['augmented_split'] == 'train_augmented'
  assert json.dumps(sidecar, allow_nan=False)


def test_copies_alone_are_those_that_would_have_joined_their_split(augment):
  arguments = {'augment_fn': f'{FUNCTIONS}.jitter', 'provenance': True, 'seed': 4}
  joined = augment({'train': in_shards(RECORDS, 2)}, **arguments)
  apart = augment({'train': in_shards(RECORDS, 2)}, augmented_split='more', **arguments)
  found = read_splits(apart.uri)
  assert Counter(read_splits(joined.uri)['train']) == Counter(found['train'] + found['more'])
  assert len(copies_of(found['more'])) == len(found['more']) == 47
  assert copies_of(found['train']) == []


def test_provenance_is_off_by_default(augment):
  splits = read_splits(augment({'train': [RECORDS]}, augment_fn=f'{FUNCTIONS}.same').uri)
  assert copies_of(splits['train']) == []


def test_eval_is_balanced_when_asked_for_twice(augment):
  more = tabular({'a': 2, 'z': 5}, start=100)
  out = augment(
    {'train': [RECORDS], 'eval': [more], 'test': [[b'as it is']]},
    splits=['train', 'eval'],
    allow_evaluation_splits=True,
  )
  splits = read_splits(out.uri)
  assert_balanced(RECORDS, splits['train'], TARGETS)
  assert_balanced(more, splits['eval'], {b'a': 5, b'z': 5})
  assert splits['test'] == [b'as it is']
  targets = {'train': TARGETS, 'eval': {b'a': 5, b'z': 5}}
  assert_balance_sidecar(out.uri, {'train': RECORDS, 'eval': more}, targets)


def test_max_copies_says_which_classes_it_held_back(augment):
  out = augment({'train': [RECORDS]}, max_copies=4)
  targets = expected_targets(class_counts(RECORDS), max_copies=4)
  assert targets == {b'a': 30, b'b': 30, b'c': 8}
  sidecar = assert_balance_sidecar(out.uri, {'train': RECORDS}, {'train': targets})
  assert sidecar['warnings'] == [
    "class c of split 'train' has 8 records: max_copies=4 keeps it below its target"
  ]


def test_a_run_whose_first_attempt_failed_gives_the_same_bytes(augment, tmp_path, monkeypatch):
  marker = tmp_path / 'marker'
  monkeypatch.setenv(functions.MARKER, str(marker))
  shards = {'train': in_shards(RECORDS, 3), **OTHERS}
  with pytest.raises(Exception, match='the first attempt is lost'):
    augment(shards, augment_fn=f'{FUNCTIONS}.fails_once', name='out')
  assert marker.exists()
  assert all_bytes(tmp_path / 'out') == {}
  again = augment(shards, augment_fn=f'{FUNCTIONS}.fails_once', name='out')
  fresh = augment(shards, augment_fn=f'{FUNCTIONS}.jitter')
  splits = [{k: v for k, v in all_bytes(o.uri).items() if 'Split' in k} for o in (again, fresh)]
  assert splits[0] == splits[1]


@pytest.mark.parametrize(
  ('name', 'fault'),
  [('raises', 'raised RuntimeError: no idea'), ('gives_nan', "gave NaN in feature 'x'")],
)
def test_a_function_that_breaks_a_rule_stops_the_run(augment, tmp_path, name, fault):
  records = tabular({'b': 9, 'a': 3}, start=-5)  # of which the last three are copied
  records[-1] = example(label='a', id=7, x=[1.0, 2.0, 3.0])
  pattern = (
    rf'functions\.{name} .*{fault}.*'
    r'it was given copy [1-3] of record (9|10|11) of .*data_tfrecord-00000-of-00001.*, of class a'
  )
  with pytest.raises(DataError, match=pattern):
    augment({'train': [records], **OTHERS}, augment_fn=f'{FUNCTIONS}.{name}', name='out')
  assert all_bytes(tmp_path / 'out') == {}


ASKED = {
  'unknown class': (
    {'sampling_strategy': {'d': 50}},
    ConfigError,
    "'d' is not a class; the classes are: a, b, c",
  ),
  'below the count': (
    {'sampling_strategy': {'a': 29}},
    ConfigError,
    'class a has 30 records and a target of 29; pass undersample=True, or a target of 30 or more',
  ),
  'unknown split': (
    {'splits': 'tarin'},
    ConfigError,
    r"split 'tarin' is not in \['eval', 'serving', 'train'\]; pass one of these in splits=",
  ),
  'split of copies is there': (
    {'augmented_split': 'serving'},
    ConfigError,
    "augmented_split='serving' is a split of the input already; give the new one another name",
  ),
  'no such label': ({'label': 'lable'}, DataError, "'lable'.*label"),
  'no such function': (
    {'augment_fn': f'{FUNCTIONS}.jiter'},
    ConfigError,
    r"has no 'jiter'; it has \['jitter'\]",
  ),
  'no such feature': ({'augment_fn': ImageAugment()}, DataError, "feature 'image' is not in"),
  'no feature of a pool': (
    {'augment_fn': Smote(['y'])},
    ConfigError,
    r"Smote.*: feature 'y' is not in \['id', 'label', 'x'\]",
  ),
}


@pytest.mark.parametrize(('arguments', 'kind', 'fault'), ASKED.values(), ids=ASKED)
def test_what_does_not_fit_the_data_is_refused(augment, tmp_path, arguments, kind, fault):
  with pytest.raises((kind, ConfigError), match=fault):
    augment({'train': [RECORDS], **OTHERS}, name='out', **arguments)
  assert all_bytes(tmp_path / 'out') == {}


def test_sequence_examples_are_copied_but_not_augmented(augment, tmp_path):
  records = [sequence_example(steps=1 + i % 3, label='aab'[i % 3], id=i) for i in range(9)]
  artifact = input_artifact(
    tmp_path / 'in', {'train': [records]}, custom={'payload_format': 'FORMAT_TF_SEQUENCE_EXAMPLE'}
  )
  out = augment(artifact)
  assert Counter(read_splits(out.uri)['train']) == Counter(records + records[2::3])
  assert out.get_string_custom_property('payload_format') == 'FORMAT_TF_SEQUENCE_EXAMPLE'
  with pytest.raises(ConfigError, match=r'works on FORMAT_TF_EXAMPLE, the input is .*SEQUENCE'):
    augment(artifact, augment_fn=f'{FUNCTIONS}.same', name='out')
  assert all_bytes(tmp_path / 'out') == {}


@pytest.mark.parametrize(
  ('missing', 'targets'),
  [
    ('drop', TARGETS),
    ('own', {**TARGETS, None: 4}),
    ('own_class', {**TARGETS, None: 30}),
  ],
  ids=['drop', 'own', 'own_class'],
)
def test_records_without_a_class(augment, missing, targets):
  records = [*RECORDS, *(example(id=100 + i, x=[0.0] * 3) for i in range(4))]
  out = augment({'train': [records]}, missing_label=missing, augment_fn=f'{FUNCTIONS}.same')
  assert class_counts(read_splits(out.uri)['train']) == targets
  sidecar = read_sidecar(out.uri)
  described = sidecar['splits']['train']
  assert (described['records'], described['imbalance_ratio']) == (sum(targets.values()), 1.0)
  source = sidecar['input']['train']
  assert (source['records'], source['dropped']) == (47, 4 if missing == 'drop' else 0)


def test_a_sidecar_counts_what_the_files_of_the_originals_hold(augment):
  # Originals stay as they are, those without a class as well.
  records = [*RECORDS, example(id=100, x=[0.0] * 3)]
  out = augment({'train': [records]}, missing_label='drop', augmented_split='more')
  splits, sidecar = read_splits(out.uri), read_sidecar(out.uri)
  assert splits['train'] == records
  assert {name: described['records'] for name, described in sidecar['splits'].items()} == {
    name: len(records) for name, records in splits.items()
  }


def test_a_copy_of_a_record_without_a_value_has_none_either(augment):
  records = [example(label='a', note='n'), example(label='a', note='m'), example(label='b')]
  out = augment({'train': [records]}, augment_fn=f'{FUNCTIONS}.same', augmented_split='more')
  (copy,) = read_splits(out.uri)['more']
  assert copy == records[2]


@pytest.mark.parametrize(
  'ready',
  [Smote(['x'], k=3), SmoothedBootstrap(['x'])],
  ids=['Smote', 'SmoothedBootstrap'],
)
def test_functions_with_a_pool(augment, ready):
  out = augment({'train': in_shards(RECORDS, 1)}, augment_fn=ready, provenance=True)
  found = read_splits(out.uri)['train']
  assert_balanced(RECORDS, found, TARGETS, plain=False)
  points = {}
  for record in RECORDS:
    points.setdefault(value_of(record), []).append(value_of(record, 'x')[0])
  for record in copies_of(found):
    x, value = value_of(record, 'x'), value_of(record)
    original = RECORDS[value_of(record, PROVENANCE[1])]
    assert value_of(record, 'id') == value_of(original, 'id')
    assert value_of(original) == value
    assert x != value_of(original, 'x')
    if isinstance(ready, Smote):  # on the way to a neighbour, of the class
      assert min(points[value]) <= x[0] <= max(points[value])
      assert abs(x[0] - value_of(original, 'x')[0]) <= 3
      assert abs(x[0] + x[1] - 0.25) < 1e-5


def test_pools_are_in_the_sidecar_and_small_ones_in_a_warning(augment):
  ready = Smote(['x'], max_pool_bytes=5 * 28)  # of 16 bytes and three floats each
  records = tabular({'a': 30, 'b': 11, 'c': 1})
  out = augment({'train': in_shards(records, 6)}, augment_fn=ready)
  sidecar = read_sidecar(out.uri)
  cells = {row['name']: row['splits']['train'] for row in sidecar['strata']}
  assert {name: cell.get('pool') for name, cell in cells.items()} == {'a': None, 'b': 4, 'c': 1}
  name = "Smote(features=('x',), max_pool_bytes=140)"
  assert sidecar['warnings'] == [
    f"max_pool_bytes=140 of {name} makes pools smaller, in records: b of 'train': 4 of 11; "
    f'raise it, or name fewer features',
    f"{name} has no other record of a class of one, whose copies are duplicates: c of 'train'",
  ]
  others = augment({'train': in_shards(records[::-1], 1)}, augment_fn=ready)
  assert Counter(read_splits(out.uri)['train']) == Counter(read_splits(others.uri)['train'])


def test_a_ready_function_of_images(augment):
  records = [
    example(label='aab'[i % 3], image=[float((i + p) % 16) for p in range(64)]) for i in range(30)
  ]
  ready = ImageAugment(rotation=20, shape=(8, 8, 1), value_range=(0.0, 16.0))
  out = augment({'train': in_shards(records, 2)}, augment_fn=ready)
  found = read_splits(out.uri)['train']
  assert_balanced(records, found, {b'a': 20, b'b': 20}, plain=False)
  made = [record for record in found if record not in set(records)]
  assert len(made) == 10
  for record in made:
    image = value_of(record, 'image')
    assert len(image) == 64
    assert all(0 <= value <= 16 for value in image)
  assert read_sidecar(out.uri)['parameters']['augment_fn'].startswith('ImageAugment(')


def test_a_dotted_path_may_name_a_ready_function(augment):
  named = augment({'train': in_shards(RECORDS, 2)}, augment_fn=f'{FUNCTIONS}.smote')
  given = augment({'train': in_shards(RECORDS, 2)}, augment_fn=functions.smote)
  assert read_splits(named.uri) == read_splits(given.uri)


def test_features_of_varying_length_may_change_it(augment):
  tags = ['p', 'q', 'r', 's', 't']
  records = [
    example(label='aaab'[i % 4], id=i, tags=tags[: 1 + i % 5], more=[i] * (1 + i % 3))
    for i in range(80)
  ]
  out = augment({'train': [records]}, augment_fn=f'{FUNCTIONS}.loses_tags', augmented_split='more')
  copies = read_splits(out.uri)['more']
  assert class_counts(copies) == {b'b': 40}
  lengths = Counter()
  for record in copies:
    before = records[value_of(record, 'id')]
    assert value_of(record, 'more') == value_of(before, 'more')
    kept = value_of(record, 'tags') or []
    kept = kept if isinstance(kept, list) else [kept]
    assert kept == sorted(kept)
    assert set(kept) <= {tag.encode() for tag in tags}
    lengths[len(kept)] += 1
  assert len(lengths) > 3
