"""compare with estimators of scikit-learn, without TensorFlow."""

import re
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from tfx_balance.compare import compare
from tfx_balance.compare.arms import ARMS
from tfx_balance.compare.estimator_training import (
  EstimatorTraining,
  balanced_rows,
  smote,
  weight_name,
)
from tfx_balance.compare.remedy import Remedy
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.labels import label_codes

from tests.compare.helpers_folds import first_folds, table


def training(model, x, y):
  counts, codes = label_codes(y)
  plain = Remedy('natural', counts.classes, counts.records, (0.0,) * len(counts.classes))
  return EstimatorTraining.of(lambda: model, x, codes.astype(int), plain, np.inf)


@pytest.fixture(autouse=True)
def twice():
  with first_folds(10):
    yield


def test_every_arm_of_estimators_is_compared_and_fitted(tmp_path, capsys):
  x, y = table()
  answer = compare(LogisticRegression(), x, y, processes=1)
  assert 'Use threshold' in capsys.readouterr().out
  assert [arm.name for arm in answer.document.arms] == [
    name for name in ARMS if name not in ('logit_adjusted', 'square_root')
  ]
  assert answer.document.steps is None
  fresh, truth = table(seed=1)
  fitted = answer.fit(x, y)
  assert fitted.classes_.tolist() == ['rare', 'usual']
  recall = [np.mean(fitted.predict(fresh)[truth == c] == c) for c in fitted.classes_]
  assert min(recall) > 0.7
  p = fitted.predict_proba(fresh)
  np.testing.assert_allclose(p, LogisticRegression().fit(x, y).predict_proba(fresh))
  joblib.dump(fitted, tmp_path / 'fitted')
  np.testing.assert_array_equal(joblib.load(tmp_path / 'fitted').predict_proba(fresh), p)
  mean = answer.fit(x, y, average=3)
  assert len(mean.models) == 3
  expected = np.mean([np.exp(model.log_p(fresh)) for model in mean.models], axis=0)
  np.testing.assert_allclose(mean.predict_proba(fresh), expected)
  with pytest.raises(DataError, match='y has the classes'):
    answer.fit(x, np.where(y == 'rare', 'other', y))


def test_two_processes_give_the_answer_of_one():
  x, y = table()
  answers = [
    compare(RandomForestClassifier(20), x, y, 'log_loss', processes=n, verbose=False)
    for n in (2, 1)
  ]
  one, two = (answer.document.arms for answer in answers)
  assert one == two


WITHOUT = """
import sys
for name in ('absl', 'cv2', 'google_crc32c', 'isal', 'keras', 'obstore', 'pyarrow', 'tensorflow'):
  sys.modules[name] = None  # as if it were not installed
import numpy as np
from sklearn.naive_bayes import GaussianNB
from tfx_balance.compare import compare
x, y = np.random.default_rng(0).normal(size=(60, 2)), np.arange(60) % 3 // 2
"""


@pytest.mark.parametrize(
  ('code', 'said'),
  [
    ('compare(GaussianNB(), x, y, processes=1, verbose=False).fit(x, y).predict(x)', ''),
    ('compare(lambda: len, x, y)', "ConfigError: .*run pip install 'tfx-balance.compare,tensorf"),
  ],
  ids=['an estimator', 'what is none'],
)
def test_estimators_need_no_tensorflow(code, said):
  command = [sys.executable, '-c', WITHOUT + code]
  found = subprocess.run(command, capture_output=True, text=True, check=False)
  assert re.search(said, found.stderr) if said else found.returncode == 0, found.stderr


def mixed(x):
  return pd.DataFrame({'a': x[:, 0], 'b': np.where(x[:, 1] > 0, 'up', 'down'), 'c': x[:, 2]})


def test_rows_of_any_table_go_to_the_estimator_as_they_are():
  x, y = table()
  encoded = make_column_transformer((OneHotEncoder(), ['b']), remainder='passthrough')
  texts = ['fraud now' if label == 'rare' else 'a word' for label in y]
  cases = [
    (make_pipeline(encoded, LogisticRegression()), mixed(x)),
    (LogisticRegression, scipy.sparse.csr_matrix(x)),
    (make_pipeline(CountVectorizer(), LogisticRegression()), texts),
    (lambda: HistGradientBoostingClassifier(max_iter=5), pd.DataFrame(x)),
  ]
  for model, features in cases:
    answer = compare(model, features, y, processes=1, verbose=False)
    assert answer.document.arms[1].values['macro_recall'] > 0.6
    smoted = any(arm.name == 'smote' for arm in answer.document.arms)
    assert smoted == isinstance(features, pd.DataFrame) * (features is not cases[0][1])


