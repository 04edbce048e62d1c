import io
from dataclasses import replace

import pytest
from rich.console import Console
from tfx_balance.cli import summary_tables
from tfx_balance.cli.evaluation import compare
from tfx_balance.cli.summary import Summary
from tfx_balance.plan.checks import Check

from tests.cli.helpers_summary import (
  make_balanced_sidecar,
  make_models,
  make_scores,
  make_sidecar,
  summarize,
)


@pytest.fixture
def three_classes() -> Summary:
  """Of 'c' nothing is in test, so that it has no recall."""
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)}, ('c is small',))
  return summarize(sidecar, make_models({'a': (9, 10), 'b': (1, 2)}))


def print_to_text(numbers: Summary, label: str = 'kind', width: int = 80) -> str:
  screen = Console(file=io.StringIO(), width=width)
  summary_tables.print_summary(screen, numbers, label)
  return screen.file.getvalue()


def lines_of(numbers: Summary) -> list[str]:
  return [' '.join(line.split()) for line in print_to_text(numbers).splitlines()]


def test_printed_tables_have_every_number(three_classes):
  lines = lines_of(three_classes)
  bar = '█' * summary_tables.BAR_WIDTH
  assert f'a 80 10 10 100 89.3% {bar}' in lines
  assert 'c 1 0 0 1 0.9% █' in lines
  assert 'records 89 11 12 112' in lines
  assert 'max / min 80.0 ∞ ∞ 100.0' in lines
  assert 'class train tested recall' in lines
  assert 'a 80 10 0.900' in lines
  assert 'b 8 2 0.500' in lines
  assert 'c 1 0 not tested' in lines
  assert 'macro recall 12 0.700' in lines
  assert 'worst class 0.500' in lines
  assert 'accuracy 0.833' in lines
  assert '! c is small' in lines


def test_precision_stands_beside_recall_or_below_that_of_several_models():
  measured = {'a': (9, 10, 12), 'b': (1, 2, 0), 'c': (0, 1)}
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)})
  lines = lines_of(summarize(sidecar, make_models(measured)))
  assert 'class train tested recall precision' in lines
  assert 'a 80 10 0.900 0.750' in lines
  assert 'b 8 2 0.500 -' in lines
  models = compare(make_scores(name, measured) for name in ('natural', 'balanced'))
  lines = lines_of(summarize(sidecar, models))
  assert 'class train tested natural balanced' in lines
  below = lines[lines.index('Precision on the same records') :]
  assert 'class natural balanced' in below
  assert 'a 0.750 0.750' in below
  assert 'c - -' in below


FOUR = 'natural', 'natural + threshold', 'balanced', 'balanced + correction'


def test_four_models_stand_beside_each_other_with_mean_and_spread():
  hits = [(0, 1), (1, 2), (1, 2), (0, 0)]  # of class b, for each model, in both trainings
  scores = [
    replace(make_scores(name, {'a': (10, 10), 'b': (of_b[i], 2)}), log_loss=i + 0.25)
    for i in range(2)
    for name, of_b in zip(FOUR, hits, strict=True)
  ]
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10)})
  text = print_to_text(summarize(sidecar, compare(scores)))
  lines = [' '.join(line.split()) for line in text.splitlines()]
  assert 'in natural balanced' in lines
  assert 'class train tested natural + threshold balanced + correction' in lines
  assert 'b 8 2 0.250 0.750 0.750 0.000' in lines
  at = lines.index('macro recall 12 0.625 0.875 0.875 0.500')
  assert lines[at + 1] == '± 0.177 ± 0.177 ± 0.177 ± 0.000'
  at = lines.index('log loss 0.750 0.750 0.750 0.750')
  assert lines[at + 1] == '± 0.707 ± 0.707 ± 0.707 ± 0.707'
  assert 'Mean and standard deviation of 2 trainings with different seeds.' in lines
  assert '+ threshold: log p - t log prior; t is best for macro recall on split eval.' in lines
  note = 'Classes with fewer'  # which the terminal wraps
  assert all(len(line) <= 80 for line in text.splitlines() if not line.startswith(note))


def test_a_score_that_was_not_measured_has_no_row(three_classes):
  assert 'log loss' not in print_to_text(three_classes)


def test_one_training_each_is_no_proof():
  scores = [make_scores(model, {'a': (9, 10)}) for model in ('natural', 'balanced')]
  lines = lines_of(summarize(make_sidecar({'a': (8, 1, 1)}), compare(scores)))
  assert 'One training each: small differences are not significant. See --compare 5.' in lines


