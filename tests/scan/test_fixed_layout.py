"""Values at one place in all examples, against TensorFlow's parser."""

from itertools import groupby

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.scan.fixed_layout import FixedBits, FixedColumns
from tfx_balance.scan.record_reader import RecordReader
from tfx_balance.scan.strata import StratumDecoder
from tfx_balance.tfrecord.frames import frame

from tests.helpers_examples import example

VARINT, FIXED64, DELIMITED, GROUP, END_GROUP, FIXED32 = range(6)
FLOAT, INT = 2, 3
DTYPES = {'O': tf.string, 'f': tf.float32, 'i': tf.int64}


def field(number, payload, wire=DELIMITED):
  size = bytes([len(payload)]) if wire == DELIMITED else b''
  return bytes([number << 3 | wire]) + size + payload


def entry(content, name=b'label'):
  return field(1, field(1, name) + field(2, content))


def record(content, others=b''):
  """Returns an example with the label's bytes as given."""
  return field(1, others + entry(content))


ONE = field(INT, field(1, b'\x05'))
PARTS = field(1, b'label') + field(2, ONE)
GOOD = record(ONE)


def rows(records):
  """Returns the records as `Frames` hands them out: apart."""
  return frame(records).table()


def layout_of(record):
  return FixedColumns.of(record, {'label': 1})


def read(records):
  """Returns the labels, which TensorFlow's parser reads the same; None if they are left to it."""
  layout = layout_of(records[0])
  found = layout and layout.values(rows(records))
  return None if found is None else as_parsed(records, *found)


def as_parsed(records, values):
  """Returns labels as a list, which TensorFlow's parser reads the same."""
  feature = tf.io.RaggedFeature(DTYPES[values.dtype.kind])
  parsed = tf.io.parse_example(records, {'label': feature})['label']
  assert parsed.row_splits.numpy().tolist() == list(range(len(records) + 1))
  assert values.dtype == parsed.values.numpy().dtype
  np.testing.assert_array_equal(values, parsed.values.numpy())
  return values.tolist()


INTS = [[128**n, 128 ** (n + 1) - 1] for n in range(9)]  # of 1 to 9 bytes
BESIDE = {
  'alone': lambda i: {},
  'first': lambda i: {'z': i, 'zz': [0.5, -i / 2]},
  'last': lambda i: {'a': 'abc'[i], 'b': [i] * 40},
  'between': lambda i: {'labe': i, 'label2': 'x', 'a': [], 'z': b'\x00' * 200},
}


@pytest.mark.parametrize('beside', BESIDE.values(), ids=BESIDE)
@pytest.mark.parametrize('values', [*INTS, [0.0, -1.5, float('inf')], [b'a\0', b'\0\0', b'\xff1']])
def test_one_value_of_one_size_is_read(values, beside):
  assert read([example(label=v, **beside(i)) for i, v in enumerate(values)]) == values


@pytest.mark.parametrize(
  ('content', 'value'),
  [
    pytest.param(field(INT, field(1, b'\xac\2', VARINT)), 300, id='unpacked int'),
    pytest.param(field(INT, field(1, b'\xac\x82\0')), 300, id='int with a zero too many'),
    pytest.param(field(FLOAT, field(1, b'\0\0\x80\x3f', FIXED32)), 1.0, id='unpacked float'),
  ],
)
def test_a_list_need_not_be_packed_nor_an_int_short(content, value):
  assert read([record(content)] * 2) == [value] * 2


