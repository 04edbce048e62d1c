"""The page: numbers equal to a recount, names safe and legible, nothing that is not its own."""

import math
import re
from html import unescape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.documents.json_document import sealed
from tfx_balance.documents.recall import ClassRecall, ModelRecall, RecallDocument
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import read_run, render_html
from tfx_balance.report.measures import class_name, short
from tfx_balance.report.page import render_fragment, render_page
from tfx_balance.report.run_view import merge
from tfx_balance.report.sources import findings_of
from tfx_balance.report.tables import MOST_FAILED, MOST_RULES, worst_check

from tests.helpers_examples import cells, labelled, read_splits
from tests.helpers_pipeline import execute, input_artifact
from tests.report.helpers_report import (
  NASTY,
  Page,
  checks_data,
  long_tail,
  recall_data,
  split_data,
  write_run,
)


def number(text):
  return int(text.replace(',', ''))


@pytest.fixture(scope='module')
def artifacts(tmp_path_factory):
  """Returns what three components made of records of 5 classes, and the records of each."""
  root = tmp_path_factory.mktemp('artifacts')
  records = labelled({b'<a>': 61, b'b': 30, 'ü'.encode(): 17, b'd': 4, b'e': 1})
  raw = input_artifact(root / 'raw', {'all': [records]})
  split = execute(StratifiedSplitter, [raw], root / 'split', stratify_by='label')
  balanced = execute(BalancedAugmenter, [split], root / 'balanced')
  fed = execute(BalancedInputGen, [balanced], root / 'fed', label='label')
  found = [('Raw data', {'all': records}), ('Split', read_splits(split.uri))]
  found += [('Balanced', read_splits(balanced.uri)), ('Fed to the Trainer', read_splits(fed.uri))]
  return [split.uri, balanced.uri, fed.uri], found


def test_the_numbers_of_the_page_are_those_of_a_recount(artifacts):
  uris, found = artifacts
  page = Page(render_html(uris))
  head, *rows = page.tables['report-classes']
  shown = {}
  for row in rows[:-2]:
    for column, text in zip(head[2:], row[2:], strict=True):
      stage, _, split = column.partition(': ')
      shown[stage, split or 'all', row[0]] = number(text)
  counted = {
    (stage, split, value.decode()): n
    for stage, splits in found
    for (value, split), n in cells(splits).items()
  }
  expected = {key: n for key, n in counted.items() if (key[0], key[1]) in {k[:2] for k in shown}}
  assert {key: n for key, n in shown.items() if n} == expected
  assert {key[:2] for key in shown} == {
    ('Raw data', 'all'),
    ('Split', 'train'),
    ('Split', 'eval'),
    ('Split', 'test'),
    ('Balanced', 'train'),
    ('Fed to the Trainer', 'train'),
  }


def test_the_sums_of_the_page_are_those_of_a_recount(artifacts):
  uris, found = artifacts
  html = render_html(uris)
  assert html == render_html(uris)
  page = Page(html)
  shown = {
    (row[0], 'all' if row[1] == 'whole' else row[1]): number(row[2])
    for row in page.tables['report-stages'][1:]
    if row[2]
  }
  counted = {
    (stage, split): len(records) for stage, splits in found for split, records in splits.items()
  }
  assert len(shown) == 6
  assert shown == {key: counted[key] for key in shown}
  assert '✓ Balanced: Input of BalancedInputGen counted the same.' in page.text


# --- names


@pytest.fixture(scope='module')
def nasty(tmp_path_factory):
  """Returns the page of classes whose names nobody wants to see, all of them."""
  uris = write_run(tmp_path_factory.mktemp('nasty'), long_tail(len(NASTY), 3000, nasty=True), False)
  return render_html(uris, title='<script>alert(3)</script>')


def test_no_name_becomes_an_element(nasty):
  page = Page(nasty)
  assert len(page.ids) == len(set(page.ids)) > 20
  assert nasty.count('&lt;script&gt;alert(3)&lt;/script&gt;') >= 2  # the title
  assert not {'script', 'img', 'link', 'iframe', 'object', 'image', 'b'} & set(page.tags)
  assert [link for link in page.links if not link.startswith('#')] == []
  assert not re.search(r'\bon\w+=', re.sub(r'>[^<]*<', '><', nasty))


