"""The scale benchmark counts what it says it counts, and its cost model predicts."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from benchmarks import scale
from benchmarks.cost_model import CostModel, Workload, error
from benchmarks.data import DataSpec, find_or_write
from benchmarks.measure import Measured
from benchmarks.scale_results import CaseResult, series

BEAM = ['--direct_running_mode=in_memory']
SPEC = DataSpec('small', 6_000, 4, classes=10)


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  return find_or_write(SPEC, tmp_path_factory.mktemp('files'))


@pytest.fixture(scope='module')
def counted(files, tmp_path_factory):
  from benchmarks.scale_side import split

  work = split(asdict(files), str(tmp_path_factory.mktemp('run') / 'root'), BEAM)
  return work.check(work.run())


def workload(files):
  return Workload(files.records, files.raw_bytes, files.file_bytes, SPEC.shards, SPEC.classes)


def test_no_record_is_lost(counted):
  assert sum(counted['records'].values()) == SPEC.records


def test_bytes_are_those_that_the_model_counts(files, counted):
  model = workload(files)

  assert counted['read']['data'] == files.file_bytes
  assert counted['read']['index'] == 3 * counted['written']['index'] == 3 * model.index_bytes
  assert counted['read']['dealt'] == counted['written']['dealt'] == 6 * SPEC.records
  assert counted['read']['spill'] == counted['written']['spill'] == files.raw_bytes
  assert sum(counted['read'].values()) - counted['read']['other'] == model.read
  # Shuffled records compress about as well as those that went in.
  written = sum(counted['written'].values()) - counted['written']['other']
  assert written == pytest.approx(model.written, rel=0.05)


def test_less_is_shuffled_than_the_data_has(files, counted):
  assert 0 < counted['shuffled'] < files.raw_bytes / 4
  assert counted['largest'] <= counted['shuffled']


def test_what_is_shuffled_grows_more_slowly_than_the_records(tmp_path):
  from benchmarks.scale_side import split

  moved = []
  for records in (3_000, 60_000):
    files = find_or_write(DataSpec('small', records, 2), tmp_path / 'files')
    work = split(asdict(files), str(tmp_path / f'run-{records}'), BEAM)
    moved.append(work.check(work.run())['shuffled'])

  # 20 times the records: counters and ranks near a threshold grow with the square root.
  assert moved[1] < 5 * moved[0], moved
  assert moved[1] < files.raw_bytes / 50, moved


def test_the_model_finds_what_runs_cost():
  truth = CostModel(1.0, 0.02, 1.5e-6, 2e-9, 1e-5)
  runs = [
    Workload(records, records * size, records * size // 2, files, classes)
    for records, size, files, classes in [
      (500_000, 120, 64, 100),
      (5_000_000, 120, 64, 10),
      (5_000_000, 120, 64, 10_000),
      (5_000_000, 120, 512, 100),
      (50_000, 4_000, 8, 100),
      (500_000, 4_000, 64, 100),
    ]
  ]

  model = CostModel.fit([(run, truth.core_seconds(run)) for run in runs])

  assert asdict(model) == pytest.approx(asdict(truth), rel=1e-6)
  assert error(model, runs[0], truth.core_seconds(runs[0])) == pytest.approx(0, abs=1e-9)
  with pytest.raises(ValueError, match='4 runs cannot tell 5 costs; measure more'):
    CostModel.fit([(run, 1.0) for run in runs[:4]])


def test_what_comes_together_grows_more_slowly_than_the_records():
  small = Workload(10**6, 10**8, 10**8, 8, 100)
  large = replace(small, records=10**10, raw_bytes=10**12, file_bytes=10**12, files=8_000)

  assert large.histogram_bytes + large.candidate_bytes < 200 * (
    small.histogram_bytes + small.candidate_bytes
  )
  assert large.work_bytes > 9_000 * small.work_bytes


def result(cpu_seconds, peak, **changes):
  run = Measured(cpu_seconds, cpu_seconds, peak, 0, 0.0, {'shuffled': 5, 'read': {}, 'written': {}})
  return CaseResult(replace(SPEC, **changes), 1, 1, run)


def test_a_series_has_cases_that_differ_in_one_thing():
  results = [
    result(1.0, 1_000, records=1_000_000),
    result(22.0, 1_500, records=20_000_000),
    result(1.5, 1_000, records=1_000_000, classes=1_000),
    CaseResult(replace(SPEC, shards=8), 1, 1, None, ('killed',)),
  ]

  records, classes = series(results)

  assert (records.what, classes.what) == ('records', 'classes')
  assert records.growth == pytest.approx(0.1)
  assert records.memory_growth == 500
  assert classes.growth == pytest.approx(0.5)


def test_results_survive_json():
  for one in (result(1.0, 1_000), CaseResult(SPEC, 1, 1, None, ('killed',))):
    assert CaseResult.from_json(one.to_json()) == one


def test_a_report_and_a_picture_come_out(tmp_path, capsys):
  from benchmarks.machine import Machine
  from benchmarks.scale_report import draw, print_report

  rng = np.random.default_rng(0)
  results = [
    result(1 + rng.random(), 10**9, records=records, classes=classes, shards=shards)
    for records, classes, shards in [
      (10**6, 10, 8),
      (10**7, 10, 8),
      (10**6, 100, 8),
      (10**6, 1_000, 8),
      (10**6, 10, 64),
      (10**6, 10, 512),
    ]
  ]

  print_report(Machine.now(), BEAM, results)
  draw(results, tmp_path / 'scale.png')

  printed = capsys.readouterr().out
  assert 'From 1,000,000 to 10,000,000 records, a record costs' in printed
  assert 'Cost model, without the largest case' in printed
  assert (tmp_path / 'scale.png').stat().st_size > 10_000


def test_cases_may_be_limited(capsys):
  assert max(case.records for case in scale.parse_arguments([]).cases) == 50_000_000
  assert (
    max(case.records for case in scale.parse_arguments(['--most', '5000000']).cases) == 5 * 10**6
  )
  with pytest.raises(SystemExit):
    scale.parse_arguments(['--most', '5'])
  assert 'no case has as few records' in capsys.readouterr().err


def test_what_is_known_is_not_run_again(tmp_path):
  (case, *_) = scale.SMALL
  known = CaseResult(case, 1, 1, result(1.0, 1_000).run)
  failed = CaseResult(scale.SMALL[1], 1, 1, None, ('killed',))
  path = tmp_path / 'scale.json'
  path.write_text(json.dumps({'cases': [known.to_json(), failed.to_json()]}))

  settings = scale.parse_arguments(['--small', '--json', str(path), '--resume'])

  assert settings.known == (known,)
  assert scale.run_case(case, settings) is settings.known[0]


def test_the_page_has_what_was_printed_and_says_what_failed():
  from benchmarks.machine import Machine
  from benchmarks.write_docs import Printed, page

  machine = Machine.now()
  about = 'Times a thing.\n\npython benchmarks/thing.py --small\n\nMore of it.'
  text = page(machine, ['--small'], [Printed('benchmarks/thing.py', about, 'a  1\nb  2', 3)])

  assert all(line in text for line in machine.lines())
  assert '## benchmarks/thing.py\n\nTimes a thing.\n\nMore of it.\n\n**It ended with code 3' in text
  assert '```text\n$ python benchmarks/thing.py --small\na  1\nb  2\n```\n' in text
