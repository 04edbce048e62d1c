"""The state before a batch, found from counts, is the one that drawing all before it leads to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.plan.batch_draws import BatchDraws, state_at
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.label_sets import count_label_sets
from tfx_balance.plan.labels import LabelRows
from tfx_balance.plan.record_order import RecordOrder
from tfx_balance.plan.sampling import Sampling, TrainingCounts, deferred, progressive

SAMPLINGS = {
  'exact': Sampling(),
  'ratios': Sampling(ratios={0: 2, 1: 7, 2: 0, 3: 1}),
  'powers': Sampling(q=0.5),
  'progressive': Sampling(schedule=progressive(60, stages=7)),
  'deferred': Sampling(schedule=deferred(31)),
  'weighted': Sampling('weighted', q=0.5),
  'weighted, scheduled': Sampling('weighted', schedule=progressive(60)),
  'natural': Sampling('natural'),
}
SETS, _ = count_label_sets(
  LabelRows.of([[1, 0, 0]] * 60 + [[1, 1, 0]] * 20 + [[0, 1, 0]] * 7 + [[0, 1, 1]])
)
COUNTS = TrainingCounts(tuple(ClassValue('int', i) for i in range(4)), (60, 20, 7, 1))


def draws_of(sampling, batch_size, epoch_steps=9, counts=COUNTS):
  order = RecordOrder(tuple((n,) if n < 60 else (25, 35) for n in counts.records), seed=3)
  return BatchDraws(order, sampling.strategy, sampling.weights(counts), batch_size, epoch_steps)


def same(a, b):
  return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize('sampling', SAMPLINGS.values(), ids=SAMPLINGS)
@pytest.mark.parametrize('batch_size', [1, 240])
def test_each_state_is_the_one_that_drawing_leads_to(sampling, batch_size):
  draws = draws_of(sampling, batch_size)
  state = draws.start()
  for step in range(120):
    assert same(state_at(draws, step), state), step
    _, state = draws.next(state, 1)


def test_a_state_of_label_sets_is_the_one_that_drawing_leads_to():
  draws = draws_of(Sampling(), 24, counts=SETS)
  _, state = draws.next(draws.start(), 50)
  assert same(state_at(draws, 50), state)
  assert same(state_at(draws, 50, state_at(draws, 17)), state)


@settings(max_examples=60, deadline=None)
@given(
  st.sampled_from(sorted(SAMPLINGS)),
  st.integers(1, 50),
  st.integers(0, 300),
  st.integers(0, 300),
  st.integers(1, 100),
)
def test_a_state_follows_from_any_earlier_one(name, batch_size, earlier, steps, epoch_steps):
  draws = draws_of(SAMPLINGS[name], batch_size, epoch_steps)
  since = state_at(draws, earlier)
  assert same(state_at(draws, earlier + steps, since), state_at(draws, earlier + steps))


@pytest.mark.parametrize('sampling', SAMPLINGS.values(), ids=SAMPLINGS)
def test_batches_go_on_from_it(sampling):
  draws = draws_of(sampling, 24)
  whole, after = draws.next(draws.start(), 50)
  rest, end = draws.next(state_at(draws, 33), 17)
  assert all(np.array_equal(a[33:], b) for a, b in zip(whole, rest, strict=True))
  assert same(after, end)


@pytest.mark.parametrize('name', ['exact', 'ratios', 'natural'])
def test_a_late_state_is_found_without_replaying_the_run(name, monkeypatch):
  draws = draws_of(SAMPLINGS[name], 24)
  replayed = []
  for method in ('members', 'natural'):
    made = getattr(BatchDraws, method)

    def counted(self, *arguments, made=made):
      replayed.append(arguments[1] if len(arguments) > 1 else len(arguments[0]) // 24)
      return made(self, *arguments)

    monkeypatch.setattr(BatchDraws, method, counted)
  late = state_at(draws, 10**9)
  assert sum(replayed) <= 20
  assert late.drawn.sum() == 24 * 10**9