@pytest.mark.parametrize('value', NASTY, ids=[f'{name[:12]!r}' for name in NASTY])
def test_every_name_is_legible(nasty, value):
  name = class_name(ClassValue('bytes', value))
  page = Page(nasty)
  names = [row[0] for row in page.tables['report-classes'][1:]]
  assert short(name) in names
  assert short(name) == name or name in page.titles
  assert name.strip()


def test_names_that_say_what_a_person_cannot_see(nasty):
  names = [row[0] for row in Page(nasty).tables['report-classes'][1:]]
  assert len(names) == len(set(names))
  assert {'(empty)', '(2 spaces)', '\\u202egnp.exe', '\\xff\\xfe not UTF-8 \\x00'} <= set(names)
  assert 'a\\nb\\tc \\x1b[31mred' in names


@settings(max_examples=6)
@given(
  st.dictionaries(
    st.binary(max_size=12).map(lambda value: ClassValue('bytes', value)),
    st.integers(1, 500),
    min_size=1,
    max_size=6,
  )
)
def test_any_bytes_make_a_page_that_is_whole(counts):
  view = merge([findings_of(split_data(counts), 'x')])
  page = Page(render_page(view))
  rows = page.tables['report-classes'][1:-2]
  assert [row[0] for row in rows] == [short(class_name(value)) for value in view.classes]
  assert {'html', 'body', 'article', 'svg'} <= set(page.tags)
  assert 'script' not in page.tags


def test_halves_of_characters_are_escaped():
  data = recall_data({ClassValue('bytes', b'a'): 100}, 1)
  data['models'][0]['name'] = 'half \ud83d of a pair'
  html = render_page(merge([findings_of(sealed(data), 'x')]))
  assert 'half \\ud83d of a pair' in html
  html.encode('utf-8')


def test_no_text_of_a_document_reaches_the_page_unseen_or_at_any_length():
  nasty = 'a\x1b[31m\x00\u202eb' + 'x' * 30_000
  data = split_data(long_tail(5), stratify_by=[nasty])
  data = {**data, 'component': nasty, 'warnings': [nasty], 'passed_through': [nasty]}
  recall = recall_data(long_tail(5), 2)
  recall = {**recall, 'label': nasty, 'models': [{**m, 'name': nasty} for m in recall['models']]}
  checks = checks_data(split_data(long_tail(5)), False)
  checks = {**checks, 'counts_from': nasty, 'missing': {nasty: 3}}
  view = merge([findings_of(sealed(each), nasty) for each in (data, recall, checks)])
  html = render_page(view, nasty)
  assert not set(html) & {'\x1b', '\x00', '\u202e'}
  assert 'x' * 3000 not in html
  assert 'a\\x1b[31m\\x00\\u202eb' in html


# --- what a page is made of


def test_two_reports_in_one_notebook_have_no_id_in_common():
  view = merge([findings_of(split_data(long_tail(5)), 'x')])
  first, second = (Page(render_fragment(view, prefix=prefix)).ids for prefix in ('one', 'two'))
  assert first
  assert not set(first) & set(second)


def test_a_browser_may_load_nothing(nasty):
  assert "default-src 'none'; style-src 'unsafe-inline'" in nasty
  assert not re.search(r'url\((?!#)|@import|https?://(?!www\.w3\.org)', nasty)


def test_pictures_have_words_and_tables_have_heads(nasty):
  page = Page(nasty)
  assert page.tags.count('svg') == page.tags.count('desc') == 4  # recall is there for phones too
  assert page.tags.count('table') == page.tags.count('caption') == page.tags.count('thead')


def test_colours_of_the_pictures_follow_the_page(nasty):
  (style,) = re.findall(r'<style>\s*\.tfx-balance.*?</style>', nasty, re.DOTALL)
  pictures = ''.join(re.findall(r'<svg.*?</svg>', nasty, re.DOTALL))
  tags = ''.join(re.findall(r'<[^>]*>', pictures))
  assert not re.search(r'#[0-9a-f]{6}\b', tags)
  used = set(re.findall(r'var\(--([\w-]+)\)', tags))
  assert {'ink', 'ground', 'series-1', 'series-2', 'series-3'} <= used
  assert all(style.count(f'--{name}: #') == 3 for name in used)  # light, dark and on paper


