"""A run goes on from any step, on any number of hosts, with the same global batches."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tfx_balance.augment import MixUp
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import AdjustableShares, BalancedInputs, progressive

from tests.inputs.helpers_inputs import SPEC, write_artifact

COUNTS = (60, 20, 7, 1)
LABELS = np.repeat(np.arange(4), COUNTS)
RATIOS = {0: 5, 1: 3, 2: 2, 3: 1}
ARGUMENTS = {
  'exact': {},
  'ratios': {'ratios': RATIOS},
  'scheduled': {'schedule': progressive(12, stages=5)},
  'weighted': {'strategy': 'weighted', 'q': 0.5},
  'natural': {'strategy': 'natural'},
  'classes': {'strategy': 'classes_per_batch', 'classes': 3, 'records': 8},
}


def noisy(features, seed):
  return {**features, 'x': tf.random.stateless_uniform([], seed)}


def arrays():
  features = {'id': np.arange(88), 'x': np.zeros(88, np.float32)}
  return BalancedInputs.from_arrays(features, LABELS)


def batches(n, made, **arguments):
  dataset = made.train(**arguments).take(n)
  return [(f['id'].numpy().tolist(), y.numpy().tolist(), f.get('x')) for f, y, *_ in dataset]


def equal(a, b):
  return len(a) == len(b) and all(
    x[:2] == y[:2] and (x[2] is None or np.array_equal(x[2], y[2]))
    for x, y in zip(a, b, strict=True)
  )


@pytest.fixture(scope='module')
def artifact(tmp_path_factory):
  root = tmp_path_factory.mktemp('inputs') / 'a'
  write_artifact(root, COUNTS, per_file=15, shared_below=10)
  return str(root)


@pytest.mark.parametrize(
  ('source', 'name'),
  [*(('arrays', name) for name in ARGUMENTS), ('held', 'exact'), ('streamed', 'ratios')],
)
def test_it_begins_at_any_step(artifact, source, name):
  arguments = {'batch_size': 24, 'seed': 3, **ARGUMENTS[name]}
  if source == 'arrays':
    made = arrays()
  else:
    made = BalancedInputs.load(artifact, SPEC, 1 << 30 if source == 'held' else 900)
  whole = batches(25, made, **arguments)
  for step in (1, 11, 24):
    assert equal(batches(25 - step, made, start_step=step, **arguments), whole[step:])


def test_repeats_are_augmented_as_they_would_have_been():
  arguments = {'batch_size': 24, 'augment_fn': noisy}  # with seeds
  whole = batches(25, arrays(), **arguments)
  assert equal(batches(5, arrays(), start_step=20, **arguments), whole[20:])
  assert np.any(whole[20][2])


def hosts(n, steps, start_step, state=None, make=arrays, **arguments):
  """Returns the global batches that n hosts give, put together."""
  parts = []
  for i in range(n):
    context = tf.distribute.InputContext(n, i, n)
    dataset = make().train(
      240, input_context=context, start_step=start_step, state=state, seed=3, **arguments
    )
    parts.append([(f['id'].numpy(), *rest) for f, *rest in dataset.take(steps)])
  steps = zip(*parts, strict=True)
  return [[np.concatenate(of) for of in zip(*step, strict=True)] for step in steps]


@pytest.mark.parametrize(('source', 'name'), [('arrays', 'scheduled'), ('streamed', 'ratios')])
def test_one_host_then_eight_then_three_give_the_same_global_batches(artifact, source, name):
  def make():
    return arrays() if source == 'arrays' else BalancedInputs.load(artifact, SPEC, 900)

  arguments = {**ARGUMENTS[name], 'make': make}
  whole = hosts(1, 9, 0, **arguments)
  state = make().batch_state(7, 240, seed=3, **ARGUMENTS[name])
  parts = hosts(1, 2, 0, **arguments) + hosts(8, 5, 2, **arguments)
  parts += hosts(3, 2, None, state, **arguments)
  for one, other in zip(whole, parts, strict=True):
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    if name == 'ratios':
      off = np.bincount(other[1], minlength=4) - 240 * np.array([5, 3, 2, 1]) / 11
      assert (np.abs(off) < 1).all()


@pytest.mark.parametrize(('n', 'batch_size'), [(7, 240), (16, 9)])
def test_replicas_that_do_not_divide_a_batch_get_padded_parts(n, batch_size):
  whole = batches(5, arrays(), batch_size=batch_size)
  rows = []
  for i in range(n):
    context = tf.distribute.InputContext(n, i, n)
    dataset = arrays().train(batch_size, input_context=context, pad_batches=True)
    rows.append([(f['id'].numpy(), y.numpy(), w.numpy()) for f, y, w in dataset.take(5)])
  for step, (ids, labels, _) in enumerate(whole):
    given = [of[step] for of in rows]
    assert {len(part[0]) for part in given} == {-(-batch_size // n)}
    i, y, w = (np.concatenate(column) for column in zip(*given, strict=True))
    assert i[w > 0].tolist() == ids
    assert y[w > 0].tolist() == labels
    assert abs((w * i).mean() - np.mean(ids)) < 1e-3  # the mean over rows is that of the batch
    assert (np.bincount(y[w > 0], minlength=4) >= batch_size // 4).all()


def test_padding_keeps_class_weights_and_goes_round_the_replicas_of_a_pipeline():
  context = tf.distribute.InputContext(1, 0, 5)
  arguments = {'batch_size': 12, 'strategy': 'natural', 'sample_weight': True, 'seed': 1}
  plain = [w.numpy() for _, _, w in arrays().train(**arguments).take(4)]
  dataset = arrays().train(input_context=context, pad_batches=True, **arguments)
  given = np.concatenate([w.numpy() for _, _, w in dataset.take(20)]).reshape(4, 15)
  for whole, padded in zip(plain, given, strict=True):
    assert padded.sum() / 15 == pytest.approx(whole.mean())
    assert (padded == 0).sum() == 3


def test_padding_is_not_mixed_into_records():
  with pytest.raises(ConfigError, match='padding would be mixed into records; leave one out'):
    arrays().train(24, pad_batches=True, mix=MixUp())


def test_replicas_that_divide_a_batch_get_no_padding():
  context = tf.distribute.InputContext(2, 0, 2)
  assert len(arrays().train(24, input_context=context, pad_batches=True).element_spec) == 2


@pytest.mark.parametrize(
  ('batch_size', 'n', 'message'),
  [
    (240, 7, 'a multiple of 7; give 238 or 245, or pad_batches=True, or train on 6 or 8 replicas'),
    (3, 8, 'a multiple of 8; give 8, or pad_batches=True, or train on 3 replicas'),
  ],
)
def test_a_batch_that_replicas_cannot_share_is_refused_with_those_that_they_can(
  batch_size, n, message
):
  with pytest.raises(ConfigError, match=message):
    arrays().train(batch_size, input_context=tf.distribute.InputContext(n, 0, n))


def test_pipelines_that_feed_unequal_numbers_of_replicas_are_refused():
  with pytest.raises(ConfigError, match=r'3 replicas in 2 pipelines.*give 2 replicas'):
    arrays().train(24, input_context=tf.distribute.InputContext(2, 0, 3))


def test_a_function_says_where_an_iterator_begins():
  whole = batches(9, arrays(), batch_size=8)
  step = tf.Variable(0, dtype=tf.int64)
  dataset = arrays().train(8, start_step=lambda: step)
  for start in (0, 5, 2):
    step.assign(start)
    found = [(f['id'].numpy().tolist(), y.numpy().tolist(), f['x']) for f, y in dataset.take(4)]
    assert equal(found, whole[start : start + 4])


def test_what_a_function_returns_is_checked_when_an_iterator_begins():
  dataset = arrays().train(8, start_step=lambda: -1)
  with pytest.raises(tf.errors.InvalidArgumentError, match='start_step=-1 must be a whole number'):
    next(iter(dataset))


def test_a_checkpoint_of_an_iterator_goes_on_where_it_was_not_where_it_began(tmp_path):
  made = arrays()
  iterator = iter(made.train(8, start_step=3))
  for _ in range(4):
    next(iterator)
  path = tf.train.Checkpoint(iterator=iterator).write(str(tmp_path / 'c'))
  other = iter(made.train(8, start_step=3))
  tf.train.Checkpoint(iterator=other).read(path)
  assert next(other)[0]['id'].numpy().tolist() == batches(8, made, batch_size=8)[7][0]


@pytest.mark.parametrize('name', ARGUMENTS)
def test_states_come_back_from_json_and_from_one_another(name):
  arguments = {'batch_size': 24, **ARGUMENTS[name]}
  made = arrays()
  first = made.batch_state(10, **arguments)
  later = made.batch_state(31, **arguments)
  assert made.batch_state(31, state=first, **arguments) == later
  assert made.batch_state(31, state=json.loads(first), **arguments) == later
  assert json.loads(later)['step'] == 31
  whole = batches(34, made, **arguments)
  assert equal(batches(3, made, state=later, **arguments), whole[31:])
  assert equal(batches(2, made, state=first, start_step=32, **arguments), whole[32:])


def test_a_state_is_small_and_the_same_wherever_it_is_made():
  made = arrays().batch_state(1000, 240)
  assert made == arrays().batch_state(1000, 240)
  assert len(made) < 700


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    ({'batch_size': 12}, 'with batch_size 24, and this one has 12; pass the same batch_size='),
    ({'strategy': 'weighted'}, "strategy 'exact', and this one has 'weighted'"),
    ({'seed': 4}, 'seed 3, and this one has 4'),
    ({'q': 1}, r'weights \(1, 1, 1, 1\), .*pass the same q=, ratios= or schedule='),
    ({'epoch': 5}, r'epoch_steps 10, .*pass the same epoch='),
    ({'start_step': 9}, r'start_step=9 must be .* from 10 to \d+; give 10, the step of state='),
  ],
)
def test_a_state_of_other_batches_is_refused(arguments, message):
  state = arrays().batch_state(10, 24, seed=3)
  with pytest.raises(ConfigError, match=message):
    arrays().train(**{'batch_size': 24, 'seed': 3, 'state': state, **arguments})


def test_a_state_of_other_data_is_refused(artifact):
  in_memory, streamed = (BalancedInputs.load(artifact, SPEC, budget) for budget in (1 << 30, 900))
  state = in_memory.batch_state(10, 24)
  with pytest.raises(ConfigError, match='give the same files, and the memory_budget= of that run'):
    streamed.train(24, state=state)
  other = BalancedInputs.from_arrays(np.arange(88), LABELS[::-1] // 2)
  with pytest.raises(ConfigError, match=r'records \(60, 20, 7, 1\), .*give the data of that run'):
    other.train(24, state=arrays().batch_state(10, 24))


@pytest.mark.parametrize('state', ['{', '{}', 7, {'format': 'tfx_balance.batch_state'}])
def test_what_is_no_state_is_refused(state):
  with pytest.raises(DataError, match='state '):
    arrays().train(24, state=state)


@pytest.mark.parametrize('step', [2**63 - 1, 2**63, 10**400])
def test_a_step_that_no_run_comes_to_is_refused(step):
  state = sealed({**json.loads(arrays().batch_state(10, 24)), 'step': step})
  with pytest.raises((ConfigError, DataError), match='step'):
    next(iter(arrays().train(24, state=state)))
  with pytest.raises(ConfigError, match='start_step'):
    next(iter(arrays().train(24, start_step=step)))


def test_a_state_with_too_few_totals_is_refused():
  state = sealed({**json.loads(arrays().batch_state(10, 24)), 'drawn': [1, 2]})
  with pytest.raises(ConfigError, match='2 running totals for 4 classes'):
    arrays().train(24, state=state)


def changed(shares):
  shares.set(4, q=1)
  shares.set(9, ratios=RATIOS)
  return shares


def test_set_shares_go_on_with_their_history_on_other_hosts():
  whole = hosts(1, 14, 0, schedule=changed(AdjustableShares()))
  state = arrays().batch_state(6, 240, seed=3, schedule=changed(AdjustableShares()))
  shares = AdjustableShares()
  rest = hosts(3, 8, None, state, schedule=shares)
  assert [change.step for change in shares.changes] == [0, 4, 9]
  for one, other in zip(whole[6:], rest, strict=True):
    assert np.array_equal(one[0], other[0])
  sums = [np.bincount(labels, minlength=4).tolist() for _, labels in whole]
  assert sums[:4] == [[60] * 4] * 4
  assert (np.abs(np.array(sums[4:9]) - 240 * np.array(COUNTS) / 88) < 1).all()
  assert (np.abs(np.array(sums[9:]) - 240 * np.array([5, 3, 2, 1]) / 11) < 1).all()


def test_shares_set_during_training_hold_from_their_step():
  shares = AdjustableShares()
  iterator = iter(arrays().train(512, schedule=shares, start_step=100))
  first = [np.bincount(next(iterator)[1].numpy(), minlength=4).tolist() for _ in range(3)]
  assert first == [[128] * 4] * 3
  step = shares.next_step + 20
  shares.set(step, ratios={0: 1, 1: 0, 2: 0, 3: 1})
  later = [np.bincount(next(iterator)[1].numpy()).tolist() for _ in range(103, step + 1)]
  assert later == [[128] * 4] * (step - 103) + [[256, 0, 0, 256]]
