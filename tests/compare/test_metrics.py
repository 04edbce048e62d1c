"""Metrics, against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as peer
from tfx_balance.compare import precision_at_recall, recall_at_precision
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_value import ClassValue

FRAUD = (ClassValue('bytes', b'fraud'), ClassValue('bytes', b'ok'))
THREE = tuple(ClassValue('bytes', name) for name in (b'a', b'b', b'c'))


def scored(n_classes, n=400, seed=0):
  rng = np.random.default_rng(seed)
  labels = rng.choice(n_classes, n, p=np.arange(n_classes, 0, -1) / sum(range(n_classes + 1)))
  logits = rng.normal(size=(n, n_classes)) + 2 * np.eye(n_classes)[labels]
  return shifted(logits, np.zeros(n_classes)), labels


@pytest.mark.parametrize('prevalence', [None, {1: 0.003}], ids=['shares of the data', 'others'])
@pytest.mark.parametrize('n_classes', [2, 4])
def test_metrics_are_those_of_scikit_learn(n_classes, prevalence):
  log_p, labels = scored(n_classes)
  cost = np.arange(n_classes**2).reshape(n_classes, n_classes) % 5 if prevalence else None
  measures = Measures.of(np.bincount(labels), cost, prevalence=prevalence)
  p, weights, of_cost = np.exp(log_p), None, {}
  decided = np.argmax(p, axis=1)
  if prevalence:
    weights, decided = measures.weights[labels], np.argmin(p @ cost, axis=1)
    of_cost = {'cost': np.average(cost[labels, decided], weights=weights)}
    shares = np.bincount(labels, weights) / len(labels)
    assert (shares[1], shares.sum()) == pytest.approx((0.003, 1))
  hot = np.eye(n_classes)[labels]
  y, score = (labels == 1, p[:, 1]) if n_classes == 2 else (hot, p)
  recalls = peer.recall_score(labels, decided, average=None)
  assert {
    name: measures.measure(name, log_p, labels) for name in measures.metrics
  } == pytest.approx(
    {
      'macro_recall': recalls.mean(),
      'worst_class': recalls.min(),
      'average_precision': peer.average_precision_score(
        y, score, average='macro', sample_weight=weights
      ),
      'macro_f1': peer.f1_score(labels, decided, average='macro', sample_weight=weights),
      'log_loss': peer.log_loss(labels, p, sample_weight=weights),
      'brier': np.average(np.sum((p - hot) ** 2, axis=1), weights=weights),
      **of_cost,
    }
  )


def test_records_go_into_the_class_of_least_expected_cost():
  log_p = np.log([[0.9, 0.1], [0.6, 0.4]])
  measures = Measures.of(np.array([9, 1]), [[0, 1], [5, 0]])
  assert measures.decide(log_p).tolist() == [0, 1]  # 0.5 against 0.9, 2 against 0.6
  assert measures.measure('cost', log_p, np.array([1, 0])) == 3  # (5 + 1) / 2
  assert measures.better('cost', log_p, np.array([1, 0])) == -3


def test_calibration_is_without_fault_where_probabilities_are_true():
  rng = np.random.default_rng(1)
  odds = rng.normal(-1, 1.5, 20_000)
  labels = (rng.random(20_000) < 1 / (1 + np.exp(-odds))).astype(int)
  measures = Measures.of(np.bincount(labels), None)
  true = shifted(np.stack([np.zeros_like(odds), odds], 1), [0, 0])
  assert measures.calibration(true, labels) == pytest.approx((0, 1), abs=0.06)
  intercept, slope = measures.calibration(shifted(true, [0, 2]), labels)
  assert intercept == pytest.approx(-2, abs=0.06)
  assert slope == pytest.approx(1, abs=0.06)
  extreme = shifted(np.stack([np.zeros_like(odds), 2 * odds], 1), [0, 0])
  assert measures.calibration(extreme, labels)[1] == pytest.approx(0.5, abs=0.03)


def test_calibration_is_none_where_it_has_no_value():
  measures = Measures.of(np.array([2, 2]), None)
  apart = np.log([[0.9, 0.1], [0.8, 0.2], [0.2, 0.8], [0.1, 0.9]])
  assert measures.calibration(apart, np.array([0, 0, 1, 1])) is None
  assert measures.calibration(apart, np.array([1, 1, 0, 0])) is None
  touching = np.log([[0.9, 0.1], [0.5, 0.5], [0.5, 0.5], [0.1, 0.9]])
  assert measures.calibration(touching, np.array([0, 0, 1, 1])) is None
  assert measures.calibration(np.log(np.full((4, 2), 0.5)), np.array([0, 0, 1, 1])) is None


@pytest.mark.parametrize(
  'cost',
  [[[0, 1]], [[0, -1], [1, 0]], [[0, np.nan], [1, 0]], [[0, 1], [1]], 'ab'],
)
def test_a_cost_matrix_of_other_classes_is_refused(cost):
  with pytest.raises(ConfigError, match='must have 2 rows of 2 costs'):
    Measures.of(np.array([5, 3]), cost)


def test_a_metric_that_cannot_be_measured_is_refused():
  measures = Measures.of(np.array([5, 3]), None)
  with pytest.raises(ConfigError, match='needs a cost matrix'):
    measures.check('cost')
  with pytest.raises(ConfigError, match="metric='accuracy' is not one of"):
    measures.check('accuracy')


# --- probabilities of 0 and 1


def forest(n_classes, n=400, trees=10, seed=0):
  """Returns probabilities that are shares of a few trees' votes, among them 0 and 1."""
  log_p, labels = scored(n_classes, n, seed)
  rng = np.random.default_rng(seed)
  p = np.stack([rng.multinomial(trees, row) for row in np.exp(log_p)]) / trees
  return p, labels