LEFT = {
  'negative': example(label=-1),
  'of ten bytes': record(field(INT, field(1, b'\x80' * 9 + b'\1'))),
  'absent': example(other=1),
  'empty list': example(label=[], other=1),
  'empty packed list': record(field(INT, field(1, b'')), entry(ONE, b'a')),
  'empty feature': record(b''),
  'empty bytes': example(label=b''),
  'two ints': example(label=[1, 2]),
  'two unpacked': record(field(INT, field(1, b'\1', VARINT) * 2)),
  'two lists': record(ONE * 2),
  'twice in the map': record(ONE, entry(ONE)),
  'another name': field(1, entry(ONE, b'labe') + entry(ONE, b'label2')),
  'two features': GOOD * 2,
  'value before key': field(1, field(1, field(2, ONE) + field(1, b'label'))),
  'float of three bytes': record(field(FLOAT, field(1, b'\0\0\0'))),
  'float that is a varint': record(field(FLOAT, field(1, b'\x80\x80\x80\1', VARINT))),
  'int that is fixed': record(field(INT, field(1, b'\x80\x80\x80\1', FIXED32))),
  'int without an end': field(1, entry(field(INT, field(1, b'\x81'))) + entry(ONE, b'z')),
  'list that is fixed': record(field(INT, b'\x0a\2\xac\2', FIXED32)),
  'number of the kind': record(field(4, field(1, b'\5'))),
  'number of the value': record(field(INT, field(2, b'\5'))),
  'tag of two bytes': b'\x8a\0' + GOOD[1:],
  "value's tag of two bytes": record(field(INT, b'\x8a\0\1\5')),
  'length past the end': GOOD[:1] + b'\x7f' + GOOD[2:],
  'length without an end': b'\x0a' + b'\xff' * 7,
  'garbage': b'no protocol buffer',
}
UNKNOWN = {
  'varint': field(9, b'\1', VARINT),
  'fixed64': field(9, b'12345678', FIXED64),
  'delimited': field(9, b'ab'),
  'group': field(9, field(9, b'', END_GROUP), GROUP),
}
PLACES = {
  'example': lambda unknown: GOOD + unknown,
  'features': lambda unknown: record(ONE, unknown),
  'entry': lambda unknown: field(1, field(1, PARTS + unknown)),
  'feature': lambda unknown: record(ONE + unknown),
  'list': lambda unknown: record(field(INT, field(1, b'\5') + unknown)),
}
LEFT |= {f'{k} in {p}': put(UNKNOWN[k]) for k in UNKNOWN for p, put in PLACES.items()}
LEFT |= {f'{n} bytes of it': GOOD[:n] for n in range(len(GOOD))}


@pytest.mark.parametrize('left', LEFT.values(), ids=LEFT)
def test_other_examples_are_left_to_the_parser(left):
  assert read([GOOD]) == [5]
  assert layout_of(left) is None


@pytest.mark.parametrize('at', [0, 1, 70])
@pytest.mark.parametrize(
  ('one', 'odd'),
  [
    pytest.param(example(label=2**21), example(label=1.0), id='kind'),
    pytest.param(example(label=200), record(field(INT, field(1, b'\1', VARINT) * 2)), id='tag'),
    pytest.param(example(label=200, z='a'), example(label=2, z='ab'), id='length'),
    pytest.param(example(label=2, z='a'), example(lab3l=2, z='a'), id='name'),
    pytest.param(example(label=2, z='a'), example(label=2, y='a'), id="other's name"),
    pytest.param(example(label=200), example(label=[5, 1]), id='bit of another byte'),
    pytest.param(example(label=200), example(label=200)[:-1] + b'\x81', id='byte past the end'),
  ],
)
def test_one_record_that_lies_otherwise_leaves_all_to_the_parser(one, odd, at):
  assert len(odd) == len(one)
  records = [one] * 71
  assert read(records) is not None
  records[at] = odd
  assert read(records) is None


@pytest.mark.parametrize('values', [[1, 2, 3], [1.0, 2.0, 3.0], [b'a', b'b', b'c']])
def test_rows_may_be_apart_or_none(values):
  table = rows([example(a=i, label=value) for i, value in enumerate(values)])
  layout = layout_of(table[0].tobytes())
  assert not table.flags.c_contiguous
  for some in (slice(None), slice(None, None, 2), slice(None, None, -1), slice(0)):
    for each in (table[some], table[some].copy()):
      assert layout.values(each)[0].tolist() == values[some]


SMALL = st.integers(0, 200)
BYTE_STRINGS = st.binary(max_size=2)
KINDS = [SMALL, st.integers(-(2**63), 2**63 - 1), st.floats(width=32), BYTE_STRINGS]
VALUES = st.one_of(*KINDS, st.none(), *(st.lists(kind, max_size=2) for kind in KINDS))


@given(st.sampled_from([*KINDS, VALUES]).flatmap(lambda label: st.lists(st.tuples(label, VALUES))))
def test_a_value_is_what_the_parser_reads(pairs):
  records = sorted((example(label=label, other=other) for label, other in pairs), key=len)
  for _, of_one_length in groupby(records, len):
    read(list(of_one_length))