def test_weights_go_to_the_last_step_or_the_arm_is_left_out():
  x, y = table()
  pipeline = make_pipeline(StandardScaler(), LogisticRegression())
  assert weight_name(pipeline) == 'logisticregression__sample_weight'
  answer = compare(KNeighborsClassifier(), x, y, processes=1, verbose=False)
  assert 'class_weights' not in answer.verdicts
  assert 'class_weights is left out: fit of KNeighborsClassifier takes no sample_weight.' in str(
    answer
  ).replace('\n', ' ')


def test_a_probability_of_0_is_kept_and_log_loss_is_finite():
  x, y = table()
  answer = compare(RandomForestClassifier(5), x, y, processes=1, verbose=False)
  assert np.isneginf(answer.log_p).any()
  assert all(np.isfinite(arm.values['log_loss']) for arm in answer.document.arms)


class Backwards(LogisticRegression):
  """An estimator whose columns are in another order, and that lacks a class."""

  def fit(self, x, y, sample_weight=None):
    super().fit(x[y != 'c'], y[y != 'c'])
    self.classes_ = self.classes_[::-1]
    return self

  def predict_proba(self, x):
    self.classes_ = self.classes_[::-1]
    found = super().predict_proba(x)
    self.classes_ = self.classes_[::-1]
    return found[:, ::-1]


def test_columns_go_by_the_classes_of_the_estimator():
  x = np.array([[0.0], [1], [0], [1], [5]])
  y = np.array(['a', 'b', 'a', 'b', 'c'])
  own = training(Backwards(), x, y)
  log_p = own.fit(x, own.labels, np.arange(5), own.remedies['natural'], 0).log_p(x[:2])
  assert np.isneginf(log_p[:, 2]).all()
  assert np.argmax(log_p, axis=1).tolist() == [0, 1]


class FromZero(LogisticRegression):
  """An estimator that takes classes as XGBoost does."""

  def fit(self, x, y, sample_weight=None):
    if set(y) != set(range(len(set(y)))):
      raise ValueError(f'Invalid classes inferred from unique values of `y`, got {set(y)}')
    return super().fit(x, y, sample_weight)


def test_an_estimator_of_numbers_from_0_gets_them():
  x, y = table()
  answers = [compare(model, x, y, processes=1, verbose=False) for model in (FromZero(), FromZero)]
  plain = compare(LogisticRegression(), x, y, processes=1, verbose=False)
  assert all(answer.document.arms == plain.document.arms for answer in answers)
  fitted, other = answers[0].fit(x, y), plain.fit(x, y)
  assert fitted.predict(x).tolist() == other.predict(x).tolist()


@pytest.mark.parametrize(
  ('given', 'kind'),
  [
    (lambda rare: rare, np.bool_),
    (lambda rare: rare.tolist(), np.bool_),
    (lambda rare: pd.Series(rare, dtype='boolean'), np.bool_),
    (lambda rare: rare.astype(np.float32), np.float32),
    (lambda rare: rare.astype(np.int8), np.int8),
  ],
  ids=['booleans', 'a list of them', 'pandas', 'floats', 'small integers'],
)
def test_classes_are_of_the_type_of_y(given, kind):
  def found(y, proba):
    assert y.dtype == kind
    return np.mean((proba[:, 1] > 0.5) == y)

  x, names = table()
  y = given(names == 'rare')
  answer = compare(LogisticRegression(), x, y, found, processes=1, verbose=False)
  fitted = answer.fit(x, y)
  assert fitted.classes_.dtype == fitted.predict(x).dtype == kind
  assert np.mean(fitted.predict(x) == (names == 'rare')) > 0.8
  assert type(answer.suspects(1)[0].label) is type(kind(0).item())
  assert [str(value) for value in answer.document.classes] == ['0', '1']


def test_each_class_is_drawn_as_often_as_the_largest():
  labels = np.repeat([0, 1, 2], [50, 7, 20])
  uses = np.bincount(balanced_rows(labels, 3), minlength=77)
  assert [uses[labels == c].sum() for c in range(3)] == [50, 50, 50]
  assert all(np.ptp(uses[labels == c]) <= 1 for c in range(3))


