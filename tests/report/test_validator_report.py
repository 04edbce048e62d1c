"""What the validator itself wrote, in the report."""

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


def test_what_the_validator_says_is_in_the_report(tmp_path):
  shards = {name: [labelled(counts)] for name, counts in SPLITS.items()}
  validated = validate(
    tmp_path,
    {name: statistics_of(counts) for name, counts in SPLITS.items()},
    examples=input_artifact(tmp_path / 'examples', shards),
    label='label',
    min_count={'eval': 1},
    check_leakage='records',
  )
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
  pairs = data['leakage']['pairs']
  leaked = {(row[0], row[1]): int(row[3]) for row in page.tables['report-leakage-0'][1:]}
  assert leaked == {(row['split'], row['other']): row['records'] for row in pairs}
  assert any(leaked.values())
  (stage,) = view.stages
  for split in stage.splits:
    assert {value.value: n for value, n in split.counts.items() if n} == SPLITS[split.name]
