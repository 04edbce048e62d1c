"""One form for equal values: by the fast path, by protobuf, and both in one batch."""

import random

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.errors import DataError
from tfx_balance.scan import record_values
from tfx_balance.scan.fixed_layout import EntryLayout
from tfx_balance.scan.record_values import canonical_records

from tests.helpers_examples import example, sequence_example

KIND, PATH = 'FORMAT_TF_EXAMPLE', '/data/in.gz'
BYTES, FLOAT, INT = 1, 2, 3
INTS = st.sampled_from([0, 1, 127, 128, -1, 2**62, 2**63 - 1, -(2**63)]) | st.integers(-300, 300)
VALUES = (
  st.tuples(st.just(INT), st.lists(INTS, max_size=3))
  | st.tuples(st.just(FLOAT), st.lists(st.floats(width=32), max_size=3))
  | st.tuples(st.just(BYTES), st.lists(st.binary(max_size=3), max_size=3))
  | st.just((None, []))
)
FEATURES = st.dictionaries(
  st.text(max_size=3) | st.sampled_from(['a', 'ab', 'é']), VALUES, max_size=4
)


def varint(n, too_many=0):
  """Returns a number in 7-bit digits, low ones first, with some digits of 0 too many."""
  n %= 1 << 64
  digits = [n >> shift & 0x7F for shift in range(0, max(1, n.bit_length()), 7)]
  digits += [0] * min(too_many, 10 - len(digits))
  return bytes([digit | 0x80 for digit in digits[:-1]] + digits[-1:])


def delimited(number, payload):
  return bytes([number << 3 | 2]) + varint(len(payload)) + payload


def written(kind, values, packed=True, too_many=0):
  """Returns a `tf.train.Feature`."""
  if kind is None:
    return b''
  if kind == BYTES:
    return delimited(BYTES, b''.join(delimited(1, value) for value in values))
  if kind == FLOAT:
    parts, tag = [np.float32(value).tobytes() for value in values], b'\x0d'
  else:
    parts, tag = [varint(value, too_many) for value in values], b'\x08'
  if packed:
    return delimited(kind, delimited(1, b''.join(parts)) if parts else b'')
  return delimited(kind, b''.join(tag + part for part in parts))


def entry(name, feature):
  return delimited(1, delimited(1, name.encode()) + delimited(2, feature))


@st.composite
def writings(draw, features):
  """Draws several writings of the same features, some of them as only protobuf reads them."""
  found = []
  for _ in range(draw(st.integers(1, 4))):
    names = draw(st.permutations(sorted(features)))
    style = draw(st.sampled_from(['plain', 'plain', 'plain', 'unpacked', 'long', 'twice', 'two']))
    entries = [
      entry(name, written(*features[name], style != 'unpacked', int(style == 'long')))
      for name in names
    ]
    if style == 'twice' and names:
      entries.insert(0, entry(names[0], written(INT, [77])))  # the last one counts
    cut = len(entries) // 2 if style == 'two' else len(entries)
    body = delimited(1, b''.join(entries[:cut]))
    found.append(body + (delimited(1, b''.join(entries[cut:])) if style == 'two' else b''))
  return found


@settings(max_examples=30)
@given(data=st.data(), features=st.lists(FEATURES, min_size=1, max_size=5))
def test_equal_values_have_one_form_whichever_path_they_take(data, features):
  records, expected = [], []
  for one in features:
    several = data.draw(writings(one))
    records += several
    expected += [entry_sorted(one)] * len(several)
  order = data.draw(st.permutations(range(len(records))))
  for few in (1, 2, 10**6):  # all by layouts where that can be; none
    found = canonical_records([records[i] for i in order], KIND, PATH, few)
    assert found == [expected[i] for i in order]


def entry_sorted(features):
  """Returns the entries as protobuf writes each, in the order of their names."""
  return b''.join(entry(name, written(*features[name])) for name in sorted(features))