def test_each_fold_is_a_row_with_mean_and_spread_below():
  scores = [
    make_scores('natural', {'a': (10, 10), 'b': (0, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (1, 2)}),
    make_scores('natural', {'a': (8, 10), 'b': (2, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (2, 2)}),
  ]
  sidecar = make_sidecar({'b': (2, 2, 3), 'a': (10, 10, 0)}, names=('fold-0', 'fold-1', 'test'))
  lines = lines_of(summarize(sidecar, compare(scores), folds=2))
  assert 'class tested natural balanced' in lines
  assert 'b 4 0.500 0.750' in lines  # of both folds
  at = lines.index('Cross-validation over 2 folds')
  table = [line for line in lines[at:] if line]
  assert 'fold tested natural balanced' in table
  at = table.index('macro recall')
  assert table[at + 1 : at + 5] == [
    '0 12 0.500 0.700',
    '1 12 0.900 0.950',
    'mean 24 0.700 0.825',
    'std dev 0.283 0.177',
  ]
  at = table.index('worst class')
  assert table[at + 1 : at + 3] == ['0 12 0.000 0.500', '1 12 0.800 0.900']
  at = table.index('accuracy')
  assert table[at + 1 : at + 3] == ['0 12 0.833 0.833', '1 12 0.833 0.917']
  assert 'Macro recall, balanced less natural: +0.125 ± 0.106; higher in 2 of 2 folds' in lines


def test_each_model_is_compared_with_the_first_over_the_folds():
  scores = [make_scores(name, {'a': (9 - i, 10)}) for i in range(2) for name in FOUR]
  sidecar = make_sidecar({'a': (10, 10, 0)}, names=('fold-0', 'fold-1', 'test'))
  lines = lines_of(summarize(sidecar, compare(scores), folds=2))
  found = [line.split(': ')[0] for line in lines if line.startswith('Macro recall,')]
  assert found == [f'Macro recall, {name} less natural' for name in FOUR[1:]]
  assert '+ threshold: log p - log prior.' in lines  # t is not tuned on what is tested


CHECK = Check('min_count', 'train', None, None, 5, 5, True, 'train: all is well')


def test_a_spread_of_two_test_records_says_so():
  scores = [make_scores(model, {'a': (1, 2)}) for model in ('natural', 'balanced') * 2]
  sidecar = make_sidecar({'a': (8, 1, 2)})
  lines = lines_of(summarize(sidecar, compare(scores)))
  at = lines.index('macro recall 2 0.500 0.500')
  assert lines[at + 1 : at + 4] == ['± 0.000 ± 0.000', 'from 2 from 2', 'records records']
  text = print_to_text(summarize(sidecar, compare(scores), folds=2))
  assert '+0.000 ± 0.000 from 2 records; higher in 0 of 2 folds' in text


def test_passed_checks_are_counted():
  lines = lines_of(summarize(make_sidecar({'a': (8, 1, 1)}), checks=[CHECK, CHECK]))
  assert '✓ 2 checks of class distributions passed' in lines


def test_broken_checks_of_one_rule_are_one_warning():
  broken = [replace(CHECK, passed=False, message=f'class {i} is off') for i in range(58)]
  found = summarize(make_sidecar({'a': (8, 1, 1)}), checks=broken).warnings
  assert found == ('min_count: class 0 is off; class 1 is off; class 2 is off; and 55 more',)


def test_a_broken_check_is_a_warning():
  broken = replace(CHECK, passed=False, message='train: all is lost')
  lines = lines_of(summarize(make_sidecar({'a': (8, 1, 1)}), checks=[CHECK, broken]))
  assert '! min_count: train: all is lost' in lines
  assert not any('passed' in line for line in lines)


def test_a_run_that_does_not_augment_says_nothing_of_copies(three_classes):
  assert summary_tables.check_lines(three_classes) == []
  assert 'copies' not in print_to_text(three_classes)


def test_a_run_without_a_model_has_one_table():
  assert 'ecall' not in print_to_text(summarize(make_sidecar({'a': (1, 1, 1)})))


def test_how_many_copies_were_made_is_told():
  numbers = summarize(
    make_sidecar({'a': (80, 10, 10), 'b': (8, 1, 2), 'c': (0, 0, 1)}),
    balanced=make_balanced_sidecar({'b': (8, 80), 'a': (80, 80)}),
  )
  lines = lines_of(numbers)
  assert 'b 8 80 1 2 11 9.8% █' in lines
  assert 'records 88 160 11 13 112' in lines
  assert '72 augmented copies balance train: 88 records, now 160' in lines


@pytest.mark.parametrize('width', [40, 80, 1000])
def test_no_number_is_cut_however_narrow_the_screen(width):
  names = [f'[bold] class {k} ' + 'x' * 60 for k in range(3)]
  numbers = summarize(
    make_sidecar(dict.fromkeys(names, (10**7, 10**6, 10**6))),
    make_models(dict.fromkeys(names, (10**6, 10**6)), dict.fromkeys(names, (0, 10**6))),
  )
  text = print_to_text(numbers, width=width)
  assert text.count('10,000,000  1,000,000  1,000,000  12,000,000') == 3
  assert text.count('10,000,000  1,000,000') == 6
  assert '± 0.707' in text
  assert '…' not in text
  assert '\x1b' not in text


def test_many_classes_show_the_largest_and_the_smallest():
  sidecar = make_sidecar({k: (1000 - k, 1, 1) for k in range(100)})
  lines = lines_of(summarize(sidecar, make_models({0: (1, 1)})))
  shown = [line.split()[0] for line in lines if 'not tested' in line]
  assert shown == [str(k) for k in (*range(1, 20), *range(80, 100))]
  assert lines.count('… 60 more …') == 2


def test_many_warnings_show_the_first_and_the_last():
  sidecar = make_sidecar({'a': (8, 1, 1)}, tuple(f'class {k} is small' for k in range(100)))
  lines = lines_of(summarize(sidecar, checks=[replace(CHECK, passed=False, message='all is lost')]))
  shown = [line for line in lines if line.startswith('!')]
  assert len(shown) == summary_tables.MOST_ROWS + 1
  assert shown[19:22] == [
    '! class 19 is small',
    '! … 61 more warnings …',
    '! class 81 is small',
  ]
  assert shown[-1] == '! min_count: all is lost'


@pytest.mark.parametrize(('count', 'length'), [(100, 8), (50, 4), (1, 1), (0, 0)])
def test_a_bar_is_never_empty_for_a_class_with_records(count, length):
  assert len(summary_tables.bar(count, 100)) == length
