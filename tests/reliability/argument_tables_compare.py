"""What each argument of `compare` and of its answer takes."""

from __future__ import annotations

from collections.abc import Iterator
from unittest import mock

import numpy as np
from sklearn.dummy import DummyClassifier
from tfx_balance import compare as compare_package
from tfx_balance.compare import answer as answer_module
from tfx_balance.compare import comparing, trainers

from tests.compare.helpers_folds import first_folds
from tests.reliability.arguments import (
  COUNT,
  FINITE_FROM_0,
  FLAG,
  INTEGERS,
  NONE,
  PATH,
  SEED,
  SHARE,
  Api,
  without,
)


def compare_apis() -> Iterator[Api]:
  """Yields compare, the metrics that it takes, and what its answer does."""
  x, y = np.arange(40.0).reshape(20, 2), np.repeat(['a', 'b'], [14, 6])
  records = {'model': DummyClassifier(), 'x': x, 'y': y}
  good = {**records, 'processes': 1, 'verbose': False}

  def in_this_process(call, data, tasks, processes):
    return (call(data, task) for task in tasks)

  # Five folds tell as much as 25, and how many processes there are tells nothing.
  short = (
    first_folds(),
    mock.patch.object(trainers, 'call_in_processes', in_this_process),
    mock.patch('builtins.print'),
  )
  yield Api(
    'compare',
    without(compare_package.compare, *short),
    good,
    {
      'processes': COUNT,
      'minutes': FINITE_FROM_0 - {'0'},
      **dict.fromkeys(('cost', 'prevalence'), NONE | {'{}'}),
      'averages': FLAG,
      'verbose': FLAG,
    },
    data=frozenset({'x', 'y', 'groups', 'times'}),
  )
  yield Api(
    'compare, what is of Keras alone',
    without(compare_package.compare, *short, mock.patch.object(comparing, 'check_no_limits')),
    good,
    {
      **dict.fromkeys(('steps', 'batch_size'), NONE | COUNT),
      'callbacks': NONE | {'int', 'lambda'},
    },
  )
  for name in ('recall_at_precision', 'precision_at_recall'):
    bound = name.rpartition('_')[2]
    yield Api(
      f'{name}, {bound}', getattr(compare_package, name), {bound: 0.5, 'name': 'a'}, {bound: SHARE}
    )
  answer = without(compare_package.compare, *short)(**good)
  yield Api(
    'Answer.fit',
    answer.fit,
    {'x': x, 'y': y},
    {'average': NONE | INTEGERS, 'seed': SEED},
    data=frozenset({'x', 'y'}),
  )
  yield Api('Answer.suspects', answer.suspects, {}, {'n': COUNT})
  unwritten = mock.patch.object(answer_module, 'write_whole')
  yield Api('Answer.save', without(answer.save, unwritten), {}, {'path': PATH})
