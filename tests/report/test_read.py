"""What is read of artifacts, how they make a run, and what is said of those that do not."""

import json
from collections import Counter

import pytest
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares
from tfx_balance.report import read_run
from tfx_balance.report.measures import headline
from tfx_balance.report.run_view import merge
from tfx_balance.report.sources import Location, findings_of

from tests.helpers_counts import by_stratum
from tests.report.helpers_report import (
  FILES,
  SOURCE,
  balance_data,
  checks_data,
  long_tail,
  plan_data,
  recall_data,
  split_data,
  write,
  write_run,
)

A, B, C = (ClassValue('bytes', name) for name in (b'a', b'b', b'c'))
COUNTS = {A: 100, B: 30, C: 5}


def run_of(*data, label=None):
  return merge([findings_of(item, f'source {i}') for i, item in enumerate(data)], label)


def by_split(stage):
  return {split.name: dict(split.counts) for split in stage.splits}


def test_a_whole_run_is_read_in_the_order_of_the_data(tmp_path):
  uris = write_run(tmp_path, long_tail(50))
  view = read_run(uris[::-1])
  assert [stage.kind for stage in view.stages] == ['raw', 'split', 'balanced', 'fed']
  assert [stage.title for stage in view.stages] == [
    'Raw data',
    'Split',
    'Balanced',
    'Fed to the Trainer',
  ]
  assert view.label == 'species'
  assert list(view.classes) == list(long_tail(50))
  assert view.passed is True
  assert [model.name for model in view.models] == ['natural', 'balanced']
  assert view.comparable == view.stages
  assert view.notes == ()


def test_raw_data_is_what_the_splitter_split():
  raw, split = run_of(split_data(COUNTS)).stages
  assert by_split(raw) == {'all': COUNTS}
  assert split.total == COUNTS
  assert split.trained == {A: 80, B: 24, C: 4}


def test_the_headline_is_of_what_a_trainer_reads():
  data = balance_data({A: 80, B: 24, C: 4})
  view = run_of(split_data(COUNTS), data)
  found = headline(view)
  after = view.stages[-1].trained
  assert (found.records, found.classes) == (135, 3)
  assert found.before == 20
  assert found.after == max(after.values()) / min(after.values())


def test_copies_in_a_split_of_their_own_are_trained_on_too():
  view = run_of(balance_data({A: 80, B: 24, C: 4}, augmented_split='copies'))
  before, balanced = view.stages
  assert by_split(before) == {'train': {A: 80, B: 24, C: 4}}
  assert balanced.training == ('train', 'copies')
  both = Counter(by_split(balanced)['train']) + Counter(by_split(balanced)['copies'])
  assert balanced.trained == both
  assert {(fit.split, fit.deviation) for fit in balanced.fits} == {('train + copies', 0)}


def test_strata_of_several_features_are_summed_up_by_class():
  left, right = ClassValue('int', 0), ClassValue('int', 1)
  records = {(A, left): 11, (A, right): 22, (B, left): 7, (B, right): 1}
  plan = plan_splits(*by_stratum(records), SplitShares.parse({'train': 3, 'test': 1}), 0)
  parameters = {'stratify_by': ['species', 'side']}
  files = {'train': FILES, 'test': FILES}
  data = describe_split(plan, parameters, SOURCE, files, ()).to_json()
  view = run_of(data)
  assert view.stages[-1].total == {A: 33, B: 8}
  assert {fit.name for fit in view.stages[-1].fits} == {'a / 0', 'a / 1', 'b / 0', 'b / 1'}
  assert all(abs(fit.deviation) < 1 for fit in view.stages[-1].fits)


def test_what_is_counted_twice_is_shown_once():
  split = split_data(COUNTS)
  view = run_of(split, checks_data(split, True))
  assert [stage.title for stage in view.stages] == ['Raw data', 'Split']
  assert view.stages[-1].confirmed_by == ('Validator',)


def test_counts_that_differ_are_shown():
  checks = checks_data(split_data({A: 100, B: 30, C: 6}), True)
  view = run_of(split_data(COUNTS), checks)
  assert [stage.title for stage in view.stages] == ['Validator', 'Split']
  assert view.stages[-1].confirmed_by == ()


def test_a_validator_alone_has_its_counts_shown():
  split = split_data(COUNTS)
  view = run_of({**checks_data(split, False), 'missing': {'train': 3, 'eval': 0, 'test': 0}})
  (stage,) = view.stages
  assert stage.trained == {A: 80, B: 24, C: 4}
  assert [split.records for split in stage.splits] == [111, 14, 13]
  assert view.passed is False
  assert [pair.records for pair in view.check_sets[0].document.leakage.pairs] == [17]


