"""Strata out of serialized examples, against TensorFlow's protocol buffers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.scan.record_reader import BATCH_RECORDS
from tfx_balance.scan.strata import DROPPED, StratumDecoder
from tfx_balance.tfrecord.frames import frame

from tests.helpers_examples import example, sequence_example

EXAMPLE, SEQUENCE = 'FORMAT_TF_EXAMPLE', 'FORMAT_TF_SEQUENCE_EXAMPLE'
PATH = '/data/in.gz'


class Decoder(StratumDecoder):
  """A decoder of records that TensorFlow parses."""

  def codes(self, records):
    self.reader.in_place = lambda _: None
    return self.decode(frame(records))[0]


def decoder(*features, payload=EXAMPLE, missing='own_stratum'):
  return Decoder(features or ('label',), payload, missing, PATH)


def strata_of(records, *features, payload=EXAMPLE):
  """Returns the stratum of each record."""
  found = decoder(*features, payload=payload)
  return [found.strata[code] for code in found.codes(records)]


@pytest.mark.parametrize(
  ('values', 'kind'),
  [
    pytest.param([3, -1, 3, 2**63 - 1, -(2**63)], 'int', id='int64'),
    pytest.param([b'cat', b'', b'cat', b'\xff\x00'], 'bytes', id='bytes'),
    pytest.param([1.0, -2.0, 1.0, 2.0**24], 'float', id='integral float'),
  ],
)
def test_a_class_is_the_value_with_its_type(values, kind):
  records = [example(label=value, id=i) for i, value in enumerate(values)]
  assert strata_of(records) == [(ClassValue(kind, value),) for value in values]


def test_minus_zero_is_zero():
  found = decoder()
  codes = found.codes([example(label=0.0), example(label=-0.0)])
  assert list(found.strata) == [(ClassValue('float', 0.0),)]
  assert codes.tolist() == [0, 0]


@pytest.mark.parametrize('value', ['late', 7, 7.0], ids=['bytes', 'int64', 'float'])
@pytest.mark.parametrize('n', [70, BATCH_RECORDS + 5, 3 * BATCH_RECORDS])
def test_a_label_that_first_appears_late_is_found(n, value):
  found = decoder()
  codes = found.codes([example(other=i) for i in range(n)] + [example(label=value)] * 2)
  assert found.strata[0] == (MISSING,)
  assert str(found.strata[1][0]) in ('late', '7')
  assert codes.tolist() == [0] * n + [1, 1]
  assert found.first_missing == {'label': 0}
  assert found.codes([example(label=value), example(other=0)]).tolist() == [1, 0]


@pytest.mark.parametrize('values', [[], None], ids=['empty list', 'absent'])
def test_a_feature_without_a_value_is_missing(values):
  records = [example(label=1), example(label=values, other=1), example(label=1)]
  assert strata_of(records) == [(ClassValue('int', 1),), (MISSING,), (ClassValue('int', 1),)]


@pytest.mark.parametrize('n', [1, 64, 65, BATCH_RECORDS + 1])
def test_records_of_no_bytes_are_missing(n):
  found = decoder()
  assert set(found.codes([b''] * n).tolist()) == {0}
  assert list(found.strata) == [(MISSING,)]


def test_dropped_records_have_a_code_of_their_own():
  found = decoder('label', 'other', missing='drop')
  records = [example(label=1, other=1), example(label=1), example(other=1), example(id=1)]
  assert found.codes(records).tolist() == [0, DROPPED, DROPPED, DROPPED]
  assert len(found.strata) == 1
  assert found.first_missing == {'label': 2, 'other': 1}


VALUES = st.sampled_from([None, 0, 1, -5])
NAMES = st.sampled_from([None, b'a', b'b', b'\xff'])


@given(
  rows=st.lists(st.tuples(VALUES, NAMES, VALUES), max_size=30),
  cut=st.integers(0, 30),
)
def test_the_strata_of_several_features_are_their_values(rows, cut):
  records = [example(a=a, b=b, c=c, id=i) for i, (a, b, c) in enumerate(rows)]
  found = decoder('a', 'b', 'c')
  codes = [*found.codes(records[:cut]), *found.codes(records[cut:])]

  def value(kind, x):
    return MISSING if x is None else ClassValue(kind, x)

  expected = [(value('int', a), value('bytes', b), value('int', c)) for a, b, c in rows]
  assert [found.strata[code] for code in codes] == expected
  assert len(set(found.strata)) == len(found.strata)


def test_a_feature_that_is_not_asked_for_may_have_any_type_and_length():
  records = [example(label=1, x=1), example(label=1, x='a'), example(label=1, x=[1.5, 2.5])]
  assert strata_of(records) == [(ClassValue('int', 1),)] * 3


@pytest.mark.parametrize('n', [1, 70, BATCH_RECORDS + 1])
@pytest.mark.parametrize(('first', 'second'), [(1, 'x'), ('x', 1), (1.0, 1), (1, 1.0)])
def test_labels_of_two_types_in_a_file_are_refused(n, first, second):
  records = [example(label=first)] * n + [example(label=second)]
  with pytest.raises(DataError, match=rf"{PATH} .*give feature 'label' one type in all records"):
    decoder().codes(records)


@pytest.mark.parametrize('value', [0.5, float('nan'), float('inf')])
@pytest.mark.parametrize('n', [0, BATCH_RECORDS + 1])
def test_a_float_that_is_no_class_is_refused(value, n):
  records = [example(label=1.0)] * n + [example(label=value)]
  fix = 'bin it' if value == 0.5 else 'write no value where it is missing'
  fault = rf"feature 'label' has the value {value} .*{PATH}.* integral: {fix}"
  with pytest.raises(DataError, match=fault):
    decoder().codes(records)


@pytest.mark.parametrize('n', [3, 2 * BATCH_RECORDS + 3])
def test_a_one_hot_label_is_refused_and_told_what_to_do(n):
  records = [example(label=1)] * n + [example(label=[0, 1, 0])]
  fault = rf"feature 'label' has 3 values in record {n} of {PATH}; a class is one value .*argmax"
  with pytest.raises(DataError, match=fault):
    decoder().codes(records)


@pytest.mark.parametrize('n', [0, 70, BATCH_RECORDS])
@pytest.mark.parametrize('payload', [EXAMPLE, SEQUENCE])
@pytest.mark.parametrize('bad', [b'no protocol buffer', b'\x9a\xff', b'\x0a\x05\x9a'], ids=repr)
def test_records_that_are_no_examples_are_refused(n, payload, bad):
  good = sequence_example(label=1) if payload == SEQUENCE else example(label=1)
  with pytest.raises(DataError, match=rf'{PATH} holds records .*{payload}.*payload format'):
    decoder(payload=payload).codes([good] * n + [bad])


@pytest.mark.parametrize('values', [[4, 5, 4], ['a', 'b', 'a'], [1.0, 2.0, 1.0]])
def test_a_sequence_example_has_its_class_in_the_context(values):
  records = [sequence_example(steps=i, label=value) for i, value in enumerate(values)]
  found = decoder(payload=SEQUENCE)
  assert found.codes(records).tolist() == [0, 1, 0]
  assert found.reader.feature_names[0] == 'label'


def test_a_feature_list_is_no_class():
  found = decoder('step', payload=SEQUENCE)
  assert found.codes([sequence_example(steps=1)]).tolist() == [0]
  assert list(found.strata) == [(MISSING,)]


@pytest.mark.parametrize('as_table', [False, True], ids=['parsed', 'as a table'])
@pytest.mark.parametrize(
  ('n_features', 'n_classes'), [(33, 3), (23, 7), (70, 2)], ids=['33 of 3', '23 of 7', '70 of 2']
)
def test_many_features_make_strata_that_do_not_collide(n_features, n_classes, as_table):
  values = np.random.default_rng(0).integers(0, n_classes, (150, n_features))
  values = np.concatenate([values, values[::-1]])
  names = [f'f{i:02}' for i in range(n_features)]
  records = [example(**dict(zip(names, row, strict=True))) for row in values.tolist()]
  found = decoder(*names)
  codes = found.decode(frame(records))[0] if as_table else found.codes(records)
  strata = list(found.strata)
  assert [[c.value for c in strata[code]] for code in codes] == values.tolist()
  assert codes.tolist() == [*range(150), *range(150)[::-1]]


@pytest.mark.parametrize('features', [('label',), ('label', 'site')], ids=str)
@pytest.mark.parametrize('n', [700, 3 * BATCH_RECORDS])
def test_strata_are_numbered_as_they_first_appear_however_batches_are_cut(features, n):
  rows = [(i * i % 31 or None, i * 7 % 11) for i in range(2 * BATCH_RECORDS + 9)][::-1]
  records = [example(label=label, site=site) for label, site in rows]
  found = decoder(*features)
  codes = [code for i in range(0, len(rows), n) for code in found.codes(records[i : i + n])]
  keys = [row[: len(features)] for row in rows]
  first = {key: number for number, key in enumerate(dict.fromkeys(keys))}
  assert codes == [first[key] for key in keys]
  assert [tuple(c.value for c in stratum) for stratum in found.strata] == list(first)
