"""Every strategy on data that people know, without a runner: a tenth of a second each."""

import pytest
from tfx_balance.augment import ImageAugment, SmoothedBootstrap, Smote

from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  assert_balanced,
  balance,
  class_counts,
  expected_targets,
)
from tests.balanced_augmenter.helpers_data import digits, mnist, penguins
from tests.helpers_examples import in_shards

DATA = {
  'digits': (
    digits,
    'label',
    ImageAugment('pixels', rotation=9, shape=(8, 8, 1), value_range=(0, 16)),
  ),
  'mnist': (
    mnist,
    'image_class',
    ImageAugment(
      'image_floats', crop=0.1, brightness=0.1, shape=(28, 28, 1), value_range=(-0.5, 0.5)
    ),
  ),
  'penguins': (
    penguins,
    'species',
    Smote(['culmen_length_mm', 'culmen_depth_mm', 'flipper_length_mm', 'body_mass_g']),
  ),
}

WORDS = ('not majority', 'auto', 'all', 'minority', 'not minority', 'median', 'mean')
STRATEGIES = {
  **{word: {'sampling_strategy': word} for word in WORDS},
  **{f'power:{q}': {'sampling_strategy': f'power:{q}'} for q in (0, 0.5, 0.125, 1)},
  **{f'ratio {ratio}': {'sampling_strategy': ratio} for ratio in (0.29, 0.75, 1.0)},
  'max_copies': {'max_copies': 2},
  'max_copies and all': {'sampling_strategy': 'all', 'max_copies': 5},
  **{
    f'{word} down': {'sampling_strategy': word, 'undersample': True}
    for word in ('auto', 'all', 'majority', 'not majority', 'not minority', 'median', 'mean', 0.5)
  },
}


@pytest.fixture(scope='module', params=DATA)
def data(request):
  read, label, ready = DATA[request.param]
  return read(), label, ready


def assert_meets(folder, records, label, augment_fn, **arguments):
  """Balances records, and checks counts, originals and sidecar."""
  shards = in_shards(records, 3)
  out = balance(folder, {'train': shards}, augment_fn, label=label, seed=3, **arguments)
  targets = expected_targets(class_counts(records, label), **arguments)
  assert_balanced(records, out['train'], targets, label, plain=augment_fn is None)
  assert_balance_sidecar(folder / 'out', {'train': records}, {'train': targets}, label=label)


@pytest.mark.parametrize('strategy', STRATEGIES)
def test_every_strategy_meets_its_targets(tmp_path, data, strategy):
  records, label, _ = data
  assert_meets(tmp_path, records, label, None, **STRATEGIES[strategy])


def test_dicts_and_factors_meet_their_targets(tmp_path, data):
  records, label, _ = data
  counts = class_counts(records, label)
  most, least = max(counts, key=counts.get), min(counts, key=counts.get)
  for name, arguments in {
    'dict': {'sampling_strategy': {least: 500, most: counts[most]}},
    'both ways': {'sampling_strategy': {least: 77, most: 50}, 'undersample': True},
    'factors': {'factors': {least: 7, most: 2}},
    'capped': {'factors': {least: 7, most: 2}, 'max_copies': 3},
  }.items():
    assert_meets(tmp_path / name, records, label, None, **arguments)


@pytest.mark.parametrize('strategy', ['not majority', 'median down'])
def test_ready_functions_meet_the_targets(tmp_path, data, strategy):
  records, label, ready = data
  assert_meets(tmp_path, records, label, ready, **STRATEGIES[strategy])


def test_the_smoothed_bootstrap_meets_the_targets(tmp_path):
  assert_meets(tmp_path, penguins(), 'species', SmoothedBootstrap())