@given(st.data(), st.sampled_from([GOOD, example(a=0.5, label=b'ab'), example(label=1.0, z=1)]))
def test_a_record_with_other_bytes_is_read_as_the_parser_does(data, one):
  changed = bytearray(one)
  for at in data.draw(st.lists(st.integers(0, len(one) - 1), max_size=4)):
    changed[at] = data.draw(st.sampled_from([*b'\0\1\2\x08\x0a\x0d\x12\x1a\x80']) | SMALL)
  read([bytes(changed)])


@pytest.mark.parametrize(
  ('records', 'free'),
  [
    pytest.param([example(label=v) for v in (1, 2, 3)], 7, id='int'),
    pytest.param([example(label=v) for v in (128, 300)], 14, id='int of two bytes'),
    pytest.param([example(label=v) for v in (1.5, -2.0)], 32, id='float'),
    pytest.param([example(label=v) for v in ('ab', 'cd')], 16, id='bytes'),
    pytest.param([example(a=v, label=v) for v in (1, 2)], 7 + 40, id='with the other whole'),
  ],
)
def test_no_bit_but_those_of_values_may_differ(records, free):
  for i, one in enumerate(records):
    n_read = 0
    for bit in range(8 * len(one)):
      flipped = (int.from_bytes(one, 'little') ^ 1 << bit).to_bytes(len(one), 'little')
      read([flipped])
      n_read += read([*records[:i], flipped, *records[i + 1 :]]) is not None
    assert n_read == free


@pytest.mark.parametrize('n_bytes', range(8, 41))
def test_every_fixed_bit_is_compared(n_bytes):
  rng = np.random.default_rng(n_bytes)
  for density in (0.05, 0.3, 0.6, 0.9, 1):
    fixed = rng.integers(1, 256, n_bytes, np.uint8) * (rng.random(n_bytes) < density)
    one = rng.integers(0, 256, n_bytes, np.uint8)
    bits = FixedBits(one, fixed.astype(np.uint8))
    for at in range(n_bytes):
      table = np.tile(one, (3, 1))
      table[1, at] ^= ~bits.fixed[at]
      assert bits.fit(table)
      assert bits.which_fit(table).all()
      table[1, at] ^= bits.fixed[at]
      assert bits.fit(table) == (bits.fixed[at] == 0)
      assert bits.which_fit(table).tolist() == [True, bits.fixed[at] == 0, True]


def decoded(batches, *features, parses=False):
  """Returns the codes of each batch, by place where that can be or parsed, and their strata."""
  found = StratumDecoder(features, 'FORMAT_TF_EXAMPLE', 'own_stratum', '/data/in.gz')
  if parses:
    found.reader.in_place = lambda _: None
  codes = [found.decode(frame(batch))[0].tolist() for batch in batches]
  return codes, list(found.strata), found.first_missing


PAIRS = st.tuples(st.none() | SMALL, st.none() | BYTE_STRINGS)
RUNS = st.tuples(PAIRS, st.integers(1, 4)).map(lambda run: [run[0]] * run[1])


@pytest.mark.parametrize('features', [('a',), ('b',), ('b', 'a')], ids=str)
@given(st.lists(st.lists(PAIRS, min_size=1, max_size=5) | RUNS, max_size=8))
def test_strata_are_the_same_with_the_table(features, batches):
  batches = [[example(a=a, b=b, id=1) for a, b in pairs] for pairs in batches]
  assert decoded(batches, *features) == decoded(batches, *features, parses=True)


def test_records_of_identical_layout_are_not_parsed(monkeypatch):
  monkeypatch.setattr(RecordReader, 'parse', None)
  codes, found, _ = decoded([[example(label=7)] * 2], 'label')
  assert (codes, found) == ([[0, 0]], [(ClassValue('int', 7),)])


def test_several_features_are_read_at_once():
  table = rows([example(x=[float(i), -float(i)], n=i, more=i + 1) for i in range(20)])
  columns = FixedColumns.of(table[0].tobytes(), {'x': 2, 'n': 1})
  x, n = columns.values(table)
  assert x.tolist() == [[i, -i] for i in range(20)]
  assert n.tolist() == list(range(20))
  for wanted in ({}, {'x': 1}, {'x': 3}, {'n': 2}, {'x': 2, 'y': 1}):
    assert FixedColumns.of(table[0].tobytes(), wanted) is None
  for other in (table[:, :-1], np.pad(table, ((0, 0), (0, 1)))):
    assert columns.values(other) is None