@pytest.mark.parametrize('n_classes', [2, 4])
@pytest.mark.parametrize('moved', [False, True], ids=['as they are', 'through a shift of 0'])
def test_probabilities_of_0_and_1_are_measured_as_scikit_learn_does(n_classes, moved):
  p, labels = forest(n_classes)
  assert (p == 0).any()
  assert (p == 1).any()
  with np.errstate(divide='ignore'):
    log_p = np.log(p)
  if moved:
    log_p = shifted(log_p, np.zeros(n_classes))
  measures = Measures.of(np.bincount(labels))
  hot = np.eye(n_classes)[labels]
  with np.errstate(all='raise'):
    found = {
      name: measures.measure(name, log_p, labels)
      for name in ('log_loss', 'brier', 'average_precision')
    }
    intercept, slope = measures.calibration(log_p, labels)
  y, score = (labels == 1, p[:, 1]) if n_classes == 2 else (hot, p)
  assert found == pytest.approx(
    {
      'log_loss': peer.log_loss(labels, p),
      'brier': np.mean(np.sum((p - hot) ** 2, axis=1)),
      'average_precision': peer.average_precision_score(y, score, average='macro'),
    },
    rel=1e-12,
  )
  assert np.isfinite([intercept, slope]).all()


def test_probabilities_next_to_1_keep_their_order():
  logits = np.array([[0.0, 40.0], [0.0, 50.0], [0.0, 60.0], [0.0, 900.0]])
  labels = np.array([0, 0, 1, 1])
  log_p = shifted(logits, [0, 0])
  assert np.exp(log_p[:, 1]).tolist() == [1, 1, 1, 1]
  measures = Measures.of(np.array([3, 2]), metric=precision_at_recall(1, 1))
  assert measures.measure('average_precision', log_p, labels) == 1
  assert measures.measure(list(measures.metrics)[-1], log_p, labels) == 1


# --- a person's own metrics


def test_a_function_is_a_metric():
  def frauds_found(y, proba):
    assert set(y) == {'fraud', 'ok'}
    return np.sum((y == 'fraud') & (proba[:, 0] > 0.5))

  measures = Measures.of(np.array([2, 2]), classes=FRAUD, metric=frauds_found)
  assert measures.check(frauds_found) == 'frauds_found'
  assert list(measures.metrics)[-1] == 'frauds_found'
  metric = measures.metrics['frauds_found']
  assert (metric.words, metric.decides, metric.rate) == ('frauds found', True, False)
  log_p = np.log([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3], [0.1, 0.9]])
  assert measures.measure('frauds_found', log_p, np.array([0, 0, 1, 1])) == 1
  assert measures.better('frauds_found', log_p, np.array([0, 0, 1, 1])) == 1
  assert measures.better('log_loss', log_p, np.array([0, 0, 1, 1])) < 0


def named(name, function):
  function.__name__ = name
  return function


