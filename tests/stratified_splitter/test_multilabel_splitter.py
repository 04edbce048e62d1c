"""Multi-label data through the splitter: label sets as classes, labels near to their shares."""

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance import StratifiedSplitter
from tfx_balance.documents.class_distribution import ClassDistribution
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.labels import LabelRows

from tests.helpers_checks import assert_conserved
from tests.helpers_examples import as_sets, example, in_shards, read_splits, value_of
from tests.helpers_pipeline import execute, input_artifact
from tests.helpers_split import run_split

SPLITS = {'train': 3, 'test': 1}
TAGS = {'stratify_by': ('tags',), 'multilabel': True}


def tagged(n, n_labels=12, seed=0):
  """Returns records with labels that fall off in frequency, in any order and some twice."""
  draw = np.random.default_rng(seed)
  records = []
  for i in range(n):
    tags = np.flatnonzero(draw.random(n_labels) < 1.5 / np.arange(1, n_labels + 1))
    tags = draw.permutation(np.append(tags, tags[:1]))
    records.append(example(id=i, tags=[f't{tag}' for tag in tags.tolist()]))
  return records


def labels_of(record):
  values = value_of(record, 'tags')
  return frozenset(values if isinstance(values, list) else [] if values is None else [values])


def assert_shares(splits, shares, most=1.0):
  """Checks cells of sets against one record, and returns what labels deviate by at most."""
  sets = {name: Counter(map(labels_of, records)) for name, records in splits.items()}
  totals = sum(sets.values(), Counter())
  worst = 0.0
  for name, share in shares.items():
    part = share / sum(shares.values())
    assert abs(len(splits[name]) - part * sum(totals.values())) < 1
    for members, n in totals.items():
      assert abs(sets[name][members] - n * part) < 1
    for label in set().union(*totals):
      n = sum(count for members, count in totals.items() if label in members)
      held = sum(count for members, count in sets[name].items() if label in members)
      worst = max(worst, abs(held - n * part))
  assert worst <= most
  return worst


def test_sets_are_exact_and_labels_near(tmp_path):
  records = tagged(2000)
  splits = run_split(tmp_path, in_shards(records, 3), SPLITS, **TAGS)
  assert_conserved(splits, records)
  assert_shares(splits, SPLITS, most=1.0)


def test_the_order_of_the_labels_of_a_record_does_not_matter(tmp_path):
  records = tagged(300)
  turned = [example(id=value_of(r, 'id'), tags=[*sorted(labels_of(r))] * 2) for r in records]
  found = run_split(tmp_path / 'a', [records], SPLITS, key=('id',), **TAGS)
  other = run_split(tmp_path / 'b', [turned], SPLITS, key=('id',), **TAGS)
  ids = [
    {name: {value_of(r, 'id') for r in part} for name, part in splits.items()}
    for splits in (found, other)
  ]
  assert ids[0] == ids[1]


def test_a_record_without_labels_is_of_the_empty_set_or_dropped(tmp_path):
  records = [*tagged(200), *(example(id=i) for i in range(500, 540))]
  empty = sum(not labels_of(record) for record in records)
  splits = run_split(tmp_path / 'a', in_shards(records, 2), SPLITS, **TAGS)
  assert_conserved(splits, records)
  assert_shares(splits, SPLITS, most=2.0)
  splits = run_split(tmp_path / 'b', in_shards(records, 2), SPLITS, missing_label='drop', **TAGS)
  assert sum(map(len, splits.values())) == len(records) - empty
  # A file of records without any label has no type of its own.
  splits = run_split(tmp_path / 'c', [records[:200], records[200:]], SPLITS, **TAGS)
  assert_conserved(splits, records)
  splits = run_split(tmp_path / 'd', [[example(id=i, tags=[]) for i in range(8)]], SPLITS, **TAGS)
  assert [len(splits[name]) for name in SPLITS] == [6, 2]


def flags(record):
  return tuple(value_of(record, name) for name in ('a', 'b', 'c'))


