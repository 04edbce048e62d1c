"""The remedies with estimators of scikit-learn, trained as `compare` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from tfx_balance.compare.estimator_training import EstimatorTraining
from tfx_balance.compare.remedy import Remedy
from tfx_balance.compare.trainers import Task
from tfx_balance.plan.labels import count_labels

from benchmarks.remedies_training import Array

MODELS: dict[str, Callable[[], Any]] = {
  'linear': lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
  'boosting': HistGradientBoostingClassifier,
  'forest': lambda: RandomForestClassifier(200, min_samples_leaf=2),
}


def train_estimator(
  model: str,
  x: Array,
  labels: Array,
  trained: Sequence[Array],
  tested: Sequence[Array],
  seed: int,
) -> dict[str, list[Array]]:
  """Returns, by arm, the log probabilities of what each fold tests; see `remedies_training.train`.

  Args:
    model: One of `MODELS`.
    x: Features of all records, [n, d].
    labels: Index of each record's class, [n].
    trained: Rows that each fold trains on.
    tested: Rows that each fold tests.
    seed: Seed of the models.
  """
  counts = count_labels(labels)[0]
  plain = Remedy('natural', counts.classes, counts.records, (0.0,) * len(counts.classes))
  training = EstimatorTraining.of(MODELS[model], x, labels, plain, np.inf)
  tasks = [
    Task(0, 1000 * seed + i, *rows) for i, rows in enumerate(zip(trained, tested, strict=True))
  ]
  folds = list(training.folds(tasks, 2))
  return {arm: [fold.log_p[arm] for fold in folds] for arm in training.remedies}
