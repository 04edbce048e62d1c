"""The one reading of a file: what it counts, and the index that it keeps."""

import random
from dataclasses import replace

from tfx_balance.plan.class_value import stratum_name
from tfx_balance.scan.scan import ScanFile
from tfx_balance.scan.totals import ScanCounts, sum_by_split
from tfx_balance.sizes import SIZES, Workspace

from tests.helpers_examples import example, in_shards, labelled
from tests.helpers_split import input_files
from tests.list_runner import ListPipeline


def scan(tmp_path, shards, missing='own_stratum', features=('label',), sizes=SIZES):
  """Returns what is found in each of some shards."""
  step = ScanFile(features, 'FORMAT_TF_EXAMPLE', missing, str(tmp_path), sizes=sizes)
  return [found for file in input_files(tmp_path, shards) for found in step.process(file)]


def totals_of(scanned):
  """Returns what some files hold together."""
  files = ListPipeline().elements(scanned)
  work = Workspace(work_dir='', n_files=len(scanned))
  (totals,) = sum_by_split(files, lambda by_split: by_split[''], work).values
  return totals


def rows_of(totals):
  """Returns the strata as text, their records and their bytes."""
  counts = totals.strata()
  return list(map(stratum_name, counts.strata)), counts.records.tolist(), counts.n_bytes.tolist()


def test_every_counter_of_two_files_is_their_sum():
  one = ScanCounts(
    1, 2, 3, 2**64 - 1, {'a'}, {'a': ('f', 9)}, 2, (1, 'x'), 1, 1, kinds={'a': {'int': 'g'}}
  )
  two = ScanCounts(4, 5, 6, 3, {'b'}, {'a': ('e', 7)}, 0, None, 2, 3, kinds={'a': {'int': 'f'}})
  sums = []
  for first, second in ((one, two), (two, one)):
    total = ScanCounts()
    total.add(first)
    total.add(second)
    sums.append(total)
  assert (
    sums[0]
    == sums[1]
    == ScanCounts(
      5, 7, 9, 2, {'a', 'b'}, {'a': ('e', 7)}, 2, (1, 'x'), 3, 4, kinds={'a': {'int': 'f'}}
    )
  )
  assert one.fingerprint == 2**64 - 1  # as it was


def test_totals_are_those_of_all_files_in_any_order_and_grouping(tmp_path):
  payloads = labelled({0: 30, 1: 5, 2: 1}) + [example(other=i) for i in range(4)]
  random.Random(0).shuffle(payloads)
  scanned = scan(tmp_path, in_shards(payloads, 5))
  whole = totals_of(scanned)
  grouped = totals_of([*scanned[3:], *scanned[:1], *scanned[1:3]])
  assert rows_of(grouped) == rows_of(whole)
  assert replace(grouped, counts=[]) == replace(whole, counts=[])
  assert whole.n_records == 40
  assert rows_of(whole)[0] == ['0', '1', '2', '(missing)']
  assert rows_of(whole)[1] == [30, 5, 1, 4]
  assert whole.n_files == 5
  assert whole.feature_names == {'label', 'id', 'other'}


def test_the_first_record_without_a_label_is_the_one_of_the_first_file(tmp_path):
  good, bad = example(label=1), example(other=1)
  scanned = scan(tmp_path, [[good], [good, good, bad, bad], [bad]])
  expected = {'label': (scanned[1].file.path, 2)}
  assert totals_of(scanned).missing_in == expected
  assert totals_of(scanned[::-1]).missing_in == expected


def test_the_fingerprint_is_of_the_set_of_records(tmp_path):
  payloads = labelled({0: 20, 1: 5})

  def fingerprint(name, shards, missing='own_stratum'):
    return totals_of(scan(tmp_path / name, shards, missing)).fingerprint

  whole = fingerprint('whole', [payloads])
  assert fingerprint('shards', in_shards(payloads[::-1], 4)) == whole
  assert fingerprint('one less', [payloads[1:]]) != whole
  assert fingerprint('one twice', [[*payloads, payloads[0]]]) != whole
  other = [*payloads, example(id=99)]
  assert fingerprint('kept', [other]) == fingerprint('dropped', [other], 'drop') != whole