def test_smote_keeps_each_record_once_and_moves_the_rest_between_neighbours():
  x, y = table()
  labels = (y == 'usual').astype(int)
  rows = balanced_rows(labels, 0)
  made = smote(x, labels, rows, 0)
  kept = (made[:, np.newaxis] == x).all(axis=2).any(axis=1)
  assert kept.sum() == len(x)
  low, high = x[labels == 0].min(axis=0), x[labels == 0].max(axis=0)
  moved = made[(labels[rows] == 0) & ~kept]
  assert len(moved) == 160 - 40
  assert ((moved >= low) & (moved <= high)).all()


@pytest.mark.parametrize(
  ('model', 'message'),
  [
    (LinearSVC(), r'LinearSVC has no predict_proba.*CalibratedClassifierCV\(LinearSVC\(\)\)'),
    (LogisticRegression(class_weight='balanced'), r"class_weight='balanced' .* weighs the classes"),
    (make_pipeline(StandardScaler(), RandomForestClassifier(class_weight={'rare': 2})), 'weighs'),
    (5, 'model=5 is not a model'),
  ],
)
def test_estimators_that_cannot_be_compared_are_refused(model, message):
  with pytest.raises(ConfigError, match=message):
    compare(model, *table())


@pytest.mark.parametrize('model', [LogisticRegression(), LogisticRegression])
@pytest.mark.parametrize('given', [{'steps': 7}, {'batch_size': 64}, {'callbacks': list}])
def test_what_is_of_keras_alone_is_refused(model, given):
  ((name, value),) = given.items()
  with pytest.raises(
    ConfigError, match=rf'^{name}={re.escape(str(value))} is of Keras .* an estimator; leave it'
  ):
    compare(model, *table(), **given)


def test_features_that_an_estimator_does_not_take_are_named():
  x, y = table()
  with pytest.raises(ConfigError, match='LogisticRegression with natural does not take x or y'):
    compare(LogisticRegression(), mixed(x), y, processes=1)
  with pytest.raises(DataError, match='x is a dict'):
    compare(LogisticRegression(), {'a': x[:, 0]}, y)
  with pytest.raises(DataError, match='x has 199 rows, and y has 200'):
    compare(LogisticRegression(), x[1:], y)


def test_times_that_are_none_are_named_by_their_argument():
  x, y = table()
  with pytest.raises(DataError, match=r'^times is of shape \(2,\), and must be numbers or times'):
    compare(LogisticRegression(), x, y, times=[1, 2])
  with pytest.raises(DataError, match=r'^times\[7\] is missing'):
    compare(LogisticRegression(), x, y, times=np.where(np.arange(len(x)) == 7, np.nan, 1))


def test_duplicates_are_named_and_can_be_groups(capsys):
  x, y = table()
  x, y = np.repeat(x, 2, axis=0), np.repeat(y, 2)
  compare(LogisticRegression(), x, y, processes=1)
  assert capsys.readouterr().out.startswith('400 of 400 records are equal to another')
  answer = compare(LogisticRegression(), x, y, groups='duplicates', processes=1)
  assert '400 of 400 records are equal to another (80 of class rare, 20 %), in one fold.' in (
    capsys.readouterr().out
  )
  np.testing.assert_array_equal(answer.log_p[::2], answer.log_p[1::2])


@pytest.mark.parametrize(('trained', 'count'), [(3, 3), (7, 5)])
def test_time_that_is_up_gives_the_folds_that_there_are(monkeypatch, trained, count):
  """Of several repetitions those that are whole."""
  done = []
  real = EstimatorTraining.fold

  def fold(self, task):
    done.append(task)
    return real(self, task) if len(done) <= trained else None

  monkeypatch.setattr(EstimatorTraining, 'fold', fold)
  answer = compare(LogisticRegression(), *table(), processes=1, verbose=False)
  assert answer.document.folds == count
  assert f'Time was up after {trained} of 10 folds, and {count} count' in str(answer)


def test_other_seeds_have_other_folds(monkeypatch):
  tasks = []
  real = EstimatorTraining.fold
  monkeypatch.setattr(
    EstimatorTraining, 'fold', lambda self, task: tasks.append(task) or real(self, task)
  )
  for seed in (0, 1):
    compare(LogisticRegression(), *table(), seed=seed, processes=1, verbose=False)
  assert len({task.tested.tobytes() for task in tasks}) == len(tasks) == 20


def test_a_mean_is_no_remedy_where_one_model_is_served():
  answer = compare(LogisticRegression(), *table(), averages=False, processes=1, verbose=False)
  assert not {'mean', 'mean_threshold'} & set(answer.verdicts)
  assert answer.remedy.average == 1