def shuffled(n_orders, n=200, **constant):
  """Returns records that differ, each in one of so many orders of its features."""
  names = ['id', 'label', 'x', 'y', *constant]
  orders = [random.Random(i).sample(names, len(names)) for i in range(n_orders)]
  found = []
  for i in range(n):
    value = {
      'id': written(INT, [i * 100]),
      'label': written(INT, [i % 3]),
      'x': written(FLOAT, [i / 3]),
      'y': written(BYTES, [b'abc', b'd' * (i % 2)]),
      **constant,
    }
    entries = [entry(name, value[name]) for name in orders[i % n_orders]]
    found.append(delimited(1, b''.join(entries)))
  return found


@pytest.fixture
def left(monkeypatch):
  """Returns the records that are left to protobuf, in the order in which they are."""
  records = []
  monkeypatch.setattr(
    record_values,
    '_by_protobuf',
    lambda some, *rest: records.extend(some) or BY_PROTOBUF(some, *rest),
  )
  return records


BY_PROTOBUF = record_values._by_protobuf


@pytest.mark.parametrize('n_orders', [1, 2, 3])
def test_records_of_few_orders_and_lengths_are_not_left_to_protobuf(left, n_orders):
  records = shuffled(n_orders, 600)
  found = canonical_records(records, KIND, PATH, few=2)
  assert len({len(record) for record in records}) > 2
  assert len(left) < 10  # those of a length that few have
  assert found == BY_PROTOBUF(records, KIND, PATH)


def test_one_odd_record_does_not_leave_all_to_protobuf(left):
  records = [example(label=i % 3, x=float(i)) for i in range(100)]
  odd = delimited(1, entry('label', written(INT, [5], packed=False)))
  odd += b'\x0a\x00' * ((len(records[0]) - len(odd)) // 2)
  assert len(odd) in {len(record) for record in records}
  found = canonical_records([odd, *records], KIND, PATH)
  assert left == [odd]
  assert found == BY_PROTOBUF([odd, *records], KIND, PATH)


@given(
  parts=st.lists(
    st.sampled_from(
      [b'\x00', b'\x05', b'\x85\x01', b'\x85\x00', b'\xff' * 9, b'\x80' * 10, b'\x80']
    )
    | st.binary(min_size=1, max_size=4),
    max_size=5,
  )
)
def test_only_integers_as_protobuf_writes_them_are_taken(parts):
  data = b''.join(parts)
  one = delimited(
    1, entry('a', delimited(INT, delimited(1, data))) + entry('bb', written(INT, [1]))
  )
  try:
    serialized = tf.train.Example.FromString(one).SerializeToString(deterministic=True)  # 'a', 'bb'
  except Exception:  # protobuf cannot read it
    serialized = None
  layout = EntryLayout.of(one)
  table = np.frombuffer(one, np.uint8)[None]
  assert (layout is not None and bool(layout.which_fit(table)[0])) == (serialized == one)


def test_sequence_examples_are_left_to_protobuf():
  one = sequence_example(steps=3, label=1, id=7)
  message = tf.train.SequenceExample.FromString(one)
  other = message.feature_lists.SerializeToString()
  context = message.context.SerializeToString()
  swapped = delimited(2, other) + delimited(1, context)
  assert swapped != one
  kind = 'FORMAT_TF_SEQUENCE_EXAMPLE'
  assert canonical_records([swapped] * 40, kind, PATH) == canonical_records([one] * 40, kind, PATH)


def test_a_name_that_is_no_text_is_an_error():
  bad = delimited(1, delimited(1, delimited(1, b'\xff\xfe') + delimited(2, written(INT, [1]))))
  with pytest.raises(DataError, match=r"in.gz holds a record that protobuf.*pass identity='bytes'"):
    canonical_records([bad] * 50, KIND, PATH)


def test_no_records():
  assert canonical_records([], KIND, PATH) == []
