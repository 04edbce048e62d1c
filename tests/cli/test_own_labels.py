import pytest
from tfx_balance.cli.own_labels import LabelCounts, check_classes, check_number_of_classes
from tfx_balance.errors import DataError

MISSING = LabelCounts({'a': 8, 'b': 4}, missing=3, first_missing='in line 7 of a.csv')


def test_records_without_a_label_are_refused_with_their_place():
  message = (
    r"'kind' is missing in 3 of 15 records, the first of them in line 7 of a.csv; "
    r'fill it in, or pass --missing_label drop or own'
  )
  with pytest.raises(DataError, match=message):
    check_classes('kind', MISSING, 'error')


@pytest.mark.parametrize('missing_label', ['drop', 'own', 'own_stratum'])
def test_records_without_a_label_are_no_fault_if_one_says_what_becomes_of_them(missing_label):
  check_classes('kind', MISSING, missing_label)


@pytest.mark.parametrize(
  ('counts', 'missing_label', 'message'),
  [
    (LabelCounts({'a': 5, 'b': 4}), 'error', 'there are 9 records with a label, too few for train'),
    (LabelCounts({'a': 5}, missing=9), 'drop', 'there are 5 records with a label, too few'),
    (LabelCounts({}, missing=90), 'drop', 'there are 0 records with a label, too few'),
    (LabelCounts({b'a': 90}), 'error', "'kind' has one class only, 'a'; add records of another"),
    (LabelCounts({7: 90}, missing=1), 'drop', "'kind' has one class only, 7; add records"),
    (LabelCounts({}, missing=90), 'own', r"one class only, '\(missing\)'"),
    (LabelCounts({i: 1 for i in range(90)}), 'error', 'has 90 classes, and fewer than 2 of them'),
    (LabelCounts({'a': 90, 'b': 1}), 'error', 'has 2 classes, and fewer than 2 of them have more'),
    (
      LabelCounts({b'caf\xe9': 90, b'b': 90}),
      'error',
      r"has the value b'caf\\xe9', which is not UTF-8, as Evaluator requires; write",
    ),
  ],
  ids=[
    'few records',
    'few without those dropped',
    'none without those dropped',
    'one class of text',
    'one class of numbers',
    'missing is all',
    'every value once',
    'all but one class once',
    'not UTF-8',
  ],
)
def test_what_cannot_be_learned_is_refused(counts, missing_label, message):
  with pytest.raises(DataError, match=message):
    check_classes('kind', counts, missing_label)


@pytest.mark.parametrize(
  ('counts', 'missing_label'),
  [
    (LabelCounts({'a': 8, 'b': 2}), 'error'),
    (LabelCounts({'a': 8}, missing=2), 'own_stratum'),
    (LabelCounts({i: 2 for i in range(13_789)}), 'error'),
    (LabelCounts({'é'.encode(): 8, b'': 2}), 'error'),
  ],
  ids=['ten records', 'missing as the second class', '13,789 classes', 'UTF-8, and empty text'],
)
def test_what_can_be_learned_is_not(counts, missing_label):
  check_classes('kind', counts, missing_label)


def test_a_label_may_not_have_any_number_of_values():
  check_number_of_classes('kind', 100_000)
  with pytest.raises(DataError, match="'kind' has more than 100,000 values, and the model"):
    check_number_of_classes('kind', 100_001)
