"""The executor: what it counts, what it writes, what it refuses. No pipeline around it."""

import json
import shutil
from collections import Counter

import pytest
import tensorflow_data_validation as tfdv
from absl import logging
from tfx.types import artifact_utils, channel_utils, standard_artifacts
from tfx_balance import BalancedAugmenter, ClassDistributionValidator, StratifiedSplitter
from tfx_balance.class_distribution_validator.counting import SplitStatistics
from tfx_balance.documents.json_document import sealed
from tfx_balance.errors import ConfigError, DataError

from tests.class_distribution_validator.helpers_validate import (
  CATEGORICAL,
  Validated,
  labelled_artifact,
  statistics_artifact,
  statistics_of,
  synthetic_statistics,
  validate,
)
from tests.helpers_examples import (
  cells,
  example,
  labelled,
  read_splits,
  reversed_features,
  value_of,
)
from tests.helpers_pipeline import execute, input_artifact

EVIL = [
  b'<script>alert(1)</script>',
  b'"it\'s"',
  '🦊'.encode(),
  b'a\nb\x1b[31m',
  b'\xff\xfe\x00',
  '\u202eevil'.encode(),
  b'x' * 300,
]


def plain(splits):
  """Returns statistics of splits, as StatisticsGen makes them without a schema."""
  return {name: statistics_of(counts) for name, counts in splits.items()}


def exact(splits):
  return {name: statistics_of(counts, CATEGORICAL) for name, counts in splits.items()}


def count_of(found):
  """Returns the records of each (class, split) that a sidecar of checks tells of."""
  return Counter(
    {
      (row['class']['value'], split): n
      for row in found.checks['counts']
      for split, n in row['splits'].items()
      if n
    }
  )


@pytest.mark.parametrize(
  ('classes', 'kind'),
  [((0, 1), 'int'), ((0.0, 1.0), 'float'), ((b'a', b'b'), 'bytes')],
  ids=['int', 'float', 'bytes'],
)
def test_records_are_counted_where_statistics_are_not_exact(tmp_path, classes, kind):
  a, b = classes
  splits = {'train': {a: 40, b: 40, None: 1}, 'eval': {a: 5, b: 5}}
  artifact = labelled_artifact(tmp_path / 'in', splits)
  found = validate(tmp_path, plain(splits), artifact, max_missing=0.02)
  assert found.checks['counts_from'] == 'records'
  assert {row['class']['type'] for row in found.checks['counts']} == {kind}
  assert found.counts() == {
    str(row['name']): {'train': 40, 'eval': 5} for row in found.checks['counts']
  }
  assert found.checks['missing'] == {'train': 1, 'eval': 0}
  assert found.broken() == []


def test_sidecars_are_believed_unless_a_recount_is_asked_for(tmp_path):
  records = labelled({0: 160, 1: 40})
  split = execute(
    StratifiedSplitter,
    [input_artifact(tmp_path / 'in', {'all': [records]})],
    tmp_path / 'split',
    splits={'train': 3, 'eval': 1},
  )
  balanced = execute(BalancedAugmenter, [split], tmp_path / 'balanced')
  statistics = exact({'train': {0: 120, 1: 30}, 'eval': {0: 40, 1: 10}})
  by_sidecar = validate(tmp_path / 'a', statistics, split)
  recounted = validate(tmp_path / 'b', statistics, split, recount=True)
  assert (by_sidecar.checks['counts_from'], recounted.checks['counts_from']) == (
    'sidecar',
    'records',
  )
  assert count_of(by_sidecar) == count_of(recounted) == cells(read_splits(split.uri))
  # The augmenter's tells of train alone: eval passed through unread.
  train = validate(
    tmp_path / 'c',
    exact({'train': {0: 120, 1: 120}, 'eval': {0: 40, 1: 10}}),
    balanced,
    exclude_splits=['eval'],
    max_imbalance_ratio=1.01,
  )
  assert train.checks['counts_from'] == 'sidecar'
  assert train.broken() == []
  both = validate(
    tmp_path / 'd', exact({'train': {0: 120, 1: 120}, 'eval': {0: 40, 1: 10}}), balanced
  )
  assert both.checks['counts_from'] == 'records'
  assert count_of(both) == cells(read_splits(balanced.uri))
  rules = {c['rule'] for c in both.broken()}
  assert rules == {'max_share_ratio', 'max_l_infinity'}  # on purpose: so choose
  chosen = validate(
    tmp_path / 'e',
    exact({'train': {0: 120, 1: 120}, 'eval': {0: 40, 1: 10}}),
    balanced,
    compare=[],
    max_imbalance_ratio={'train': 1.01},
  )
  assert chosen.broken() == []