@pytest.mark.parametrize('kind', [int, float])
def test_several_features_of_0_and_1_are_labels(tmp_path, kind):
  draw = np.random.default_rng(0)
  rows = (draw.random((400, 3)) < (0.5, 0.2, 0.05)).tolist()
  records = [example(id=i, a=kind(a), b=kind(b), c=kind(c)) for i, (a, b, c) in enumerate(rows)]
  names = ('a', 'b', 'c')
  splits = run_split(tmp_path, in_shards(records, 2), SPLITS, stratify_by=names, multilabel=True)
  assert_conserved(splits, records)
  totals = Counter(map(flags, records))
  for members, n in totals.items():
    assert abs(Counter(map(flags, splits['train']))[members] - 0.75 * n) < 1
  sidecar = ClassDistribution.from_json(
    (tmp_path / 'out' / 'class_distribution.json').read_bytes(), 'sidecar'
  )
  assert [str(row.stratum[0]) for row in sidecar.labels] == ['a', 'b', 'c']
  assert [row.records for row in sidecar.labels] == np.array(rows).sum(axis=0).tolist()


@pytest.mark.parametrize(
  ('records', 'arguments', 'fault'),
  [
    pytest.param(
      [example(a=1, b=0), example(a=2, b=0)],
      {'stratify_by': ('a', 'b'), 'multilabel': True},
      r"feature 'a' is 2 in record 1 of .*; of several features with multilabel=True each",
      id='a number that is no flag',
    ),
    pytest.param(
      [example(a=1, b='x')],
      {'stratify_by': ('a', 'b'), 'multilabel': True},
      r"feature 'b' is b'x' in record 0 of ",
      id='a text',
    ),
    pytest.param(
      [example(a=1, b=1), example(a=1)],
      {'stratify_by': ('a', 'b'), 'multilabel': True},
      r"feature 'b' has no value in record 1 of .*; .* fill it in, or drop such records",
      id='a flag is missing',
    ),
    pytest.param(
      [example(tags=[0, 1, 0]), example(tags=[1, 0, 0])],
      TAGS,
      r"feature 'tags' has 3 values in each record of .* from record 0 on, all 0 or 1, some twice",
      id='vectors of 0 and 1',
    ),
    pytest.param(
      [example(id=1), example(id=2)],
      TAGS,
      r"feature 'tags' is in none of the 2 records; stratify_by= takes one of: id",
      id='no such feature',
    ),
    pytest.param(
      [example(tags=[1, 2]), example(tags=[3])],
      {'stratify_by': ('tags',)},
      r"feature 'tags' has 2 values in record 0 of .* pass multilabel=True to StratifiedSplitter",
      id='several values and not asked for',
    ),
    pytest.param(
      [example(tags=[1.5])],
      TAGS,
      r"feature 'tags' has the value 1.5 in .*; a float is a class when it is integral",
      id='a fraction',
    ),
  ],
)
def test_faults_of_labels(tmp_path, records, arguments, fault):
  with pytest.raises(DataError, match=fault):
    run_split(tmp_path, [records], SPLITS, **arguments)


def test_labels_of_two_types_are_refused(tmp_path):
  with pytest.raises(DataError, match=r"'tags' has values of types \['bytes', 'int'\]"):
    run_split(tmp_path, [[example(tags=[5])], [example(tags=['5'])]], SPLITS, **TAGS)


def test_too_many_sets_are_refused_by_number():
  sets, _ = LabelRows.of([labels_of(record) for record in tagged(300)]).distinct()
  with pytest.raises(DataError, match=r'\d+ distinct label sets are more than the 20 that a split'):
    sets.check_number(20)


def test_a_stratum_of_records_without_labels_does_not_combine_with_several_features():
  with pytest.raises(ConfigError, match="missing_label='own' does not combine with multil"):
    StratifiedSplitter(
      input_artifact, stratify_by=['a', 'b'], multilabel=True, missing_label='own_stratum'
    )


