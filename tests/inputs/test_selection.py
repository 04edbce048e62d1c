"""Selectors choose as they say; Keras 3 and tf_keras train on what they choose."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs.selection import (
  ClassSelector,
  CurriculumSelector,
  PrioritySelector,
  SumTree,
  UniformSelector,
  prioritized_model,
  selection_dataset,
)


@given(
  st.lists(st.floats(0, 1e6), min_size=1, max_size=70),
  st.lists(st.tuples(st.integers(0, 69), st.floats(0, 1e6)), max_size=30),
)
def test_a_sum_tree_is_a_cumulative_sum(start, changes):
  tree, weights = SumTree(len(start)), np.array(start)
  tree.replace(weights)
  for item, weight in changes:
    weights[item % len(start)] = weight
    tree.update(np.array([item % len(start)]), np.array([weight]))
  assert np.array_equal(tree.weights(), weights)
  assert tree.total == pytest.approx(weights.sum())
  if weights.sum() > 1e-3:
    places = (np.arange(50) + 0.5) / 50 * tree.total
    found = tree.find(places)
    assert (weights[found] > 0).all()
    edges = np.concatenate([[0], weights.cumsum()])
    slack = 1e-9 * tree.total
    assert (edges[found] <= places + slack).all()
    assert (edges[found + 1] >= places - slack).all()


def test_of_an_item_named_twice_the_last_weight_stays():
  tree = SumTree(5)
  tree.update(np.array([3, 3, 0]), np.array([7.0, 2.0, 0.0]))
  assert tree.weights().tolist() == [0, 1, 1, 2, 1]
  assert tree.total == 5


@pytest.mark.parametrize(
  ('items', 'weights', 'message'),
  [
    ([5], [1.0], 'item 5 is not in 0 to 4'),
    ([1], [np.nan], 'weight nan of item 1 must be finite'),
    ([1], [-1.0], 'weight -1.0 of item 1'),
    ([1, 2], [1.0], 'one weight an item'),
  ],
)
def test_a_wrong_update_is_refused_and_changes_nothing(items, weights, message):
  tree = SumTree(5)
  with pytest.raises(ConfigError, match=message):
    tree.update(np.array(items), np.array(weights))
  assert tree.weights().tolist() == [1] * 5


def test_uniform_selection_is_whole_passes():
  selector = UniformSelector(10)
  items = np.concatenate([selector.select(step, 4).items for step in range(5)])
  assert sorted(items[:10]) == sorted(items[10:]) == list(range(10))
  assert items[:10].tolist() != items[10:].tolist()


def test_class_selection_has_the_probabilities_asked_for():
  labels = np.repeat(['a', 'b'], [95, 5])
  for ratios, share in ((None, 0.5), ({'a': 1, 'b': 3}, 0.75)):
    selector = ClassSelector(labels, ratios)
    items = np.concatenate([selector.select(step, 100).items for step in range(100)])
    assert abs((items >= 95).mean() - share) < 0.03
    assert set(items) == set(range(100))


def test_priority_selection_is_proportional_and_its_weights_undo_that():
  selector = PrioritySelector(4, alpha=1.0, beta=1.0, epsilon=0.0)
  selector.update(np.arange(4), [1, 2, 3, 4])
  chosen = [selector.select(step, 50) for step in range(200)]
  counts = np.bincount(np.concatenate([c.items for c in chosen]), minlength=4)
  assert np.abs(counts / counts.sum() - [0.1, 0.2, 0.3, 0.4]).max() < 0.005
  means = np.zeros(4)
  for c in chosen:
    np.add.at(means, c.items, c.weights)
  assert np.abs(means / means.sum() - 0.25).max() < 0.01  # every item counts alike


def test_curriculum_starts_easy_and_ends_with_all():
  selector = CurriculumSelector(np.arange(100)[::-1], steps=10, start=0.1)
  assert selector.select(0, 200).items.min() >= 90
  assert len(set(selector.select(10, 5000).items)) == 100


def test_a_million_items_are_drawn_by_priority():
  n = 1_000_000
  selector = PrioritySelector(n, alpha=1.0, epsilon=0.0)
  selector.restore(np.arange(n, dtype=np.float64))
  items = np.concatenate([selector.select(step, 256).items for step in range(200)])
  deciles = np.bincount(items * 10 // n, minlength=10) / len(items)
  assert np.abs(deciles - (2 * np.arange(10) + 1) / 100).max() < 0.005


def keras_of(name):
  return pytest.importorskip(name)


@pytest.mark.parametrize('name', ['keras', 'tf_keras'])
def test_fit_takes_it_and_priorities_follow_the_losses(name):
  keras = keras_of(name)
  rng = np.random.default_rng(0)
  labels = np.repeat([0, 1], [90, 10])
  features = (rng.normal(size=(100, 2)) + 3 * labels[:, None]).astype('float32')
  selector = PrioritySelector(100, beta=lambda step: min(1.0, 0.4 + step / 100))
  dataset = selection_dataset(features, labels, selector, 20, with_items=True, keras=name)
  inner = keras.Sequential([keras.layers.Dense(2, activation='softmax')])
  inner.build((None, 2))
  model = prioritized_model(inner, selector, keras.losses.sparse_categorical_crossentropy)
  model.compile(optimizer='adam')
  before = inner.get_weights()[0].copy()
  history = model.fit(dataset, epochs=4, verbose=0)
  assert len(history.history['loss']) == 4
  assert not np.array_equal(inner.get_weights()[0], before)
  assert (selector.priorities() != 1).sum() > 50
  assert inner.predict(features, verbose=0).shape == (100, 2)


@pytest.mark.parametrize(
  ('name', 'built'), [('keras', True), ('keras', False), ('tf_keras', False)]
)
def test_the_loss_of_fit_and_of_validation_is_that_of_the_items(name, built):
  keras = keras_of(name)
  labels, features = np.zeros(30, int), np.ones((30, 2), 'float32')  # of one loss, all of them
  selector = PrioritySelector(30, beta=0.0)
  dataset = selection_dataset(features, labels, selector, 10, with_items=True, keras=name)
  inner = keras.Sequential([keras.layers.Dense(2, 'softmax', kernel_regularizer='l2')])
  if built:
    inner.build((None, 2))
  item_loss = keras.losses.sparse_categorical_crossentropy
  model = prioritized_model(inner, selector, item_loss)
  model.compile(keras.optimizers.SGD(0.0), metrics=['accuracy'])
  history = model.fit(dataset, epochs=2, verbose=0, validation_data=(features, labels)).history
  probabilities = inner.predict(features, verbose=0)
  expected = -np.log(probabilities[0, 0]) + 0.01 * np.square(inner.get_weights()[0]).sum()
  assert [*history['loss'], *history['val_loss']] == pytest.approx([expected] * 4)
  right = float(probabilities[0].argmax() == 0)
  assert history['accuracy'] == history['val_accuracy'] == [right] * 2
  evaluated = model.evaluate(features, labels, verbose=0, return_dict=True)
  assert evaluated == pytest.approx({'loss': expected, 'accuracy': right})
  assert np.allclose(model.predict(features, verbose=0), probabilities)


def test_a_custom_loop_chooses_and_updates():
  selector = PrioritySelector(10)
  dataset = selection_dataset(np.arange(10), np.arange(10), selector, 5, with_items=True)
  for step in range(3):
    (x, items), y, weights = dataset[step]
    assert np.array_equal(x, items)
    assert np.array_equal(y, items)
    assert weights.max() == 1
    selector.update(items, np.ones(5))
  saved = selector.priorities()
  other = PrioritySelector(10)
  other.restore(saved)
  assert np.array_equal(other.select(9, 5).items, selector.select(9, 5).items)


@pytest.mark.parametrize(
  ('make', 'error', 'message'),
  [
    (lambda: SumTree(0), ConfigError, 'n_items=0'),
    (lambda: PrioritySelector(3, alpha=-1), ConfigError, 'alpha=-1'),
    (lambda: PrioritySelector(3, beta=2), ConfigError, 'beta=2 must be a number from 0 to 1'),
    (lambda: CurriculumSelector([1, 2], steps=0), ConfigError, 'steps=0'),
    (lambda: ClassSelector([0, 1], {0: 1, 5: 1}), ConfigError, '5 is not a class'),
    (
      lambda: selection_dataset(np.zeros(3), np.zeros(4), UniformSelector(4), 2),
      DataError,
      'a feature has 3 rows',
    ),
    (
      lambda: selection_dataset(np.zeros(4), np.zeros(4), UniformSelector(4), 0),
      ConfigError,
      'batch_size=0',
    ),
    (
      lambda: selection_dataset(np.zeros(4), np.zeros(4), UniformSelector(4), 2, keras='jax'),
      ConfigError,
      "keras='jax' is not one of",
    ),
    (
      lambda: prioritized_model(object(), PrioritySelector(2), None),
      ConfigError,
      'neither a keras',
    ),
  ],
)
def test_what_breaks_a_rule_is_refused(make, error, message):
  with pytest.raises(error, match=message):
    make()


@pytest.mark.parametrize(
  ('chosen', 'message'),
  [
    ([0, 4], r'select\(\) returns \[0, 4\], which must be an array of integers from 0 to 3'),
    ([-1, 0], 'an array of integers from 0 to 3'),
    ([0.5, 1.0], 'an array of integers from 0 to 3'),
    ([True, False], 'an array of integers from 0 to 3'),
    (None, r'select\(\) returns None'),
  ],
)
def test_what_a_custom_selector_returns_is_checked(chosen, message):
  class Custom:
    def select(self, step, batch_size):
      return chosen

  with pytest.raises(ConfigError, match=message):
    selection_dataset(np.zeros(4), np.zeros(4), Custom(), 2)[0]


def test_a_custom_selector_may_give_weights():
  class Custom:
    def select(self, step, batch_size):
      return np.arange(batch_size) + step, np.full(batch_size, 0.5)

  x, y, weights = selection_dataset(np.arange(4), np.arange(4), Custom(), 2)[1]
  assert (x.tolist(), y.tolist(), weights.tolist()) == ([1, 2], [1, 2], [0.5, 0.5])


def test_priorities_that_are_all_0_are_refused():
  selector = PrioritySelector(3, epsilon=0)
  selector.update([0, 1], [0, 0])
  assert np.isfinite(selector.select(0, 6).weights).all()
  selector.update([2], [0])
  with pytest.raises(ConfigError, match=r'of all 3 items are 0, .* give epsilon= above 0'):
    selector.select(0, 6)
