import math

import pytest
from tfx_balance.cli.evaluation import Recall, Spread, compare, score
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.report.evaluations import class_of_slice

from tests.cli.helpers_summary import make_models, make_result, make_scores

A, B = ClassValue('bytes', b'a'), ClassValue('bytes', b'b')


def test_recall_is_the_accuracy_within_a_class():
  result = make_result(
    {'accuracy': 10 / 12, 'example_count': 12},
    {  # TFMA's values are float32
      'a': {'accuracy': 0.8999999761581421, 'example_count': 10},
      'b': {'accuracy': 0.5, 'example_count': 2},
    },
  )
  scores = score('balanced', result, 'kind')
  assert scores.recalls == {A: Recall(9, 10), B: Recall(1, 2)}
  assert scores.accuracy == pytest.approx(10 / 12)
  assert scores.macro_recall == pytest.approx((0.9 + 0.5) / 2)  # each class counts the same
  assert scores.worst == 0.5


def test_precision_counts_what_was_predicted_over_all_trainings():
  found = []
  for of_a, of_b in ((3, 1), (5, 1)):  # records taken for a: of a, and of b
    cells = [(0, 0, of_a), (0, 1, 8 - of_a), (1, 0, of_b)]
    entries = [
      {'actualClassId': i, 'predictedClassId': j, 'numWeightedExamples': n} for i, j, n in cells
    ]
    plots = [
      (key, {'': {'': {'multiClassConfusionMatrixAtThresholds': {'matrices': [{'entries': own}]}}}})
      for key, own in (
        ((), entries),
        ((('kind', 'a'),), entries[:2]),
        ((('kind', 'b'),), entries[2:]),
      )
    ]
    by_class = {
      'a': {'accuracy': of_a / 8, 'example_count': 8},
      'b': {'accuracy': 0.0, 'example_count': of_b},
    }
    overall = {'accuracy': of_a / 9, 'example_count': 9}
    found.append(score('balanced', make_result(overall, by_class, plots=plots), 'kind'))
  (model,) = compare(found)
  assert model.recall(A) == Recall(8, 16, 10)
  assert model.recall(A).precision == 0.8
  assert model.recall(B) == Recall(0, 2, 8)
  unknown = compare([found[0], *make_scores_of('a')])[0]
  assert unknown.recall(A).precision is None  # one training does not say


def make_scores_of(name):
  return [make_scores('balanced', {name: (1, 2)})]


def test_each_output_of_a_model_has_scores_of_its_own():
  plain = make_result({'accuracy': 0.5, 'example_count': 2, 'log_loss': 0.7}, {})
  adjusted = make_result({'accuracy': 1.0, 'example_count': 2, 'log_loss': 0.2}, {})
  ((_, one),), ((_, other),) = plain.slicing_metrics, adjusted.slicing_metrics
  plain.slicing_metrics = [((), {'probabilities': one[''], 'adjusted': other['']})]
  found = score('natural', plain, 'kind', 'probabilities')
  assert (found.accuracy, found.log_loss) == (0.5, 0.7)
  found = score('natural + threshold', plain, 'kind', 'adjusted')
  assert (found.accuracy, found.log_loss) == (1.0, 0.2)


def test_records_without_a_label_are_those_in_no_slice():
  result = make_result(
    {'accuracy': 0.6000000238418579, 'example_count': 15},
    {'a': {'accuracy': 0.5, 'example_count': 10}},
  )
  assert score('balanced', result, 'kind').recalls == {A: Recall(5, 10), MISSING: Recall(4, 5)}


def test_slices_of_other_features_are_no_classes():
  result = make_result({'accuracy': 1.0}, {'x': {'accuracy': 0.0}}, label='other')
  scores = score('balanced', result, 'kind')
  assert scores.recalls == {}
  assert math.isnan(scores.macro_recall)
  assert math.isnan(scores.worst)


@pytest.mark.parametrize(
  ('value', 'expected'),
  [
    (3, ClassValue('int', 3)),
    (3.0, ClassValue('float', 3.0)),
    ('3', ClassValue('bytes', b'3')),
    (b'3', ClassValue('bytes', b'3')),
  ],
  ids=['int', 'float', 'str', 'bytes'],
)
def test_a_slice_keeps_the_type_of_its_class(value, expected):
  assert class_of_slice(value) == expected


def test_several_seeds_have_a_mean_and_a_spread():
  (models,) = make_models({'a': (9, 10), 'b': (1, 2)}, {'a': (7, 10), 'b': (2, 2)})
  assert models.spread('macro_recall') == Spread.of([0.7, 0.85], 12)
  assert str(models.spread('macro_recall')) == '0.775 ± 0.106'  # 0.15 / sqrt(2)
  assert str(models.spread('worst')) == '0.600 ± 0.141 from 2 records'  # b at first, then a
  assert models.recall(A) == Recall(16, 20)
  assert models.recall(ClassValue('int', 1)) is None


def test_a_spread_of_few_records_says_so():
  (models,) = make_models({'a': (1, 2)}, {'a': (1, 2)})
  for spread in (models.spread('macro_recall'), models.spread('worst'), models.spread('accuracy')):
    assert str(spread).endswith(' ± 0.000 from 2 records')
  (models,) = make_models({'a': (1, 1), 'b': (9, 9)}, {'a': (1, 1), 'b': (9, 9)})
  assert str(models.spread('macro_recall')) == '1.000 ± 0.000'
  assert str(models.spread('worst')) == '1.000 ± 0.000 from 1 record'


def test_one_seed_has_no_spread():
  spread = Spread.of([0.5], 2)
  assert str(spread) == '0.500'
  assert math.isnan(spread.deviation)


def test_models_keep_the_order_in_which_they_come():
  scores = [make_scores(name, {'a': (1, 2)}) for name in ('natural', 'balanced') * 2]
  assert [(c.model, len(c.trainings)) for c in compare(scores)] == [('natural', 2), ('balanced', 2)]