def test_component_with_folds_and_predefined_splits(tmp_path):
  records = [
    example(id=i, tags=sorted(labels_of(record)), set='held' if i % 10 == 0 else 'rest')
    for i, record in enumerate(tagged(600))
  ]
  found = execute(
    StratifiedSplitter,
    [input_artifact(tmp_path / 'in', {'all': in_shards(records, 3)})],
    tmp_path / 'out',
    stratify_by='tags',
    multilabel=True,
    folds=3,
    splits={'train': 1},
    split_by='set',
    split_values={'held': 'held'},
  ).uri
  splits = read_splits(found)
  assert_conserved(splits, records)
  assert len(splits.pop('held')) == 60
  assert_shares(splits, dict.fromkeys(splits, 1), most=1.4)
  text = (tmp_path / 'out').glob('**/class_distribution.json')
  data = json.loads(next(iter(text)).read_text())
  assert data['parameters']['multilabel'] is True
  assert data['strata'][0]['stratum'][0]['type'] == 'set'
  sidecar = ClassDistribution.from_json(data, 'sidecar')
  assert sidecar.to_json() == data
  assert json.loads(sidecar.dumps()) == data
  for row in sidecar.labels:
    (label,) = row.stratum
    for name in (*splits, 'held'):
      part = read_splits(found)[name]
      held = sum(label.value in labels_of(record) for record in part)
      assert row.splits[name].records == held
    assert sum(cell.ideal for cell in row.splits.values()) == pytest.approx(row.records)


@settings(max_examples=10, deadline=None)
@given(
  data=st.lists(st.frozensets(st.sampled_from('abcdef'), max_size=4), min_size=4, max_size=60),
  seed=st.integers(0, 5),
)
def test_any_sets_are_split_exactly(tmp_path_factory, data, seed):
  folder = tmp_path_factory.mktemp('sets')
  records = [example(id=i, tags=[*sorted(tags)] or None) for i, tags in enumerate(data)]
  if not any(data):
    return
  splits = run_split(folder / 'a', in_shards(records, 2), SPLITS, seed=seed, **TAGS)
  assert_conserved(splits, records)
  assert_shares(splits, SPLITS, most=4)
  other = run_split(folder / 'b', [records[::-1]], SPLITS, seed=seed, **TAGS)
  assert as_sets(splits) == as_sets(other)


@pytest.mark.parametrize(
  'arguments',
  [
    pytest.param({'order_by': 'id', 'within': 'strata'}, id='in order within sets'),
    pytest.param({'order_by': 'id', 'embargo_records': 5}, id='in order'),
    pytest.param({'mode': 'stable', 'key': 'id'}, id='stable'),
    pytest.param({'counts': {'test': 50}, 'rest': 'train', 'splits': None}, id='counts'),
  ],
)
def test_labels_are_counted_in_other_modes(tmp_path, arguments):
  records = tagged(300)
  found = execute(
    StratifiedSplitter,
    [input_artifact(tmp_path / 'in', {'all': in_shards(records, 2)})],
    tmp_path / 'out',
    **{'stratify_by': 'tags', 'multilabel': True, 'splits': SPLITS, **arguments},
  ).uri
  splits = read_splits(found)
  (path,) = (tmp_path / 'out').glob('**/class_distribution.json')
  sidecar = ClassDistribution.from_json(path.read_bytes(), 'sidecar')
  for row in sidecar.labels:
    for name, part in splits.items():
      held = sum(row.stratum[0].value in labels_of(record) for record in part)
      assert row.splits[name].records == held


def test_many_sets_are_not_listed_but_labels_are(tmp_path):
  sets = [[f't{k}' for k in range(14) if i >> k & 1] for i in range(10_001)]  # the first is empty
  records = [example(id=i, tags=tags or None) for i, tags in enumerate(sets)]
  splits = run_split(tmp_path, [records], SPLITS, **TAGS)
  text = (tmp_path / 'out' / 'class_distribution.json').read_text()
  sidecar = ClassDistribution.from_json(text, 'sidecar')
  assert sidecar.strata == ()
  assert len(sidecar.labels) == 14
  assert sidecar.dumps() == text
  assert any('label sets are too many to be listed' in warning for warning in sidecar.warnings)
  assert sidecar.tallies('tags', list(SPLITS)) is None
  for name, part in splits.items():
    assert sidecar.splits[name].unlabelled == sum(not labels_of(record) for record in part)