def test_a_plan_alone_shows_what_was_fed_and_what_it_was_made_of():
  data = {**plan_data({A: 4, B: 4}), 'natural': {'train': [4, 1], 'copies': [0, 3]}}
  view = run_of(sealed(data))
  assert [stage.kind for stage in view.stages] == ['raw', 'fed']
  assert by_split(view.stages[0]) == {'train': {A: 4, B: 1}, 'copies': {A: 0, B: 3}}


def test_classes_that_were_renamed_on_the_way_are_told_of():
  ids = {ClassValue('int', i): 50 for i in range(3)}
  view = run_of(split_data(COUNTS), plan_data(ids))
  assert view.classes == (A, B, C)
  assert [stage.kind for stage in view.comparable] == ['raw', 'split']
  assert headline(view).after == 1
  (note,) = view.notes
  assert "The classes of 'Fed to the Trainer' (0, 1, 2, …) are other values" in note


def test_two_stages_of_one_kind_have_titles_and_keys_of_their_own():
  view = run_of(split_data(COUNTS), split_data({A: 80, B: 24, C: 4}))
  assert [stage.title for stage in view.stages] == ['Raw data', 'Split', 'Split 2']
  assert [view.key(stage) for stage in view.stages] == ['raw', 'split', 'split-2']


def test_a_sidecar_beside_a_plan_adds_what_the_plan_does_not_say(tmp_path):
  uri = write(tmp_path, 'balanced_input.json', plan_data({A: 4, B: 4}))
  sidecar = {
    'format': 'tfx_balance.class_distribution',
    'version': 1,
    'component': 'BalancedInputGen',
    'parameters': {'label': 'species', 'seed': 3},
    'input': {},
    'splits': {'train': {'records': 8}},
    'strata': [
      {
        'stratum': [value.to_json()],
        'name': str(value),
        'records': 4,
        'splits': {'train': {'records': 4, 'merged': {'train': 4}}},
      }
      for value in (A, B)
    ],
    'passed_through': ['eval'],
    'warnings': ['7 records without a class were dropped'],
  }
  write(tmp_path, 'class_distribution.json', sidecar)
  stage = read_run([uri]).stages[-1]
  assert stage.total == {A: 4, B: 4}
  assert stage.passed_through == ('eval',)
  assert stage.warnings == ('7 records without a class were dropped',)
  assert stage.parameters['seed'] == 3
  alone = findings_of(sidecar, 'sidecar')
  assert alone.stages[0].total == stage.total
  assert alone.label == 'species'


def test_a_file_may_be_named_instead_of_its_folder(tmp_path):
  write(tmp_path, 'mine.json', recall_data(COUNTS, 2))
  view = read_run([f'second run={tmp_path}/mine.json'])
  assert [model.name for model in view.models] == ['second run natural', 'second run balanced']


def test_a_title_may_be_given(tmp_path):
  uri = write(tmp_path / 'a=b', 'class_distribution.json', split_data(COUNTS))
  assert read_run([f'My split={uri}/']).stages[-1].title == 'My split'
  assert read_run([uri]).stages[-1].title == 'Split'


def test_what_is_there_is_no_title(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  write(tmp_path / 'a=b', 'class_distribution.json', split_data(COUNTS))
  assert read_run(['a=b']).stages[-1].title == 'Split'
  assert Location.of('gs://bucket/date=2026/x').title is None


def test_the_node_is_told_from_a_uri_of_tfx():
  assert Location.of('gs://bucket/root/Gate/anomalies/17').node == 'Gate'
  assert Location.of('gs://bucket/root/Gate/anomalies').node is None


# --- errors


@pytest.mark.parametrize(
  ('uris', 'fault'),
  [
    ([], r'uris=\[\] names nothing'),
    ('/a', "uris='/a' is not a list; pass a list"),
    (['.'], 'is there, but none of these is in it: balanced_input'),
    (['nowhere'], 'nowhere does not exist: balanced_input.*distribution.*recall.*FeatureStats'),
  ],
)
def test_what_is_no_artifact_is_an_error(tmp_path, monkeypatch, uris, fault):
  monkeypatch.chdir(tmp_path)
  with pytest.raises(ConfigError, match=fault):
    read_run(uris)


def test_a_folder_with_files_of_two_kinds_is_an_error(tmp_path):
  for name in ('class_distribution.json', 'comparison.json'):
    write(tmp_path, name, split_data(COUNTS))
  with pytest.raises(ConfigError, match=r'has class_distribution\.json and comparison\.json; give'):
    read_run([str(tmp_path)])


def test_a_broken_file_is_an_error(tmp_path):
  (tmp_path / 'class_checks.json').write_text('{')
  with pytest.raises(DataError, match=r'class_checks\.json is not JSON'):
    read_run([str(tmp_path)])


@pytest.mark.parametrize('data', [[], 'text', {}, None])
def test_what_is_none_of_ours_is_an_error(data):
  with pytest.raises(DataError, match='which is not one of'):
    findings_of(json.dumps(data), 'x.json')
