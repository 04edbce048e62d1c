"""docs/scaling.md says what Beam understands, and what follows from the measurements beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks.__main__ import read_results
from benchmarks.report import series

DOCS = Path(__file__).parent.parent.parent / 'docs'
PAGE = (DOCS / 'scaling.md').read_text(encoding='utf-8')
ENGINES = ('Flink', 'Spark', 'Dataflow')


def arguments(engine):
  """Returns the arguments that the section of an engine shows as a block."""
  (section,) = re.findall(rf'^## {engine}\n(.*?)(?=^## )', PAGE, re.MULTILINE | re.DOTALL)
  return re.findall(r'^    (--\S+)$', section, re.MULTILINE)


def unknown(args, caplog):
  """Returns what Beam says of arguments that it does not know."""
  caplog.clear()
  PipelineOptions(args).get_all_options()
  return [r.getMessage() for r in caplog.records if 'Discarding' in r.getMessage()]


@pytest.mark.parametrize('engine', ENGINES)
def test_beam_knows_every_argument(engine, caplog):
  found = arguments(engine)
  assert any(arg == f'--runner={engine}Runner' for arg in found), found
  assert unknown(found, caplog) == []


def test_an_argument_that_beam_does_not_know_is_found(caplog):
  assert unknown(['--number_of_shards=4'], caplog) != []


@pytest.fixture(scope='module')
def results():
  return read_results(DOCS / 'scale.json')


def test_a_record_costs_no_more_in_many_than_in_few(results):
  by_records = next(one for one in series(results) if one.what == 'records')
  sizes = [one.case.records for one in by_records.results]
  peaks = [one.peak_bytes('ours') for one in by_records.results]

  assert sizes[-1] >= 10 * sizes[0] == 5_000_000
  assert by_records.growth('ours') < 0.2
  assert peaks[-1] - peaks[0] < peaks[0] / 5


def test_the_table_has_what_was_measured(results):
  for one in results:
    (run,) = one.runs['ours']
    of_4k = ' of 4 kB' if one.case.shape['kind'] == '4k' else ''
    row = (
      f'| {one.case.records:,}{of_4k} | {one.case.shape["classes"]:,} | {one.case.shape["shards"]} '
      f'| {run.seconds:.1f} | {run.core_seconds:.1f} | '
    )
    assert row in PAGE
