"""Strata and their counts as columns, against dicts of objects."""

import pickle
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.class_value import MISSING, ClassValue, stratum_key
from tfx_balance.plan.distinct_sets import DistinctSets
from tfx_balance.scan.stratum_counts import (
  StratumColumns,
  join_labels,
  label_text,
  sum_by_kinds,
  sum_counts,
)
from tfx_balance.scan.totals import SumBySplit, Totals

from tests.helpers_counts import by_stratum, columns_of, counts_of

VALUES = {
  'int': st.integers(-3, 3) | st.sampled_from([-(2**63), 2**63 - 1]),
  'float': st.sampled_from([-1.0, 0.0, 2.0**60]),
  'bytes': st.binary(max_size=2),  # with 0 at the end, which NumPy's own text drops
}


@st.composite
def tables(draw):
  """Draws strata of one to three features with their records, for several files."""
  kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=3))
  classes = [
    st.just(MISSING) | VALUES[kind].map(lambda value, kind=kind: ClassValue(kind, value))
    for kind in kinds
  ]
  files = st.dictionaries(st.tuples(*classes), st.integers(1, 2**40), max_size=6)
  return len(kinds), draw(st.lists(files, min_size=1, max_size=5))


@given(tables(), st.sampled_from([1, 4, 1 << 20]))
def test_sums_are_those_of_dicts_in_canonical_order(drawn, batch):
  _, files = drawn
  parts = [
    {'': Totals(counts=[counts_of(records, 3)])} if records else {'': Totals()} for records in files
  ]
  summed = SumBySplit(batch)
  totals = summed.extract_output(summed.merge_accumulators(parts))['']
  expected = sum(map(Counter, files), Counter())
  assert totals.n_records == sum(expected.values())
  if expected:
    counts = pickle.loads(pickle.dumps(totals)).strata()
    assert (list(counts.strata), counts.records.tolist()) == by_stratum(expected)
    assert counts.n_bytes.tolist() == [3 * n for n in counts.records.tolist()]
    assert [counts.strata[i] for i in range(len(counts))] == list(counts.strata)
    assert list(counts.strata.classes) == [stratum[0] for stratum in counts.strata]


@given(tables(), st.randoms())
def test_each_stratum_is_found_among_others(drawn, random):
  n_features, files = drawn
  strata = list({stratum: None for records in files for stratum in records})
  some = random.sample(strata, random.randint(0, len(strata)))
  for everything in (strata, by_stratum(dict.fromkeys(strata, 1))[0]):
    columns = columns_of(everything, n_features)
    rows = columns.rows_of(columns_of(some, n_features))
    assert [everything[row] for row in rows.tolist()] == some
  if some:
    rest = [stratum for stratum in strata if stratum != some[0]]
    with pytest.raises(KeyError):
      columns_of(rest, n_features).rows_of(columns_of(some, n_features))


def test_features_of_two_types_are_summed_apart():
  one, other = {(ClassValue('int', 1),): 5}, {(ClassValue('bytes', b'1'),): 2}
  found = sum_by_kinds(map(counts_of, (one, other, one, {(MISSING,): 1})))
  assert {counts.strata.kinds: counts.records.tolist() for counts in found} == {
    ('int',): [10],
    ('bytes',): [2],
    ('missing',): [1],
  }
  with pytest.raises(ValueError, match=r"feature 0 is of the types \['bytes', 'int'\]"):
    sum_counts(found)


def test_a_hundred_thousand_strata_travel_in_a_few_bytes_each():
  counts = counts_of({(ClassValue('int', i),): i + 1 for i in range(100_000)})
  assert len(pickle.dumps(counts)) < 25 * 100_000
  assert np.array_equal(pickle.loads(pickle.dumps(counts)).records, counts.records)


def set_columns(sets):
  """Returns the columns of label sets, each a sorted list of labels of one type."""
  labels = sorted({label for labels in sets for label in labels})
  members = np.array([labels.index(label) for own in sets for label in own], np.int64)
  lengths = np.array([len(own) for own in sets], np.int64)
  return StratumColumns.of(['set'], [join_labels(list(map(label_text, labels)), members, lengths)])


@given(
  st.sampled_from(
    [st.integers(-3, 12), st.binary(max_size=3), st.sampled_from([b'\n', b', ', b'"'])]
  ).flatmap(lambda label: st.lists(st.frozensets(label, max_size=4).map(sorted), min_size=1))
)
def test_label_sets_are_the_same_as_arrays_as_objects_and_sent_to_another_worker(sets):
  strata = set_columns(sets)
  sent = pickle.loads(pickle.dumps(strata))
  assert list(sent) == list(strata)
  if strata.kinds == ('missing',):
    assert strata.label_sets() is None
    return
  found, wanted = strata.label_sets(), DistinctSets.of(strata.classes)
  assert found.labels == wanted.labels
  for name in ('members', 'row_splits'):
    np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
  keys = [found.stratum_key(row) for row in range(len(strata))]
  assert keys == [stratum_key(stratum) for stratum in strata]


def test_label_sets_are_sent_in_two_bytes_a_label():
  draw = np.random.default_rng(0)
  sets = [sorted(set(draw.integers(0, 100, 3).tolist())) for _ in range(5000)]
  strata = set_columns(sets)
  assert len(pickle.dumps(strata)) < 2 * sum(map(len, sets)) + 2000