@pytest.fixture(scope='module')
def splitted(tmp_path_factory):
  """Returns the folder of a split artifact, two files a split, and its splits' statistics."""
  folder = tmp_path_factory.mktemp('split')
  records = [labelled({0: 40, 1: 10}), labelled({0: 40, 1: 10})]
  artifact = input_artifact(folder / 'in', {'all': records})
  arguments = {'splits': {'train': 3, 'eval': 1}, 'output_files': 2}
  execute(StratifiedSplitter, [artifact], folder / 'out', **arguments)
  return folder / 'out', exact({'train': {0: 60, 1: 15}, 'eval': {0: 20, 1: 5}})


def change_sidecar(folder, change):
  path = folder / 'class_distribution.json'
  data = json.loads(path.read_text())
  change(data)
  path.write_text(json.dumps(sealed(data)))


def multiply(times, data, totals=True):
  """Multiplies the counts of a sidecar."""
  for row in data['strata']:
    for cell in row['splits'].values():
      cell['records'] *= times
  for described in data['splits'].values():
    described['records'] *= times if totals else 1


def validate_copy(tmp_path, splitted, change, **arguments):
  """Validates a changed copy of the split artifact."""
  shutil.copytree(splitted[0], tmp_path / 'out')
  change(tmp_path / 'out')
  artifact = standard_artifacts.Examples()
  artifact.uri = str(tmp_path / 'out')
  artifact.split_names = artifact_utils.encode_split_names(['train', 'eval'])
  return validate(tmp_path, splitted[1], artifact, **arguments)


def remove_train(folder):
  for path in (folder / 'Split-train').iterdir():
    path.unlink()


def cut(folder):
  path = max((folder / 'Split-train').iterdir())
  path.write_bytes(path.read_bytes()[:-1])


def add(folder):
  shutil.copy(max((folder / 'Split-eval').iterdir()), folder / 'Split-eval/data_tfrecord-more.gz')


@pytest.mark.parametrize(
  ('change', 'fault'),
  [
    pytest.param(
      remove_train,
      r'Split-train/data_tfrecord-00000-of-00002.gz is not there, and .*class_distribution.json '
      r'says that it has \d+ bytes: .* recount=True',
      id='files are gone',
    ),
    pytest.param(
      cut, r'Split-train/data_tfrecord-00001-of-00002.gz has \d+ bytes, and ', id='a file is cut'
    ),
    pytest.param(add, 'more.gz has .* bytes, and .* says that it is not there', id='one has come'),
    pytest.param(
      lambda folder: change_sidecar(folder, lambda data: multiply(2, data, totals=False)),
      "class_distribution.json is not whole: split 'train' has 75 records, and its strata 150",
      id='counts beyond the total',
    ),
    pytest.param(
      lambda folder: (folder / 'class_distribution.json').write_text('{'),
      'class_distribution.json is not JSON .*, or pass recount=True to count the records',
      id='a sidecar that is cut',
    ),
  ],
)
def test_a_sidecar_of_other_files_is_refused(tmp_path, splitted, change, fault):
  with pytest.raises(DataError, match=fault):
    validate_copy(tmp_path, splitted, change)


@pytest.mark.parametrize(
  ('change', 'arguments'),
  [
    pytest.param(
      lambda folder: change_sidecar(folder, lambda data: multiply(2, data)), {}, id='doubled counts'
    ),
    pytest.param(
      lambda folder: change_sidecar(
        folder, lambda data: [described.pop('file_bytes') for described in data['splits'].values()]
      ),
      {},
      id='an older sidecar',
    ),
    pytest.param(
      lambda folder: (folder / 'class_distribution.json').write_text('{'),
      {'recount': True},
      id='on request',
    ),
  ],
)
def test_records_are_counted_where_a_sidecar_may_be_wrong(tmp_path, splitted, change, arguments):
  found = validate_copy(tmp_path, splitted, change, **arguments)
  assert found.checks['counts_from'] == 'records'
  assert found.counts() == {'0': {'train': 60, 'eval': 20}, '1': {'train': 15, 'eval': 5}}


