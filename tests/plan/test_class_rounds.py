"""Classes come in rounds, each class once a round, and no class twice in a batch."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.plan.batch_draws import BatchDraws
from tfx_balance.plan.class_rounds import distinct_draws, next_rounds
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.epochs import epoch_steps
from tfx_balance.plan.record_order import RecordOrder
from tfx_balance.plan.sampling import Sampling, TrainingCounts


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.data())
def test_every_class_comes_once_before_any_comes_twice(n_classes, data):
  n_chosen = data.draw(st.integers(1, n_classes))
  chosen, _ = next_rounds(np.zeros(n_classes, np.int64), n_chosen, np.arange(60), seed=n_classes)
  assert all(len(set(row)) == n_chosen for row in chosen.tolist())
  totals = np.array([np.bincount(row, minlength=n_classes) for row in chosen]).cumsum(axis=0)
  assert (totals.max(axis=1) - totals.min(axis=1) <= 1).all()


def test_the_state_is_all_that_the_next_batches_need():
  served = np.zeros(7, np.int64)
  whole, _ = next_rounds(served, 3, np.arange(20), seed=1)
  parts = []
  for steps in np.split(np.arange(20), [1, 6, 13]):
    part, served = next_rounds(served, 3, steps, seed=1)
    parts.append(part)
  np.testing.assert_array_equal(np.concatenate(parts), whole)
  assert not np.array_equal(whole, next_rounds(np.zeros(7, np.int64), 3, np.arange(20), seed=2)[0])


def test_the_classes_that_share_a_batch_change():
  chosen, _ = next_rounds(np.zeros(8, np.int64), 4, np.arange(40), seed=3)
  assert len({tuple(sorted(row)) for row in chosen.tolist()}) > 20


@given(st.integers(1, 30), st.integers(1, 8))
def test_records_of_a_group_differ_where_there_are_enough(records, n_together):
  n = 12 * n_together
  draws, passes = distinct_draws(np.arange(n), np.full(n, records), n_together)
  of_record = RecordOrder(((records,),), seed=9).record(np.zeros(n, np.int64), draws)
  groups = of_record.reshape(-1, n_together)
  if records >= n_together:
    assert all(len(set(row)) == n_together for row in groups.tolist())
  first = of_record[: passes[0]]
  assert len(set(first.tolist())) == len(first)


@pytest.mark.parametrize(('classes', 'records'), [(2, 3), (3, 4), (4, 1), (1, 7)])
def test_an_epoch_draws_a_class_as_often_as_it_has_records(classes, records):
  sizes = (60, 20, 7, 1)
  counts = TrainingCounts(tuple(ClassValue('int', i) for i in range(4)), sizes)
  sampling = Sampling('classes_per_batch', classes=classes, records=records)
  for word, named in (('largest', 0), ('smallest', 3)):
    steps = epoch_steps(sampling, counts, None, word)
    draws = BatchDraws(
      RecordOrder(tuple((n,) for n in sizes), seed=0),
      sampling.strategy,
      sampling.weights(counts),
      classes * records,
      steps,
      records,
    )
    drawn = np.bincount(draws.next(draws.start(), steps)[0].classes.reshape(-1), minlength=4)
    assert drawn[named] >= sizes[named]
    # A round more or less, and what the last group has too much.
    assert drawn[named] < sizes[named] + 2 * records