@pytest.mark.parametrize('n', [100, 1000])
def test_many_classes_are_shown_by_their_extremes(tmp_path, n):
  counts = long_tail(n)
  html = render_html(write_run(tmp_path, counts))
  page = Page(html)
  names = [str(value) for value in counts]
  assert [row[0] for row in page.tables['report-largest'][1:]] == names[:10]
  assert [row[0] for row in page.tables['report-smallest'][1:]] == names[-10:]
  assert [row[0] for row in page.tables['report-classes'][1:]] == names
  lowest = [float(row[1]) for row in page.tables['report-worst'][1:]]
  assert len(lowest) == 10
  assert lowest == sorted(lowest)
  assert page.tags.count('details') >= 2
  assert len(html) < 300_000 + 1_000 * n
  pictures = ''.join(re.findall(r'<svg.*?</svg>', html, re.DOTALL))
  assert names[1] not in pictures  # curves, not a bar a class


def test_ten_thousand_violations_are_summed_up():
  data = checks_data(split_data(long_tail(10)), True)
  broken = {**data['checks'][-1], 'passed': False}
  data.update(checks=[broken] * 10_000, blessed=0)
  page = Page(render_page(merge([findings_of(data, 'x')])))
  assert len(page.tables['report-failed-0']) == 1 + MOST_FAILED
  assert f'and {10_000 - MOST_FAILED:,} more' in page.text
  assert '10,000 violations' in page.text


def words_of(html, pattern):
  """Returns the words of each part of a page that a pattern finds, tags left out."""
  parts = re.findall(pattern, html, re.DOTALL)
  return [' '.join(unescape(re.sub(r'<[^>]*>', ' ', part)).split()) for part in parts]


IN_ORDER = 'recall-title', 'counts-title', 'checks', 'rules-0', 'ideal-split-title'


def test_the_first_card_has_macro_recall_and_worst_class_of_every_model(tmp_path):
  counts = long_tail(12)
  html = render_html(write_run(tmp_path, counts))
  expected = []
  for model in recall_data(counts, 2)['models']:
    worst = min(model['recall'], key=lambda row: row['recall'])
    macro = sum(row['recall'] for row in model['recall']) / len(counts)
    expected.append(
      f'{model["name"]} {macro:.3f} macro recall, the mean over classes '
      f'{worst["recall"]:.3f} worst class: {worst["name"]} ({worst["tested"]:,} tested)'
    )
  (card,) = words_of(html, r'<dl class="answers">.*?</dl>')
  assert card == ' '.join(expected)
  parts = ('class="answers"', 'class="tiles"', *(f'id="report-{name}' for name in IN_ORDER))
  found = [html.index(part) for part in parts]
  assert found == sorted(found)


def test_of_equally_bad_classes_the_rarest_is_named_first():
  rows = [('a', 1.0, 9), ('b', 0.0, 2), ('c', 0.0, 5), ('d', None, 0)]
  models = [
    ModelRecall('m', tuple(ClassRecall(ClassValue('bytes', n.encode()), r, k) for n, r, k in rows)),
    ModelRecall('not measured', ()),
  ]
  html = render_page(merge([findings_of(RecallDocument('x', tuple(models)).to_json(), 'x')]))
  (card,) = words_of(html, r'<dl class="answers">.*?</dl>')
  assert card == (
    'm 0.333 macro recall, the mean over classes 0.000 worst classes: b (2 tested), c (5 tested)'
  )


def test_accuracy_and_log_loss_are_in_the_table_of_models():
  rows = (ClassRecall(ClassValue('bytes', b'a'), 0.5, 4),)
  models = (ModelRecall('m', rows, 0.625, 1.25), ModelRecall('plain', rows))
  html = render_page(merge([findings_of(RecallDocument('x', models).to_json(), 'x')]))
  (table,) = words_of(html, r'<table id="report-models">.*?</table>')
  assert 'm 0.5 0.625 1.25 a' in table
  assert 'plain 0.5 - - a' in table


def test_without_models_the_first_card_has_classes_imbalance_and_the_worst_violation(tmp_path):
  counts = long_tail(12, 2000)
  html = render_html(write_run(tmp_path, counts, blessed=False)[:3])
  assert 'class="answers"' not in html
  (card,) = words_of(html, r'<dl class="tiles">.*?</dl>')
  assert card == (
    f'records {sum(counts.values()):,} Raw data classes 12 of species imbalance 25.4 → 5.0 largest '
    'class over smallest, before and after checks not passed 4 violations, worst: min_records of '
    'eval for species 0011 is 8, limit 13'
  )