def test_a_damaged_or_foreign_sidecar_is_not_believed(tmp_path):
  splits = {'train': {0: 4}, 'eval': {0: 4}}
  artifact = labelled_artifact(tmp_path / 'in', splits)
  (tmp_path / 'in' / 'class_distribution.json').write_text(json.dumps({'format': 'other'}))
  assert validate(tmp_path, plain(splits), artifact).checks['counts_from'] == 'records'


def test_what_broke_is_named_whatever_it_is_called(tmp_path):
  splits = {'train': dict.fromkeys(EVIL, 10), 'eval': dict.fromkeys(EVIL[:-1], 10)}
  splits['eval'][EVIL[-1]] = 1
  artifact = labelled_artifact(tmp_path / 'in', splits)
  report = tmp_path / 'report'
  with pytest.raises(DataError) as failure:
    validate(
      tmp_path,
      plain(splits),
      artifact,
      min_count=11,
      on_violation='fail',
      report_dir=str(report),
    )
  message = str(failure.value)
  lines = message.splitlines()
  for shown in (
    '<script>alert(1)</script>',
    '"it\'s"',
    '🦊',
    r'a\nb\x1b[31m',
    r'\xff\xfe\x00',
    r'\u202eevil',
    'xx…xx',
  ):
    assert any('min_count' in line and shown in line for line in lines), shown
  assert all(len(line) < 400 for line in lines)
  assert '\x1b' not in message
  assert f'All of it is in {report}/violations.txt' in message
  found = Validated(report)
  assert [row['class'] for row in found.checks['counts']][-1] == {
    'type': 'bytes',
    'value': '//4A',
    'encoding': 'base64',
  }
  frame = tfdv.utils.display_util.get_anomalies_dataframe(found.anomalies('eval'))
  assert '🦊' in frame.to_string()
  assert '<script>' not in frame.to_html()


def test_a_long_table_is_cut_and_whole_in_the_report(tmp_path):
  splits = {'train': dict.fromkeys(range(200), 1)}
  with pytest.raises(DataError, match=r'200 checks of 20\d failed') as failure:
    validate(
      tmp_path,
      exact(splits),
      min_count=2,
      on_violation='fail',
      report_dir=str(tmp_path / 'report'),
    )
  assert len(str(failure.value).splitlines()) < 40
  assert '... and 170 more' in str(failure.value)
  whole = (tmp_path / 'report' / 'violations.txt').read_text()
  assert sum(line.startswith('min_count') for line in whole.splitlines()) == 200


def test_the_log_has_every_broken_rule_before_anything_is_written(tmp_path, monkeypatch):
  logged = []
  monkeypatch.setattr(logging, 'error', lambda text, *values: logged.append(text % values))
  (tmp_path / 'report').write_text('no folder')
  statistics = exact({'train': {**dict.fromkeys(range(40), 1), 40: 99}, 'eval': {0: 50, 1: 50}})
  limits = {'min_count': 2, 'max_imbalance_ratio': {'train': 2}}
  with pytest.raises(OSError, match='report'):
    validate(tmp_path, statistics, **limits, report_dir=str(tmp_path / 'report'))
  (text,) = logged
  rules = {'max_l_infinity', 'min_count', 'max_imbalance_ratio'}
  assert {line.partition(':')[0] for line in text.splitlines()[1:]} >= rules
  assert '40 with 99 records, is 99 times the smallest' in text


def test_a_report_folder_may_be_used_again(tmp_path):
  report = tmp_path / 'report'
  for name, counts in (('skewed', {0: 1, 1: 99}), ('even', {0: 50, 1: 50})):
    statistics = exact({'train': {0: 50, 1: 50}, 'eval': counts})
    validate(tmp_path / name, statistics, report_dir=str(report))
    assert Validated(report).checks['blessed'] == (name == 'even')
  assert (report / 'violations.txt').read_text() == 'No rule of 4 is broken.\n'
  assert not Validated(report).anomalies('eval').anomaly_info


