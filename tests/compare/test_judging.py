"""From scores of folds to verdicts."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.compare.judging import Scores, gaps, judge, verdict, with_means
from tfx_balance.compare.metrics import Measures
from tfx_balance.compare.threshold import shifted
from tfx_balance.compare.trainers import Fold


def folds_of(labels, log_p_of, repeats=5):
  """Returns 5 folds a repetition; log_p_of gives the scores of an arm for rows of a repetition."""
  found = []
  for repeat in range(repeats):
    order = np.random.default_rng(repeat).permutation(len(labels))
    for k in range(5):
      rows = order[k::5]
      arms = {arm: of(rows, repeat) for arm, of in log_p_of.items()}
      trained = np.bincount(labels) - np.bincount(labels[rows], minlength=labels.max() + 1)
      found.append(Fold(repeat, rows, trained, arms))
  return found


def judged(folds, labels, metric):
  """Returns what was found for each arm, and the verdicts."""
  scores = Scores(folds, labels, Measures.of(np.bincount(labels), None), metric)
  found = judge(scores)
  level = found['natural'].values[metric]
  intervals = gaps(scores, found, 'natural', len(found) - 1)
  verdicts = {name: verdict(scores, one, level) for name, one in intervals if name != 'natural'}
  return found, verdicts


@pytest.fixture(scope='module')
def rare():
  """Labels of 100 rare records in 1,000, their prior, and scores that know the true odds."""
  rng = np.random.default_rng(0)
  labels = np.repeat([0, 1], [900, 100])
  odds = rng.normal(0, 1, 1000) + 1.5 * labels + np.log(0.1 / 0.9)

  def natural(rows, repeat):
    noise = np.random.default_rng(repeat).normal(0, 0.1, 1000)
    return shifted(np.stack([np.zeros(1000), odds + noise], 1)[rows], [0, 0])

  return labels, np.log([0.9, 0.1]), natural


def test_a_threshold_helps_macro_recall_and_the_correction_changes_nothing(rare):
  labels, log_prior, natural = rare

  def balanced(rows, repeat):
    return shifted(natural(rows, repeat), -log_prior)

  folds = with_means(folds_of(labels, {'natural': natural, 'balanced': balanced}), len(labels))
  found, verdicts = judged(folds, labels, 'macro_recall')
  assert verdicts == {
    'threshold': 'helps',
    'mean': 'cannot tell',
    'mean_threshold': 'helps',
    'balanced': 'helps',
    'correction': 'no practical difference',
  }
  assert found['balanced'].calibration[0] < -1 < found['natural'].calibration[0]


def test_a_metric_of_which_less_is_better_counts_the_other_way(rare):
  labels, _, natural = rare

  def wrong(rows, repeat):
    return shifted(natural(rows, repeat), [0, 3])

  found, verdicts = judged(
    folds_of(labels, {'natural': natural, 'balanced': wrong}), labels, 'brier'
  )
  assert verdicts['balanced'] == 'harms'
  assert found['balanced'].values['brier'] > found['natural'].values['brier']


def scores_of(folds, labels, **options):
  return Scores(folds, labels, Measures.of(np.bincount(labels), None), 'macro_recall', **options)


def test_a_fold_is_not_asked_for_its_own_threshold(rare):
  labels, _, natural = rare
  folds = folds_of(labels, {'natural': natural}, repeats=1)
  spoiled = replace(folds[0], log_p={'natural': -folds[0].log_p['natural']})
  kept = scores_of(folds, labels).decisions('threshold')[0]
  other = scores_of([spoiled, *folds[1:]], labels).decisions('threshold')[0]
  moved = kept - folds[0].log_p['natural']
  np.testing.assert_allclose(np.ptp(moved[:, 1] - moved[:, 0]), 0, atol=1e-9)
  shift = (other - spoiled.log_p['natural'])[0]
  np.testing.assert_allclose(shift[1] - shift[0], moved[0, 1] - moved[0, 0])


def test_in_time_a_fold_learns_from_earlier_ones_alone(rare):
  labels, _, natural = rare
  folds = folds_of(labels, {'natural': natural}, repeats=1)
  first = scores_of(folds, labels, in_time=True).decisions('threshold')[0]
  np.testing.assert_allclose(first, shifted(folds[0].log_p['natural'], -folds[0].log_prior))


def test_a_shift_takes_the_shares_of_what_its_fold_was_trained_on(rare):
  labels, _, natural = rare
  fold = replace(folds_of(labels, {'balanced': natural}, repeats=1)[0], counts=np.array([30, 10]))
  scores = scores_of([fold], labels)
  np.testing.assert_allclose(
    scores.of('correction', fold), shifted(fold.log_p['balanced'], np.log([0.75, 0.25]))
  )


def test_a_mean_is_of_models_that_did_not_train_on_a_record(rare):
  labels, _, natural = rare
  folds = folds_of(labels, {'natural': natural}, repeats=3)
  every = np.arange(len(labels))
  expected = np.log(np.mean([np.exp(natural(every, repeat)) for repeat in range(3)], axis=0))
  for fold in with_means(folds, len(labels)):
    np.testing.assert_allclose(fold.log_p['mean'], expected[fold.rows])
  (alone,) = with_means(folds[:1], len(labels))
  assert 'mean' not in alone.log_p


def test_levels_are_measured_on_all_records_of_a_repetition():
  """Two classes of 5 records each: the worst class of a fold of two records is mostly 0."""
  labels = np.repeat([0, 1], 5)
  wrong = np.isin(np.arange(10), [0, 6])
  log_p = shifted(np.where(np.eye(2)[labels ^ wrong] == 1, 3.0, 0.0), 0)
  folds = folds_of(labels, {'natural': lambda rows, repeat: log_p[rows]})
  assert judge(Scores(folds, labels, Measures.of(np.bincount(labels)), 'worst_class'))[
    'natural'
  ].values['worst_class'] == pytest.approx(0.8)


def test_an_arm_that_puts_all_records_into_one_class_is_known(rare):
  labels, _, natural = rare
  found, _ = judged(
    folds_of(labels, {'natural': natural, 'balanced': lambda rows, _: natural(rows, 0) * 0}),
    labels,
    'macro_recall',
  )
  assert found['balanced'].collapsed
  assert not found['natural'].collapsed


def test_zero_probabilities_are_moved_by_no_shift():
  fold = Fold(0, np.arange(2), np.array([998, 2]), {'natural': np.log([[1.0, 1e-300], [0.5, 0.5]])})
  fold.log_p['natural'][0] = [0, -np.inf]
  scores = scores_of([fold], np.array([0, 1]))
  moved = scores.of('threshold', fold, 2.0)
  assert moved[0].tolist() == [0, -np.inf]
  assert np.isfinite(moved[1]).all()
  assert scores.measures.decide(moved).tolist() == [0, 1]


@pytest.mark.parametrize(
  ('metric', 'expected'), [('macro_recall', 'cannot tell'), ('log_loss', 'helps')]
)
def test_too_few_records_of_the_rarest_class_tell_nothing_of_it(metric, expected):
  labels = np.repeat([0, 1], [900, 29])
  rng = np.random.default_rng(0)

  def scores(strength):
    logits = rng.normal(size=(929, 2)) + strength * np.eye(2)[labels]
    return lambda rows, repeat: shifted(logits[rows], [0, 0])

  folds = folds_of(labels, {'natural': scores(0), 'balanced': scores(9)})
  found, verdicts = judged(folds, labels, metric)
  assert found['balanced'].values['macro_recall'] > found['natural'].values['macro_recall'] + 0.2
  assert verdicts['balanced'] == expected


def test_intervals_of_a_rate_end_where_it_does(rare):
  labels, _, natural = rare
  perfect = shifted(9.0 * np.eye(2)[labels], 0)
  folds = folds_of(
    labels, {'natural': natural, 'balanced': lambda rows, repeat: perfect[rows]}, repeats=1
  )
  scores = scores_of(folds, labels)
  found = judge(scores)
  gap = dict(gaps(scores, found, 'natural', 10_000))['balanced']
  assert gap.high == pytest.approx(1 - found['natural'].values['macro_recall'])


def test_shares_of_classes_that_vary_widen_the_interval_of_a_mean_over_records():
  """An arm that lowers all odds of the rare class alike has the same loss in each fold."""
  labels = np.repeat([0, 1], [900, 100])
  natural = np.log(np.tile([0.9, 0.1], (1000, 1)))
  log_p = {'natural': natural, 'balanced': np.log(np.tile([0.91, 0.09], (1000, 1)))}
  noise = np.random.default_rng(0).normal(0, 1e-4, (5, 1000, 2))
  folds = []
  for repeat, k in itertools.product(range(5), range(5)):
    rows = np.arange(k, 1000, 5)  # 20 of the rare class
    own = {arm: shifted(p[rows] + noise[repeat, rows], 0) for arm, p in log_p.items()}
    folds.append(Fold(repeat, rows, np.array([720, 80]), own))
  scores = Scores(folds, labels, Measures.of(np.bincount(labels)), 'log_loss')
  gap = dict(gaps(scores, judge(scores), 'natural', 1))['balanced']
  each = log_p['balanced'][np.arange(1000), labels] - natural[np.arange(1000), labels]
  expected = 2.0639 * each.std(ddof=1) / np.sqrt(1000)  # t of 24 degrees of freedom
  assert (gap.high - gap.low) / 2 == pytest.approx(expected, rel=1e-3)


def test_arms_that_put_whole_folds_into_one_class_are_not_told_apart():
  """Each arm has a recall of 0.5 in each fold, and another of all folds together."""
  n_rare, folds = [45, 35, 25, 15, 5], []
  labels = np.concatenate([np.repeat([0, 1], [200 - n, n]) for n in n_rare])
  for i in range(5):
    sides = {'natural': np.zeros(200), 'balanced': np.full(200, 9.0 if i == 4 else 0.0)}
    sides['balanced'][:1] += 5 if i == 0 else 0  # a single record that differs in a fold of its own
    log_p = {arm: shifted(np.stack([np.full(200, 4.0), own], 1), 0) for arm, own in sides.items()}
    folds.append(Fold(0, np.arange(200 * i, 200 * i + 200), np.array([155, 45]), log_p))
  scores = Scores(folds, labels, Measures.of(np.bincount(labels)), 'macro_recall', in_time=True)
  found = judge(scores)
  gap = dict(gaps(scores, found, 'natural', 1))['balanced']
  assert gap.mean < -0.09
  assert verdict(scores, gap, found['natural'].values['macro_recall']) == 'cannot tell'