@pytest.mark.parametrize(
  ('metric', 'prevalence', 'wanted'),
  [
    (lambda y: 1.0, None, r'metric=lambda fails for y of shape \(4,\) and equal probabilities'),
    (
      lambda y, proba: proba,
      None,
      '(?s)metric=lambda returned array.* must return a finite number',
    ),
    (lambda y, proba: np.nan, None, 'metric=lambda returned nan; it must return a finite'),
    (named('cost', lambda y, proba: 1.0), None, "of the name 'cost', which another metric has"),
    (lambda y, proba: 1.0, {'fraud': 0.1}, 'takes no sample_weight, and records have weights'),
    (recall_at_precision(0.9, 'frud'), None, "'frud' is not a class; the classes are: fraud, ok"),
  ],
)
def test_a_metric_that_cannot_be_used_is_refused_before_training(metric, prevalence, wanted):
  with pytest.raises(ConfigError, match=wanted):
    Measures.of(np.array([2, 2]), classes=FRAUD, metric=metric, prevalence=prevalence)


def test_a_function_gets_weights_where_shares_are_others():
  def share_of_fraud(y, proba, sample_weight=None):
    return np.average(y == 'fraud', weights=sample_weight)

  options = {'classes': FRAUD, 'metric': share_of_fraud}
  log_p, labels = np.log(np.full((8, 2), 0.5)), np.repeat([0, 1], [2, 6])
  measures = Measures.of(np.array([2, 6]), prevalence={'fraud': 0.01}, **options)
  assert measures.measure('share_of_fraud', log_p, labels) == pytest.approx(0.01)
  assert Measures.of(np.array([2, 6]), **options).measure('share_of_fraud', log_p, labels) == 0.25


def best_by_hand(of, least, own, p, weights):
  """Returns the best recall or precision over all thresholds, one by one."""
  best = 0.0
  for threshold in np.unique(p):
    flagged = weights[p >= threshold]
    hit = weights[(p >= threshold) & own].sum()
    values = {'recall': hit / weights[own].sum(), 'precision': hit / flagged.sum()}
    bound = 'precision' if of == 'recall' else 'recall'
    if values[bound] >= least - 1e-12:
      best = max(best, values[of])
  return best


@pytest.mark.parametrize('prevalence', [None, {'b': 0.01}], ids=['shares of the data', 'others'])
@pytest.mark.parametrize('least', [0.3, 0.9, 1.0])
@pytest.mark.parametrize('metric', [recall_at_precision, precision_at_recall])
def test_the_best_over_all_thresholds(metric, least, prevalence):
  p, labels = forest(3, 200, trees=30)
  measures = Measures.of(
    np.bincount(labels), classes=THREE, metric=metric(least, 'b'), prevalence=prevalence
  )
  of, other = metric.__name__.split('_at_')
  words = f'{of} of b at a {other} of {least:g}'
  name = measures.check(metric(least, 'b'))
  assert measures.metrics[name].words == words
  assert measures.metrics[name].rate
  assert not measures.metrics[name].decides
  with np.errstate(divide='ignore'):
    found = measures.measure(name, np.log(p), labels)
  weights = np.ones(200) if prevalence is None else measures.weights[labels]
  assert found == pytest.approx(best_by_hand(of, least, labels == 1, p[:, 1], weights))


def test_recall_is_0_where_no_threshold_is_precise_enough():
  measures = Measures.of(np.array([2, 2]), classes=FRAUD, metric=recall_at_precision(0.9, 'fraud'))
  log_p = np.log([[0.1, 0.9], [0.2, 0.8], [0.7, 0.3], [0.6, 0.4]])
  assert measures.measure(list(measures.metrics)[-1], log_p, np.array([0, 0, 1, 1])) == 0
  assert (
    measures.measure(list(measures.metrics)[-1], log_p, np.array([1, 1, 1, 1])) == 0
  )  # no fraud at all


@pytest.mark.parametrize('given', [-0.1, 1.5, 'much'])
def test_a_bound_that_is_no_rate_is_refused(given):
  with pytest.raises(ConfigError, match=f'precision={given!r} must be a number from 0 to 1'):
    recall_at_precision(given, 'fraud')
  with pytest.raises(ConfigError, match=f'recall={given!r} must be a number from 0 to 1'):
    precision_at_recall(given, 'fraud')


# --- costs by name


def test_costs_by_name():
  measures = Measures.of(np.array([2, 5, 9]), {('a', 'b'): 50, ('c', 'c'): 0.5}, classes=THREE)
  assert measures.cost.tolist() == [[0, 50, 1], [1, 0, 1], [1, 1, 0.5]]
  assert measures.cost_words == (
    'Costs: a taken for b 50, a taken for c 1, b taken for a 1, b taken for c 1, c taken for a 1, '
    'c taken for b 1, and 3 more.'
  )
  two = Measures.of(np.array([2, 5]), {('fraud', 'ok'): 50}, classes=FRAUD)
  assert two.cost_words == 'Costs: fraud taken for ok 50, ok taken for fraud 1.'
  assert Measures.of(np.array([2, 5]), {(0, 1): 3}).cost.tolist() == [[0, 3], [1, 0]]
  assert Measures.of(np.array([2, 5])).cost_words == ''