def test_statistics_of_a_sample_are_not_exact(tmp_path):
  sampled = statistics_artifact(tmp_path / 'sampled', exact({'train': {0: 9}, 'eval': {0: 9}}))
  sampled.set_json_value_custom_property('sample_rate_by_split', '{"train": 1.0, "eval": 0.5}')
  found = SplitStatistics.load(sampled, ['train', 'eval'])
  with pytest.raises(DataError, match=r"a sample of splits \['eval'\]; .*sample_rate.*examples="):
    found.tallies('label', 'statistics=')
  assert SplitStatistics.load(sampled, ['train']).tallies('label', 'statistics=')


def test_a_warning_goes_on_unblessed(tmp_path):
  found = validate(tmp_path, exact({'train': {0: 9, 1: 9}, 'eval': {0: 99, 1: 1}}))
  assert found.checks['blessed'] == 0
  assert found.artifact.get_json_value_custom_property('blessed') == {'train': 1, 'eval': 0}
  assert found.artifact.get_int_custom_property('all_blessed') == 0
  assert found.anomalies('eval').drift_skew_info[0].skew_measurements[0].threshold > 0.05
  assert not found.anomalies('train').anomaly_info


def test_a_baseline_is_compared_by_name(tmp_path):
  now, before = {'train': {0: 50, 1: 50}, 'new': {0: 5, 1: 5}}, {'train': {0: 90, 1: 10}}
  found = validate(tmp_path, exact(now), baseline=exact(before))
  assert [(c['rule'], c['split'], c['other'], c['measured']) for c in found.broken()] == [
    ('max_baseline_share_ratio', 'train', 'baseline:train', 5),
    ('max_baseline_l_infinity', 'train', 'baseline:train', 0.4),
  ]
  assert found.checks['counts'][0]['baseline'] == {'train': 90}
  assert found.anomalies('train').drift_skew_info[0].drift_measurements[0].value == 0.4
  chosen = {
    'compare': [('new', 'baseline:train')],
    'max_baseline_l_infinity': 0.4,
    'max_baseline_share_ratio': 5,
  }
  assert validate(tmp_path / 'b', exact(now), baseline=exact(before), **chosen).broken() == []


@pytest.mark.parametrize('recount', [False, True])
def test_a_baseline_of_integers_is_counted_from_its_records(tmp_path, recount):
  now = {'train': {0: 50, 1: 50}, 'new': {0: 5, 1: 5}}
  windows = [
    labelled_artifact(tmp_path / f'before{i}', {'train': {0: n}, 'old': {1: 70}})
    for i, n in enumerate((40, 50))
  ]
  windows.append(labelled_artifact(tmp_path / 'before2', {'train': {1: 10}}))
  examples = labelled_artifact(tmp_path / 'now', now)
  found = validate(tmp_path, None, examples, baseline_examples=windows, recount=recount)
  assert [(c['rule'], c['split'], c['other'], c['measured']) for c in found.broken()] == [
    ('max_baseline_share_ratio', 'train', 'baseline:train', 5),
    ('max_baseline_l_infinity', 'train', 'baseline:train', 0.4),
  ]
  assert [row['baseline'] for row in found.checks['counts']] == [{'train': 90}, {'train': 10}]
  named = {'compare': [('new', 'baseline:old')]}
  found = validate(tmp_path / 'b', None, examples, baseline_examples=windows, **named)
  assert {c['other'] for c in found.broken()} == {'baseline:old'}


def test_a_baseline_of_label_features_is_counted(tmp_path):
  def flags(rows):
    return [example(cat=cat, dog=dog, id=i) for i, (cat, dog) in rows]

  def artifact(name, rows):
    return input_artifact(tmp_path / name, {'train': [flags(enumerate(rows))]})

  now, before = [(1, 1)] * 60 + [(0, 1)] * 40, [(1, 1)] * 5 + [(0, 1)] * 95
  found = validate(
    tmp_path,
    None,
    artifact('now', now),
    baseline_examples=[artifact('before', before)],
    label=['cat', 'dog'],
    multilabel=True,
  )
  assert {c['rule'] for c in found.broken()} >= {'max_baseline_share_ratio'}
  assert [row['baseline'] for row in found.checks['counts']] == [{'train': 5}, {'train': 100}]


