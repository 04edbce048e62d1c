"""`eval` of test data has the classes of training, and says when it gives trained records."""

import warnings

import numpy as np
import pandas as pd
import pytest
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.inputs import BalancedInputs

from tests.inputs.helpers_inputs import SPEC, example, write_file

X, Y = np.arange(8.0), np.array(['a', 'b', 'c', 'a'] * 2)
X_TEST, Y_TEST = np.array([20.0, 21, 22]), np.array(['c', 'a', 'c'])  # without b


def labels_of(dataset):
  return np.concatenate([label.numpy() for _, label in dataset]).tolist()


def inputs():
  return BalancedInputs.from_arrays(X, Y)


def test_indices_of_test_data_are_those_of_the_training_classes():
  made = inputs()
  assert labels_of(made.eval(2, data=(X_TEST, Y_TEST), label_as='index')) == [2, 0, 2]
  one_hot = labels_of(made.eval(2, data=(X_TEST, Y_TEST), label_as='one_hot'))
  assert one_hot == [[0, 0, 1], [1, 0, 0], [0, 0, 1]]
  ((features, parsed),) = made.eval(9, data=(X_TEST, Y_TEST))
  assert features.numpy().tolist() == [20, 21, 22]
  assert parsed.numpy().tolist() == [b'c', b'a', b'c']


@pytest.mark.parametrize(
  'test',
  [
    lambda: (pd.DataFrame({'x': X_TEST}), pd.Series(Y_TEST, [9, 9, 9])),
    lambda: BalancedInputs.from_arrays({'x': X_TEST}, Y_TEST),
    lambda: BalancedInputs.from_generator(
      lambda: ((dict(x=x), y) for x, y in zip(X_TEST, Y_TEST, strict=True))
    ),
  ],
  ids=['table', 'inputs', 'generator'],
)
def test_test_data_is_of_any_kind(test):
  made = BalancedInputs.from_arrays({'x': X}, Y)
  assert labels_of(made.eval(2, data=test(), label_as='index')) == [2, 0, 2]
  decoded = made.eval(2, data=test(), label_as='index', decode_fn=lambda f: {'y': f['x'] + 1})
  assert [y for f, _ in decoded for y in f['y'].numpy()] == [21, 22, 23]
  assert labels_of(decoded) == [2, 0, 2]


def test_test_files_have_the_classes_of_the_training_files(tmp_path):
  for name, labels in (('train', [1, 2, 3, 3]), ('test', [3, 1])):
    write_file(tmp_path / name, [example(i, label) for i, label in enumerate(labels)])
  train, test = (
    BalancedInputs.from_files(str(tmp_path / name), 'label', SPEC) for name in ('train', 'test')
  )
  assert labels_of(train.eval(5, data=test, label_as='index')) == [2, 0]
  with pytest.raises(
    DataError, match=r"class 2 of data=, an integer, is not in \['1', '3'\].*leave its"
  ):
    test.eval(5, data=train)


def test_a_class_that_training_lacks_is_refused():
  with pytest.raises(
    DataError, match=r"class d of data=, a text, is not in \['a', 'b', 'c'\], .* leave"
  ):
    inputs().eval(4, data=(X_TEST, ['c', 'd', 'a']))


def test_classes_of_another_type_are_refused_with_both_types():
  made = BalancedInputs.from_arrays(X, [0, 1, 2, 0] * 2)
  message = (
    r"class 0 of data=, a text, is not in \['0', '1', '2'\], .* 0 is an integer; give both one"
  )
  with pytest.raises(DataError, match=message):
    made.eval(4, data=(X_TEST, ['2', '0', '2']))


def test_several_labels_have_the_columns_of_training():
  made = BalancedInputs.from_arrays(X, np.array([[1, 0, 0], [0, 1, 1]] * 4), multilabel=True)
  rows = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 0]])
  data = made.eval(2, data=(X_TEST, rows), label_as='multi_hot')
  assert labels_of(data) == rows.tolist()
  with pytest.raises(DataError, match=r'rows of 2 labels are to be .* these inputs have 3 labels'):
    made.eval(2, data=(X_TEST, rows[:, 1:]), label_as='multi_hot')
  with pytest.raises(ConfigError, match='multilabel=False in data=, and these inputs have'):
    made.eval(2, data=BalancedInputs.from_arrays(X_TEST, Y_TEST))


@pytest.mark.parametrize('data', [X_TEST, (X_TEST,), [X_TEST, Y_TEST], 7], ids=str)
def test_what_is_no_pair_is_refused(data):
  with pytest.raises(ConfigError, match=r'data=.* must be features and labels.*; give for example'):
    inputs().eval(4, data=data)


@pytest.mark.parametrize('split', ['test', 'eval', 'train'])
def test_inputs_without_splits_refuse_one(split):
  with pytest.raises(ConfigError, match=rf"split='{split}', and arrays.* have no splits; give"):
    inputs().eval(4, split=split)


def test_eval_of_trained_records_warns_and_data_says_that_they_are_meant():
  made = inputs()
  with pytest.warns(UserWarning, match='eval without data= gives the records that train draws'):
    assert labels_of(made.eval(9)) == [label.encode() for label in Y]
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    assert len(labels_of(made.eval(9, data=made))) == 8
    made.eval(9, data=(X_TEST, Y_TEST))
