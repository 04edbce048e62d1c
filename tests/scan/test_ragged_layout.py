"""Labels of large examples of different lengths, against TensorFlow's parser."""

import numpy as np
import pytest
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.scan.ragged_layout import ragged_values
from tfx_balance.scan.record_reader import RecordReader
from tfx_balance.scan.strata import StratumDecoder
from tfx_balance.tfrecord.frames import FOOTER, HEADER, frame

from tests.helpers_examples import example
from tests.scan.test_fixed_layout import FLOAT, INT, VARINT, as_parsed, entry, field, record

BYTES = 1
OTHERS = [field(1, b'')[:0], entry(field(FLOAT, field(1, b'abcd' * 2)), b'x')]
VALUES = {
  'int': field(INT, field(1, b'\x05')),
  'int of two bytes': field(INT, field(1, b'\x85\x01')),
  'int alone': field(INT, field(1, b'\x05', VARINT)),
  'float': field(FLOAT, field(1, b'\0\0\x80?')),
  'float alone': field(FLOAT, field(1, b'\0\0\x80?', 5)),
  'bytes': field(BYTES, field(1, b'cat')),
  'no bytes': field(BYTES, field(1, b'')),
}


def read(records):
  """Returns the labels, which TensorFlow's parser reads the same; None if they are left to it."""
  frames = frame(records)
  starts, ends = frames.offsets[:-1] + HEADER, frames.offsets[1:] - FOOTER
  found = ragged_values(np.frombuffer(frames.data, np.uint8), starts, ends, 'label')
  return None if found is None else as_parsed(records, found[1])


@pytest.mark.parametrize('value', VALUES.values(), ids=VALUES)
def test_labels_are_found_wherever_they_are(value):
  records = [record(value, others) for others in OTHERS]
  records.append(field(1, entry(value) + OTHERS[1]))
  assert len(set(map(len, records))) > 1
  assert len(read(records)) == 3


def test_values_of_different_lengths_are_found():
  values = [1, 300, 70_000, 2**62, 0]
  assert read([example(label=v, x=[0.5] * (v % 7)) for v in values]) == values
  values = [b'', b'a', b'a longer one']
  assert read([example(label=v) for v in values]) == values


GOOD = VALUES['int']
LEFT = {
  'without the feature': field(1, OTHERS[1]),
  'twice': record(GOOD, entry(GOOD)),
  'two values': record(field(INT, field(1, b'\x05\x06'))),
  'no value': record(field(INT, field(1, b''))),
  'empty list': record(field(INT, b'')),
  'no list': record(b''),
  'negative': example(label=-1),
  'other type': record(VALUES['float']),
  'two lists of features': field(1, entry(GOOD)) * 2,
  'more behind': record(GOOD) + b'\x12\0',
  'name behind': field(1, field(1, field(2, GOOD) + field(1, b'label'))),
  'empty': b'',
  'cut': record(GOOD)[:-1],
  'length without end': b'\x0a' + b'\xff' * 12,
}


@pytest.mark.parametrize('odd', LEFT.values(), ids=LEFT)
@pytest.mark.parametrize('first', [False, True])
def test_what_is_not_one_value_in_each_is_left_to_the_parser(odd, first):
  records = [record(GOOD), record(GOOD, OTHERS[1])]
  assert read(records) == [5, 5]
  assert read([odd, *records] if first else [*records, odd]) is None


def test_the_label_of_many_features_is_left_to_the_parser():
  assert read([example(label=1, **{f'f{i}': 1 for i in range(n)}) for n in (20, 63)]) == [1, 1]
  assert read([example(label=1, **{f'f{i}': 1 for i in range(n)}) for n in (20, 80)]) is None


def test_large_records_are_not_parsed_until_one_must_be(monkeypatch):
  large = frame([example(label=i % 3, x=[0.5] * (400 + i)) for i in range(9)])
  odd = frame([example(label=i, x=[0.5] * (400 + i), y='y') for i in (-1, 1)])
  found = StratumDecoder(('label',), 'FORMAT_TF_EXAMPLE', 'own_stratum', '/data/in.gz')
  with monkeypatch.context() as patch:
    patch.setattr(RecordReader, 'parse', None)
    assert found.decode(large, [])[0].tolist() == [0, 1, 2] * 3
    with pytest.raises(TypeError):
      found.decode(odd, [])
  assert [found.strata[code] for code in found.decode(odd, [])[0]] == [
    (ClassValue('int', -1),),
    (ClassValue('int', 1),),
  ]
