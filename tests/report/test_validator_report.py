"""What the validator itself wrote, in the report."""

import pytest
from tfx_balance.report import read_run
from tfx_balance.report.page import render_page

from tests.class_distribution_validator.helpers_validate import statistics_of, validate
from tests.helpers_examples import labelled
from tests.helpers_pipeline import input_artifact
from tests.report.helpers_report import Page

SPLITS = {
  'train': {b'<b>cat</b>': 50, b'dog': 40, b'\xff': 10},
  'eval': {b'<b>cat</b>': 4, b'dog': 36},
}


@pytest.fixture(scope='module')
def validated(tmp_path_factory):
  """Returns what the validator found in splits that are unlike each other and share records."""
  root = tmp_path_factory.mktemp('validated')
  shards = {name: [labelled(counts)] for name, counts in SPLITS.items()}
  return validate(
    root,
    {name: statistics_of(counts) for name, counts in SPLITS.items()},
    examples=input_artifact(root / 'examples', shards),
    label='label',
    min_count={'eval': 1},
    check_leakage='records',
  )


def test_what_the_validator_says_is_in_the_report(validated):
  view = read_run([str(validated.folder)])
  page = Page(render_page(view))
  data = validated.checks
  assert view.passed is False
  assert view.label == 'label'
  shown = [(row[0], row[1], row[5]) for row in page.tables['report-failed-0'][1:]]
  broken = validated.broken()
  assert len(shown) == len(broken) > 2
  assert {(row['rule'], row['message']) for row in broken} == {(a, c) for a, _, c in shown}
  assert len(page.tables['report-rules-0']) == 1 + len(
    {(row['rule'], row['split'], row['other']) for row in data['checks']}
  )
  assert f'{len(broken)} violations' in page.text


def test_the_counts_of_the_validator_are_those_of_the_records(validated):
  (stage,) = read_run([str(validated.folder)]).stages
  found = {
    split.name: {value.value: n for value, n in split.counts.items() if n} for split in stage.splits
  }
  assert found == SPLITS


def test_leakage_is_told_pair_by_pair(validated):
  page = Page(render_page(read_run([str(validated.folder)])))
  pairs = validated.checks['leakage']['pairs']
  shown = {
    (row[0], row[1]): int(row[3].replace(',', '')) for row in page.tables['report-leakage-0'][1:]
  }
  assert shown == {(row['split'], row['other']): row['records'] for row in pairs}
  assert any(shown.values())