def test_checks_and_warnings_are_folded_below_how_many_and_the_worst(tmp_path):
  counts = {**long_tail(12, 2000), ClassValue('bytes', b'rare'): 1}
  html = render_html(write_run(tmp_path, counts, blessed=False))
  folds = words_of(html, r'<summary>(.*?)</summary>')
  assert folds[:4] == [
    'Broken rules: 5, worst: min_records of eval for rare is 0, limit 13',
    'In more than one split: 1 of 1 pairs of splits, worst: 17 records of test are in train too',
    'Every rule: 1 of 4 broken, worst: min_records of eval for rare is 0, limit 13',
    'Split: 1, the first: class rare has 1 record, too few for every split: none in eval, test',
  ]
  open_parts = re.sub(r'<details.*?</details>', '', html, flags=re.DOTALL)
  assert (
    not {'report-failed-0', 'report-rules-0', 'report-leakage-0'} & Page(open_parts).tables.keys()
  )
  assert open_parts.count('too few for every split') == 0


@pytest.mark.parametrize(
  ('checks', 'worst'),
  [
    pytest.param([(3, 10, False), (40, 90, False)], '3, limit 10', id='relative to the limit'),
    pytest.param([(3, 10, False), (2, 0, False)], '2, limit 0', id='nothing is allowed'),
    pytest.param([(math.inf, 2, False), (9, 2, False)], '∞, limit 2', id='without end'),
    pytest.param([(0.9, 1, True), (5, 1, True)], '0.9, limit 1', id='nearest of those kept'),
    pytest.param([(0, 0, True), (30, 10, True)], '30, limit 10', id='at a limit of 0'),
    pytest.param([(1, 1, True), (30, 10, False)], '30, limit 10', id='a broken one first'),
  ],
)
def test_the_worst_check(checks, worst):
  found = [Check('rule', 'eval', None, None, *numbers, '') for numbers in checks]
  assert worst_check(found) == f'rule of eval is {worst}'


def test_rules_that_are_left_out_are_counted():
  data = checks_data(split_data(long_tail(4)), True)
  rules = [{**data['checks'][0], 'rule': f'rule {i}'} for i in range(MOST_RULES + 7)]
  page = Page(render_page(merge([findings_of({**data, 'checks': rules}, 'x')])))
  assert len(page.tables['report-rules-0']) == 1 + MOST_RULES
  assert 'and 7 more: class_checks.json has them all' in page.text


def test_what_was_checked_is_shown_with_its_limit(nasty):
  page = Page(nasty)
  rules = page.tables['report-rules-0']
  assert ['l_infinity', 'train and baseline:train', '0.004', '0.01', 'kept'] in rules
  assert any(row[0] == 'min_records' and row[-1].endswith(' broken') for row in rules)
  leakage = page.tables['report-leakage-0'][1]
  assert leakage[:5] == ['test', 'train', 'records', '17', '0.1%']
  assert leakage[5].startswith('<b>id 7</b>, ')
  assert 'not passed' in page.text


def test_a_measurement_without_end_is_shown_as_such():
  data = checks_data(split_data(long_tail(4)), False)
  data['checks'] = [{**data['checks'][0], 'measured': None, 'passed': False}]
  page = Page(render_page(merge([findings_of(data, 'x')])))
  assert page.tables['report-failed-0'][1][3] == '∞'


def test_parameters_and_warnings_are_shown(tmp_path):
  counts = {**long_tail(4), ClassValue('bytes', b'rare'): 1}
  view = read_run(write_run(tmp_path, counts))
  page = Page(render_page(view))
  rows = dict(row[:2] for row in page.tables['report-parameters-1'][1:])
  assert rows['splits'] == '{"train": 8, "eval": 1, "test": 1}'
  assert 'class rare has 1 record, too few for every split' in page.text


def test_models_stand_beside_each_other(tmp_path):
  page = Page(render_html(write_run(tmp_path, long_tail(12), models=7)))
  assert len(page.tables['report-models']) == 1 + 7
  assert page.tables['report-recall'][0][1:4] == ['natural', 'tested', 'balanced']


def test_a_run_without_anything_but_models_is_shown():
  page = Page(render_page(merge([findings_of(recall_data(long_tail(5), 2), 'x')])))
  assert 'report-recall' in page.tables
  assert 'not checked' in page.text


def test_a_class_without_records_has_no_ratio():
  counts = {ClassValue('int', 0): 9, ClassValue('int', 1): 0}
  page = Page(render_page(merge([findings_of(split_data(counts), 'x')])))
  assert [row[6] for row in page.tables['report-stages'][1:]] == ['∞'] * 4