@pytest.mark.parametrize(
  ('cost', 'wanted'),
  [
    ({'fraud': 5}, "key 'fraud' must be a pair of classes"),
    ({('fraud', 'ok', 'ok'): 5}, 'must be a pair of classes'),
    ({('fraud', 'fine'): 5}, "'fine' is not a class; the classes are: fraud, ok"),
    ({('fraud', 'ok'): -1}, r"cost of \('fraud', 'ok'\)=-1 must be a finite number from 0"),
    ({('fraud', 'ok'): 1, (b'fraud', 'ok'): 2}, 'names fraud taken for ok twice; name it once'),
  ],
)
def test_costs_of_other_pairs_are_refused(cost, wanted):
  with pytest.raises(ConfigError, match=wanted):
    Measures.of(np.array([2, 5]), cost, classes=FRAUD)


# --- shares that differ from those of the data


def test_classes_that_are_not_named_share_the_rest():
  measures = Measures.of(np.array([20, 30, 50]), classes=THREE, prevalence={'a': 0.04})
  np.testing.assert_allclose(measures.prevalence, [0.04, 0.36, 0.6])
  np.testing.assert_allclose(measures.weights, [0.2, 1.2, 1.2])
  log_prior = np.log([0.2, 0.3, 0.5])
  np.testing.assert_allclose(np.exp(measures.log_served(log_prior)), measures.prevalence)
  assert Measures.of(np.array([20, 30, 50])).log_served(log_prior) is log_prior
  all_named = {'a': 0.1, 'b': 0.2, 'c': 0.7}
  found = Measures.of(np.array([20, 30, 50]), classes=THREE, prevalence=all_named)
  np.testing.assert_allclose(found.prevalence, [0.1, 0.2, 0.7])
  thirds = Measures.of(np.array([1, 2, 3]), prevalence=dict.fromkeys(range(3), 1 / 3))
  np.testing.assert_allclose(thirds.prevalence, 1 / 3)


def test_the_rarest_class_is_that_where_the_model_is_used():
  assert Measures.of(np.array([50, 50]), classes=FRAUD, prevalence={'ok': 0.01}).rarest == 1


def test_measures_of_other_shares_are_those_of_such_data():
  log_p, labels = scored(2)
  often = np.concatenate([np.flatnonzero(labels == 0)] * 5 + [np.flatnonzero(labels == 1)])
  shares = np.bincount(labels[often]) / len(often)
  there = Measures.of(np.bincount(labels), prevalence={1: float(shares[1])})
  real = Measures.of(np.bincount(labels[often]))
  for name in real.metrics:
    expected = real.measure(name, log_p[often], labels[often])
    assert there.measure(name, log_p, labels) == pytest.approx(expected), name
  assert there.calibration(log_p, labels) == pytest.approx(
    real.calibration(log_p[often], labels[often]), abs=1e-4
  )


@pytest.mark.parametrize(
  ('prevalence', 'wanted'),
  [
    ({'a': 0}, "prevalence of 'a'=0 must be a number above 0 to below 1"),
    ({'a': 1}, "prevalence of 'a'=1 must be a number above 0 to below 1"),
    ({'a': '2 %'}, "prevalence of 'a'='2 %' must be a number"),
    ({'d': 0.5}, "'d' is not a class; the classes are: a, b, c"),
    ({'a': 0.1, b'a': 0.2}, 'prevalence= names class a twice'),
    ({'a': 0.7, 'b': 0.3}, 'must be shares that add up to less than 1'),
    ({'a': 0.7, 'b': 0.2, 'c': 0.2}, 'must be shares that add up to 1;'),
    ({'a': 0.7, 'b': 0.2, 'c': 0.09}, 'must be shares that add up to 1;'),
    ([0.1, 0.9], 'must be a dict'),
  ],
)
def test_what_is_no_prevalence_is_refused(prevalence, wanted):
  with pytest.raises(ConfigError, match=wanted):
    Measures.of(np.array([20, 30, 50]), classes=THREE, prevalence=prevalence)


def test_what_depends_on_the_rare_class_is_known():
  metrics = Measures.of(np.array([2, 5]), [[0, 1], [5, 0]]).metrics
  assert [name for name, metric in metrics.items() if metric.of_all] == ['log_loss', 'brier']
