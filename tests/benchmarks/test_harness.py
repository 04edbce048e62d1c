"""What is measured is the work alone, and the figures that are printed follow from it."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import BENCHMARKS, main, parse_arguments
from benchmarks.harness import (
  Case,
  Measured,
  Piece,
  PieceError,
  Result,
  Work,
  measure,
  run_case,
  run_piece,
)
from benchmarks.report import machine_lines, page, report, series

SPEC = {'kind': 'small', 'records': 20_000, 'shards': 1}


def test_memory_that_is_touched_before_the_clock_starts_is_in_no_figure():
  found = measure(Work(lambda: 3, fresh_bytes=1 << 28))
  assert found.result == 3
  assert found.peak_bytes - found.start_bytes < 1 << 24
  assert found.core_seconds < 0.1


def test_a_piece_is_measured_in_its_own_process(tmp_path):
  found = run_piece(Piece('benchmarks.data:make', {'spec': SPEC}), cache=str(tmp_path))

  assert found.result['spec']['records'] == 20_000
  assert 0 < found.core_seconds < 60
  assert 0 < found.seconds < 60
  assert 0 < found.start_bytes <= found.peak_bytes
  assert found.other_cores >= 0


def test_the_memory_of_a_piece_is_without_that_of_its_parent(tmp_path):
  memory = bytearray(1 << 29)
  memory[:: 1 << 12] = b'1' * (1 << 17)
  found = run_piece(Piece('benchmarks.files:make_photos', {'rows': 1}), cache=str(tmp_path))

  assert found.peak_bytes < len(memory)


def test_a_piece_that_fails_shows_why():
  with pytest.raises(PieceError, match="kind 'none' is not in"):
    run_piece(Piece('benchmarks.data:make', {'spec': {**SPEC, 'kind': 'none'}}), cache='')


def measured(seconds, records=1_000, peak_bytes=1_000):
  return Measured(seconds, 2 * seconds, peak_bytes, 0, 0.5, records)


def result(runs, n=1_000, **shape):
  case = Case('name', n, {}, ('stock',), ('ours',), shape=shape, aim=20)
  return Result('split', case, {}, {}, runs, [])


def test_ratios_are_of_records_a_second():
  runs = {
    'stock': [measured(10, 500), measured(10, 1_000), measured(10, 3_000)],
    'ours': [measured(2)],
    'none': [],
  }
  one = result(runs)

  assert one.rate('stock') == 100
  assert one.ratio('ours') == 5
  assert one.ratio('stock', 'ours') == 0.2
  assert one.seconds('stock') == 10
  assert one.core_seconds('ours') == 4
  assert (one.ratio('none'), one.seconds('none'), one.peak_bytes('none')) == (None, None, None)
  assert one.ratio('ours', 'not run') is None


def test_a_series_has_cases_that_differ_in_one_thing():
  shape = {'kind': 'small', 'records': 1_000, 'classes': 5, 'shards': 8}
  few = result({'ours': [measured(1)], 'stock': [measured(2)]}, **shape)
  more = {'ours': [measured(3.3, 3_000, 25_000)], 'stock': []}
  many = result(more, 3_000, **{**shape, 'records': 3_000})
  shards = result({'ours': [measured(1.5)]}, **{**shape, 'shards': 64})
  failed = result({'ours': []}, **{**shape, 'classes': 9})

  records, files = series([many, few, shards, failed])

  assert (records.what, files.what) == ('records', 'shards')
  assert records.growth('ours') == pytest.approx(0.1)
  assert files.growth('ours') == pytest.approx(0.5)
  (line,) = records.lines()
  assert line == (
    'ours, from 1,000 to 3,000 records (small, 5 classes, 8 shards): cost per record +10%, '
    'peak memory +0 MB, 12.0 bytes per record'
  )


def test_a_side_that_failed_is_told(tmp_path, capsys):
  def run(piece, **more):
    if piece.function == 'fails':
      raise PieceError('killed')
    return measured(1.0)

  sides = {'stock': Piece('runs'), 'ours': Piece('fails')}
  case = Case('name', 1_000, sides, ('stock',), ('ours',))
  found = run_case('split', case, 2, [], tmp_path, run)

  assert found.errors == ['killed', 'killed']
  assert (len(found.runs['stock']), found.runs['ours']) == (2, [])
  assert list(tmp_path.iterdir()) == []
  printed = report([found])
  assert 'name  ours  stock    1,000     0' in printed
  assert 'name: FAILED: killed' in printed
  assert printed in '\n'.join(line.rstrip() for line in capsys.readouterr().out.splitlines())


def test_the_page_has_what_was_printed_and_says_what_failed():
  machine = machine_lines()
  text = page(machine, 'python -m benchmarks {} --small', [('split', 'A.', 'a  1', True)])

  assert all(line in text for line in machine)
  assert '## split\n\nA.\n\n**Some cases failed.**\n\n```text\n' in text
  assert '```text\n$ python -m benchmarks split --small\na  1\n```\n' in text


@pytest.mark.parametrize('name', BENCHMARKS)
def test_small_and_full_runs_have_cases_with_both_sides(name):
  for size in ('full', 'small', 'tiny'):
    cases = BENCHMARKS[name].cases(size)
    assert len({case.name for case in cases}) == len(cases) > 0
    wanted = [{*case.ours, *(case.peers if size != 'tiny' else ())} for case in cases]
    assert all(some <= set(case.sides) for some, case in zip(wanted, cases, strict=True))


def test_cases_and_sides_are_chosen():
  given = ['input', '--only', '1,000 classes, by 32', '--sides', 'plain;exact']
  (case,) = parse_arguments(given).chosen['input']
  assert set(case.sides) == {'plain', 'exact'}
  (case,) = parse_arguments(['split', '--cases', 'small:700:2:9']).chosen['split']
  assert (case.records, case.shape['classes']) == (700, 9)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['train'], f"'train' is not in {list(BENCHMARKS)}; run one of these"),
    (['split', '--repeat', '0'], 'run each side at least once'),
    (['split', '--only', 'nothing'], 'select no case'),
    (['input', '--sides', 'fast'], 'select no case'),
    (['input', '--cases', 'small:5:1'], "--cases is for ['split', 'scale', 'floor']"),
    (['split', '--cases', 'small:5'], 'is not KIND:RECORDS:SHARDS'),
    (['scale', '--resume'], 'reads the file of --json'),
    (['split', '--picture', 'a.png'], '--picture is for scale'),
  ],
)
def test_what_makes_no_sense_is_refused(arguments, message, capsys):
  with pytest.raises(SystemExit):
    main(arguments)
  assert message in capsys.readouterr().err