def test_rolling_windows_are_counted_without_statistics(tmp_path):
  windows = []
  for span, counts in enumerate(({0: 30, 1: 3}, {0: 60, 1: 6})):
    folder = tmp_path / f'span{span}'
    windows.append(labelled_artifact(folder, {'train': counts, 'eval': {0: 10, 1: 1}}))
    windows[-1].span = span
  found = validate(tmp_path, None, windows, check_leakage='id')
  assert found.checks['counts_from'] == 'records'
  assert found.counts() == {'0': {'train': 90, 'eval': 20}, '1': {'train': 9, 'eval': 2}}
  assert found.artifact.span == 1


def test_a_baseline_of_other_splits_is_warned_of(tmp_path, monkeypatch):
  warned = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: warned.append(text % values))
  examples = [labelled_artifact(tmp_path / name, {name: {0: 9, 1: 9}}) for name in ('now', 'old')]
  validate(tmp_path, None, examples[0], baseline_examples=examples[1:])
  (text,) = [text for text in warned if 'baseline' in text]
  assert text.endswith(
    "the baseline has the splits ['old'], and none of ['now'], so that nothing is compared with "
    "it; name pairs, as compare=[('now', 'baseline:old')]"
  )


@pytest.mark.parametrize(
  ('inputs', 'fault'),
  [
    ((), 'statistics= and examples= hold nothing, .* pass examples='),
    (('baseline_examples',), 'statistics= and examples= hold nothing, .* pass examples='),
    (('examples', 'schema'), 'schema= is checked by TFDV on statistics=, .* pass statistics='),
    (('examples', 'baseline_examples', 'baseline_statistics'), 'are both given, .* leave one out'),
  ],
)
def test_inputs_that_do_not_do_are_refused_early_and_late(inputs, fault):
  kinds = ClassDistributionValidator.SPEC_CLASS.INPUTS
  given = {name: [kinds[name].type()] for name in inputs}
  with pytest.raises(ConfigError, match=fault):
    ClassDistributionValidator(**{n: channel_utils.as_channel(a) for n, a in given.items()})
  output = standard_artifacts.ExampleAnomalies()
  component = ClassDistributionValidator(channel_utils.as_channel([kinds['statistics'].type()]))
  with pytest.raises(ConfigError, match=fault):
    component.executor_spec.executor_class().Do(
      given, {'anomalies': [output]}, dict(component.exec_properties)
    )


def test_a_split_by_groups_is_judged(tmp_path):
  # All 30 records of class 1 are of one patient, who is in train.
  records = [example(label=0, id=i, patient=i % 40) for i in range(400)]
  records += [example(label=1, id=400 + i, patient=40) for i in range(30)]
  split = execute(
    StratifiedSplitter,
    [input_artifact(tmp_path / 'in', {'all': [records]})],
    tmp_path / 'split',
    splits={'a': 1, 'b': 1},
    group_by='patient',
  )
  counts = {name: Counter(map(value_of, found)) for name, found in read_splits(split.uri).items()}
  found = validate(tmp_path, plain(counts), split, missing_classes='allow')
  assert found.checks['counts_from'] == 'sidecar'
  (broken,) = [c for c in found.broken() if c['rule'] == 'max_share_ratio']
  assert (broken['name'], broken['measured'], broken['passed']) == ('1', None, False)


def test_schemas_are_checked_by_tfdv_and_by_us(tmp_path):
  text = (
    'feature { name: "label" type: INT int_domain { min: 0 max: 1 is_categorical: true } '
    'presence { min_fraction: 1 } skew_comparator { infinity_norm { threshold: 0.5 } } }'
  )
  splits = {'train': {0: 9, 1: 9, 7: 1}, 'eval': {0: 18, 1: 2, None: 1}}
  found = validate(tmp_path, exact(splits), schema=text, max_missing=0.05)
  assert [(c['rule'], c['split'], c['name']) for c in found.broken()] == [
    ('domain', 'train', '7'),
    ('schema', 'eval', None),
  ]
  (limit,) = [c['limit'] for c in found.checks['checks'] if c['rule'] == 'max_l_infinity']
  assert limit == 0.5
  assert 'actual = 0.95' in found.anomalies('eval').anomaly_info['label'].description
  assert 'Class 7 is not in' in found.anomalies('train').anomaly_info['label'].description


