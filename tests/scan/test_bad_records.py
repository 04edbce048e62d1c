"""Records that cannot be used: refused, or skipped, counted and told."""

import gzip

import pytest
from tfx_balance.documents.descriptions import describe_split
from tfx_balance.errors import DataError
from tfx_balance.scan.scan import ScanFile
from tfx_balance.scan.totals import Totals
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.tfrecord.frames import frame
from tfx_balance.tfrecord.reading import ReadOptions

from tests.balanced_augmenter.helpers_balance import balance, class_counts, tabular
from tests.helpers_examples import example, labelled, read_tfrecords
from tests.helpers_split import input_files, split_context
from tests.list_runner import run_on_lists

GOOD = labelled({'a': 40, 'b': 30})
SKIP = ReadOptions(bad_records='skip', max_bad_records=3)


def damaged(at, cut=0):
  """Returns the bytes of a file with the data of these records changed, and its end cut off."""
  framed = frame(GOOD)
  data = bytearray(framed.data)
  for i in at:
    data[int(framed.offsets[i]) + 14] ^= 1
  return bytes(data[: len(data) - cut])


def scan(folder, data, options, suffix=''):
  """Returns what is found in a file of these bytes."""
  (file,) = input_files(folder, [[]], suffix)
  with open(file.path, 'wb') as out:
    out.write((gzip.compress if suffix else bytes)(data))
  step = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(folder), options)
  (found,) = step.process(file)
  return found


def kept(found):
  """Returns the records that a later pass uses, in the order of the file."""
  at = {
    position: record
    for index, frames in found.spill.frames()
    for position, record in zip(index['position'].tolist(), frames.payloads(), strict=True)
  }
  return [at[position] for position in sorted(at)]


def without(positions):
  return [record for i, record in enumerate(GOOD) if i not in positions]


DAMAGED = {
  'first': ([0], 0),
  'several': ([0, 1, 69], 0),
  'cut short': ([], 5),
  'both': ([7], 5),
}


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize(('at', 'cut'), DAMAGED.values(), ids=DAMAGED)
def test_bad_records_are_skipped_and_counted(tmp_path, at, cut, suffix):
  found = scan(tmp_path, damaged(at, cut), SKIP, suffix=suffix)
  lost = [*at, *([69] if cut else [])]
  assert kept(found) == without(lost)
  assert (found.counts.bad, sum(found.records), found.counts.dropped) == (
    len(lost),
    70 - len(lost),
    0,
  )
  assert found.counts.first_bad[1].startswith(f'record {lost[0]} of {found.file.path}: ')


OTHER = {
  'no example': b'\xff' * 30,
  'no example of equal length': b'\xff' * len(GOOD[0]),
  'another type': example(label=1, id=1),
  'several classes': example(label=['a', 'b'], id=1),
}


@pytest.mark.parametrize('at', [0, 35, 69])
@pytest.mark.parametrize('record', OTHER.values(), ids=OTHER)
def test_what_is_no_example_with_a_class_is_skipped(tmp_path, record, at):
  records = [*GOOD[:at], record, *GOOD[at:]]
  found = scan(tmp_path, bytes(frame(records).data), SKIP)
  assert kept(found) == GOOD
  assert found.counts.first_bad[1].startswith(f'record {at} of ')
  assert [str(value) for (value,) in found.strata] == ['a', 'b']


def test_positions_are_those_in_the_file_after_what_was_skipped(tmp_path):
  options = ReadOptions(bad_records='skip', max_bad_records=1)
  framed = [bytearray(frame([record]).data) for record in [*GOOD, b'\xff' * 30]]
  framed[3][14] ^= 1
  with pytest.raises(DataError, match='2 bad records or more are above max_bad_records=1; fix'):
    scan(tmp_path, b''.join(framed), options)


def test_more_bad_records_than_may_be_are_an_error(tmp_path):
  options = ReadOptions(bad_records='skip', max_bad_records=2)
  fault = r'3 bad records or more are above max_bad_records=2; .* The first is record 5 of '
  with pytest.raises(DataError, match=fault):
    scan(tmp_path, damaged([5, 6, 7]), options)


def test_the_limit_is_that_of_all_files_together(tmp_path):
  totals = Totals()
  for i in range(2):
    (tmp_path / str(i)).mkdir()
    totals.merge(Totals.of(scan(tmp_path / str(i), damaged([5, 6]), SKIP)))
  assert totals.describe().bad_records == 4
  with pytest.raises(DataError, match='4 bad records or more are above max_bad_records=3'):
    totals.check_bad(3)
  totals.check_bad(4)


def test_what_cannot_be_counted_is_refused_nevertheless(tmp_path):
  data = bytearray(damaged([]))
  data[0] ^= 1
  with pytest.raises(DataError, match='the length of a record does not match its checksum'):
    scan(tmp_path, bytes(data), SKIP)


def test_a_split_leaves_bad_records_out_and_says_so(tmp_path):
  (file,) = input_files(tmp_path, [[]])
  with open(file.path, 'wb') as out:
    out.write(damaged([3, 50], 5))
  context = split_context(tmp_path, bad_records='skip', max_bad_records=3)
  output_plan, _, files = run_on_lists(StratifiedSplit(context), [file])
  written = [record for f in files for record in read_tfrecords(f.work_path)]
  assert sorted(written) == sorted(without([3, 50, 69]))
  source = output_plan.totals.describe()
  assert (source.records, source.bad_records) == (67, 3)
  files = {name: {} for name in output_plan.plan.splits}
  sidecar = describe_split(output_plan.plan, {}, source, files, []).to_json()
  assert sidecar['warnings'][-1].startswith('3 bad records were skipped, the first is record 3 of')


def test_the_augmenter_copies_and_decodes_no_bad_record(tmp_path):
  records = tabular({'a': 20, 'b': 5})
  shard = [*records, b'\xff' * 30]
  found = balance(tmp_path, {'train': [shard]}, lambda features, seed: features, reading=SKIP)
  assert set(found['train']) > set(records)
  assert class_counts(found['train']) == {b'a': 20, b'b': 20}
