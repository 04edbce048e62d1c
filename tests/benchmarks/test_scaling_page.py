"""docs/scaling.md says what Beam understands, and what follows from the measurements beside it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

from benchmarks import sizing
from benchmarks.cost_model import error
from benchmarks.scale_report import as_measured, fit_without_largest
from benchmarks.scale_results import read_results, series

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


def test_the_table_is_what_the_model_gives():
  assert sizing.table(sizing.fitted(DOCS / 'scale.json')) in PAGE


def test_a_record_costs_no_more_in_many_than_in_few(results):
  by_records = next(one for one in series(results) if one.what == 'records')

  sizes = [one.case.records for one in by_records.results]
  assert sizes[-1] >= 10 * sizes[0] == 5_000_000
  assert by_records.growth < 0.2
  assert by_records.memory_growth < by_records.results[0].run.peak_bytes / 5


def test_the_model_predicts_a_size_that_it_was_not_fitted_to(results):
  model, (largest, core_seconds) = fit_without_largest(results)

  assert largest.raw_bytes > 3 * sorted(one.raw_bytes for one in results)[-2]
  assert abs(error(model, largest, core_seconds)) < 0.3


def test_measured_runs_move_as_many_bytes_as_the_model_says(results):
  for one in results:
    workload, _ = as_measured(one)
    assert one.read == pytest.approx(workload.read, rel=0.02)
    assert one.written == pytest.approx(workload.written, rel=0.05)
    # Beside what grows, a few kB a file and class: strata, names, and the plan for every stage.
    assert one.shuffled < workload.shuffled + 2_000 * workload.files + 20_000 * workload.classes