@pytest.mark.parametrize(
  ('arguments', 'fault'),
  [
    ({'exclude_splits': ['tset']}, r"'tset' is not in \['eval', 'train'\]; .* exclude_splits="),
    ({'exclude_splits': ['train', 'eval']}, 'leaves no split to check'),
    ({'min_count': {'tset': 1}}, "'tset' is not in .* min_count="),
    ({'max_leakage': {'a': 1}}, "'a' is not in .* max_leakage="),
    ({'max_leakage': {'a': 1}, 'check_leakage': 'records'}, "'a' is not in .* max_leakage="),
    ({'leakage_pairs': [('a', 'b')], 'check_leakage': 'id'}, "'a' is not in .* leakage_pairs="),
    ({'label': 'class'}, "'class' is in none of the 4 records; label= takes one of: id, label"),
    ({'check_leakage': 'name'}, "'name' is in none of the records; .*'records', or one of: id, la"),
  ],
)
def test_what_is_not_there_is_refused(tmp_path, arguments, fault):
  splits = {'train': {0: 2}, 'eval': {0: 2}}
  artifact = labelled_artifact(tmp_path / 'in', splits)
  with pytest.raises((ConfigError, DataError), match=fault):
    validate(tmp_path, plain(splits), artifact, **arguments)


def test_statistics_of_other_splits_than_the_examples_are_refused(tmp_path):
  artifact = labelled_artifact(tmp_path / 'in', {'train': {0: 2}})
  with pytest.raises(ConfigError, match=r"split 'eval' of statistics= is not in .* of examples="):
    validate(tmp_path, plain({'train': {0: 2}, 'eval': {0: 2}}), artifact)


def test_a_label_of_two_types_is_refused(tmp_path):
  statistics = {'train': statistics_of({0: 2}, CATEGORICAL), 'eval': statistics_of({b'0': 2})}
  with pytest.raises(DataError, match=r"'label' has values of several types, by split: \{'eval'"):
    validate(tmp_path, statistics)


def test_a_split_without_records_is_seen(tmp_path):
  splits = {'train': {0: 5, 1: 5}, 'eval': {}}
  artifact = labelled_artifact(tmp_path / 'in', splits)
  found = validate(tmp_path, plain({'train': {0: 5, 1: 5}, 'eval': {None: 0}}), artifact)
  assert [(c['rule'], c['measured']) for c in found.broken()] == [('max_l_infinity', 0.5)]


def leaking():
  """Returns splits of which eval has two records, and two patients, of train."""
  record = [example(label=i % 2, id=i, patient=f'p{i // 3}', image=b'\xff' * 99) for i in range(90)]
  return {'train': [record[:30], record[30:61]], 'eval': [record[59:70]], 'test': [record[72:]]}


@pytest.mark.parametrize(
  ('key', 'keys', 'share'), [('records', 2, 2 / 11), ('patient', 2, 4 / 11)], ids=str
)
def test_what_is_in_two_splits_is_found_and_shown(tmp_path, key, keys, share):
  splits = leaking()
  artifact = input_artifact(tmp_path / 'in', splits)
  counts = {
    name: Counter(value_of(r) for s in shards for r in s) for name, shards in splits.items()
  }
  found = validate(tmp_path, plain(counts), artifact, check_leakage=key, max_l_infinity=None)
  keys_of = {
    name: Counter(r if key == 'records' else value_of(r, key) for s in shards for r in s)
    for name, shards in splits.items()
  }
  rows = {(row['split'], row['other']): row for row in found.checks['leakage']['pairs']}
  for (split, other), row in rows.items():
    common = set(keys_of[split]) & set(keys_of[other])
    assert row['keys'] == len(common)
    assert row['records'] == sum(keys_of[split][k] for k in common)
    assert row['records_of_other'] == sum(keys_of[other][k] for k in common)
    for shown in row['examples']:
      for name, place in ((split, shown['split']), (other, shown['other'])):
        assert place['file'].startswith(f'Split-{name}/')
  row = rows['eval', 'train']
  assert (row['keys'], row['share']) == (keys, pytest.approx(share))
  texts = {shown['text'] for shown in row['examples']}
  if key == 'records':
    assert 'id=59, image=<99 bytes>, label=1, patient=p19' in texts
  else:
    assert texts == {'patient=p19', 'patient=p20'}
  assert [(c['rule'], c['split'], c['other']) for c in found.broken()] == [
    ('max_leakage', 'eval', 'train')
  ]
  apart = validate(
    tmp_path / 'b',
    plain(counts),
    artifact,
    check_leakage=key,
    leakage_pairs=[('test', 'train')],
    max_l_infinity=None,
  )
  assert apart.broken() == []
  assert [row['split'] for row in apart.checks['leakage']['pairs']] == ['test']


