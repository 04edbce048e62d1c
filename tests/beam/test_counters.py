"""Beam's counters of records against the sidecar: they agree, or the component fails."""

from types import SimpleNamespace

import pytest
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.beam import counters
from tfx_balance.documents.class_distribution import ClassDistribution, InputRecords

from tests.helpers_checks import read_sidecar
from tests.helpers_examples import example, in_shards, labelled
from tests.helpers_pipeline import in_new_folders

RECORDS = [*labelled({'a': 20, 'b': 5}), example(id=1), example(id=2), b'\xff' * 30]
SKIP = {'missing_label': 'drop', 'bad_records': 'skip'}
COUNTS = {'records_read': 27, 'records_dropped': 2, 'records_skipped': 1}
COMPONENTS = {
  'splitter': (StratifiedSplitter, {}, {'records_copied': 0, 'records_written': 25}),
  'input gen': (BalancedInputGen, {}, {'records_copied': 0, 'records_written': 25}),
  'augmenter': (BalancedAugmenter, {}, {'records_copied': 15, 'records_written': 40}),
  'copies apart': (
    BalancedAugmenter,
    {'augmented_split': 'more', 'provenance': True},
    {'records_copied': 15, 'records_written': 15},
  ),
  'undersampled': (
    BalancedAugmenter,
    {'sampling_strategy': {'a': 8, 'b': 9}, 'undersample': True},
    {'records_copied': 4, 'records_written': 17},
  ),
}


@pytest.mark.parametrize(('component', 'arguments', 'counts'), COMPONENTS.values(), ids=COMPONENTS)
def test_the_workers_counted_what_the_sidecar_says(
  tmp_path, monkeypatch, component, arguments, counts
):
  counted = []

  def committed(result):
    counted.append(find(result))
    return counted[-1]

  find = counters.committed_counters
  monkeypatch.setattr(counters, 'committed_counters', committed)
  out = in_new_folders(component, tmp_path)({'train': in_shards(RECORDS, 3)}, **SKIP, **arguments)
  expected = {name: n for name, n in {**COUNTS, **counts}.items() if n}
  assert counted == [expected]
  assert any('1 bad records were skipped' in text for text in read_sidecar(out.uri)['warnings'])


BROKEN = {
  'read': (StratifiedSplitter, 'READ'),
  'dropped': (BalancedInputGen, 'DROPPED'),
  'copied': (BalancedAugmenter, 'COPIED'),
  'written': (StratifiedSplitter, 'WRITTEN'),
  'written through spills': (BalancedInputGen, 'WRITTEN'),
}


@pytest.mark.parametrize(('component', 'name'), BROKEN.values(), ids=BROKEN)
def test_a_count_that_does_not_agree_fails_the_component(tmp_path, monkeypatch, component, name):
  monkeypatch.setattr(counters, name, SimpleNamespace(inc=lambda n: None))
  fault = rf'records_{name.lower()} of {component.__name__} is 0 by the workers and \d+ by the'
  with pytest.raises(RuntimeError, match=fault):
    in_new_folders(component, tmp_path)({'train': in_shards(RECORDS, 3)}, **SKIP)


def result(committed, attempted=5):
  """Returns the result of a pipeline whose runner has these values of a counter."""
  metric = SimpleNamespace(
    key=SimpleNamespace(metric=SimpleNamespace(name='records_read')),
    committed=committed,
    attempted=attempted,
  )
  found = SimpleNamespace(query=lambda _: {'counters': [metric, metric]})
  return SimpleNamespace(metrics=lambda: found)


def unsupported():
  raise NotImplementedError


SIDECAR = ClassDistribution('StratifiedSplitter', {}, InputRecords(10, 0), {}, (), (), ())


@pytest.mark.parametrize(
  'found',
  [result(None), result(0), SimpleNamespace(metrics=unsupported), None],
  ids=['attempted only', 'not filled', 'no metrics', 'no result'],
)
def test_what_a_runner_has_not_committed_is_not_compared(found):
  assert counters.committed_counters(found) == {}
  counters.check_counters(found, SIDECAR)


def test_a_counter_of_several_steps_is_added_up():
  counters.check_counters(result(5), SIDECAR)
  with pytest.raises(RuntimeError, match='is 8 by the workers and 10 by the sidecar'):
    counters.check_counters(result(4), SIDECAR)