def test_records_that_differ_in_the_order_of_features_are_found_by_value(tmp_path):
  records = [example(id=i, label=i % 2) for i in range(60)]
  splits = {'eval': [[reversed_features(record) for record in records[:6]]], 'train': [records]}
  artifact = input_artifact(tmp_path / 'in', splits)
  counts = {'eval': {0: 3, 1: 3}, 'train': {0: 30, 1: 30}}
  by_bytes, by_values = (
    validate(tmp_path / word, plain(counts), artifact, check_leakage='records', identity=word)
    for word in ('bytes', 'values')
  )
  assert by_bytes.broken() == []
  assert [(c['rule'], c['split'], c['other'], c['measured']) for c in by_values.broken()] == [
    ('max_leakage', 'eval', 'train', 1)
  ]


def test_ten_thousand_classes_of_ten_million_records(tmp_path):
  # A long tail from 103 to a million records a class, split exactly.
  sizes = [1 + 1_021_600 // (i + 1) for i in range(10_000)]
  splits = {
    'train': [n - n // 10 * 2 for n in sizes],
    'eval': [n // 10 for n in sizes],
    'test': [n // 10 for n in sizes],
  }
  statistics = {name: synthetic_statistics(counts) for name, counts in splits.items()}
  text = (
    'feature { name: "label" type: INT int_domain { min: 0 max: 9999 is_categorical: true } '
    'presence { min_fraction: 1 } }'
  )
  found = validate(
    tmp_path, statistics, schema=text, baseline=statistics, max_jensen_shannon=0.1, min_count=0
  )
  assert found.broken() == []
  assert len(found.checks['counts']) == 10_000
  assert len(found.checks['checks']) < 50
  counted = [[row['splits'][name] for row in found.checks['counts']] for name in splits]
  assert counted == list(splits.values())


def test_a_missing_shard_is_told(tmp_path, monkeypatch):
  warned = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: warned.append(text))
  artifact = input_artifact(tmp_path / 'in', {'train': [labelled({0: 4})] * 2})
  (tmp_path / 'in/Split-train/data_tfrecord-00000-of-00002.gz').unlink()
  found = validate(tmp_path, {'train': statistics_of({0: 4})}, artifact)
  assert found.counts() == {'0': {'train': 4}}
  (text,) = (text for text in warned if 'incomplete' in text)
  assert '1 of its files are missing or empty: ' in text
  assert '/Split-train/data_tfrecord-00000-of-00002.gz is not there; the others are read' in text


@pytest.mark.parametrize(
  ('groups', 'fault'),
  [
    ({'a': [labelled({1: 1})], 'b': [labelled({b'1': 1})]}, r"values of types \['bytes', 'int'\]"),
    ({'a': [[example(label=[1, 2])]]}, r"'label' has 2 values in record 0 .*one-hot"),
    ({'a': [[example(label=0.5)]]}, r"'label' has the value 0.5 .*integral"),
  ],
  ids=['types', 'several', 'half'],
)
def test_what_is_no_class_is_refused(tmp_path, groups, fault):
  artifact = input_artifact(tmp_path / 'in', groups)
  statistics = plain({name: {0: 1} for name in groups})
  with pytest.raises(DataError, match=fault):
    validate(tmp_path, statistics, artifact)


def test_the_fix_for_numbers_of_a_baseline_is_to_count_its_records(tmp_path):
  counts = {'train': {0: 90, 1: 10}}
  fault = r'of baseline_statistics= has only an approximate .*, or pass baseline_examples= in its'
  with pytest.raises(DataError, match=fault):
    validate(tmp_path, exact(counts), baseline=plain(counts))
