"""BalancedInputGen between stock components, run by LocalDagRunner."""

import pytest
import tfx.v1 as tfx
from tfx.types import channel_utils
from tfx_balance import BalancedInputGen
from tfx_balance.errors import ConfigError, DataError

from tests.balanced_input_gen.helpers_input_gen import assert_laid_out
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  in_shards,
  labelled,
  read_splits,
)
from tests.helpers_pipeline import (
  WORKER_PROCESS,
  Published,
  execute,
  importer,
  input_artifact,
  run_pipeline,
)


def output_of(published, node='BalancedInputGen', type_name='Examples'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node, type_name)
  return artifact


def later(name, ptype, default):
  return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)


def test_several_spans_and_runtime_parameters(tmp_path):
  records = labelled({'a': 60, 'b': 20, 'c': 1}, 'kind')
  more = labelled({'c': 5}, 'kind')
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part], 'more': [more], 'eval': [part[:3]]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]
  input_gen = BalancedInputGen(
    examples=channel_utils.union([part.outputs['result'] for part in parts]),
    label=later('feature', str, 'kind'),
    train_splits=later('splits', str, '["train", "more"]'),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
  )
  found = output_of(run_pipeline(tmp_path, [*parts, input_gen]))
  assert_laid_out(found.uri, {'train': records, 'more': more * 2}, 'kind')
  assert len(read_splits(found.uri)['eval']) == 6
  assert read_sidecar(found.uri)['parameters'] == {
    'label': 'kind',
    'train_splits': ['train', 'more'],
    'seed': 11,
    'missing_label': 'own_stratum',
    'algorithm_version': 9,
  }
  assert [found.properties[name].int_value for name in ('span', 'version')] == [5, 2]


@pytest.mark.parametrize(
  ('arguments', 'kind', 'fault'),
  [
    pytest.param({'label': 'lable'}, DataError, "'lable' is in none of the 10 records", id='label'),
    pytest.param({'train_splits': 'tarin'}, ConfigError, "split 'tarin' is not in", id='split'),
  ],
)
def test_a_run_that_is_stopped_publishes_nothing(tmp_path, arguments, kind, fault):
  source = importer(input_artifact(tmp_path / 'in', {'train': [labelled({'a': 6, 'b': 4})]}))
  input_gen = BalancedInputGen(examples=source.outputs['result'], **arguments)
  with pytest.raises(kind, match=fault):
    run_pipeline(tmp_path, [source, input_gen])
  published = Published(tmp_path)
  for type_name in ('Examples', 'HyperParameters'):
    assert published.of_node('BalancedInputGen', type_name) == []
  assert published.files('BalancedInputGen') == []
  assert published.states() == ['COMPLETE', 'FAILED']


def test_a_worker_process_gives_the_same_bytes(tmp_path):
  # A process of its own, as Beam would have on another machine.
  artifact = input_artifact(
    tmp_path / 'in', {'train': in_shards(labelled({0: 900, 1: 90, 2: 1}), 4), 'more': [[b'asis']]}
  )
  input_gen = BalancedInputGen(examples=(source := importer(artifact)).outputs['result'], seed=3)
  two = run_pipeline(
    tmp_path / 'two',
    [source, input_gen],
    WORKER_PROCESS,
  )
  one = execute(BalancedInputGen, [artifact], tmp_path / 'one', seed=3)
  assert all_bytes(output_of(two).uri) == all_bytes(one.uri)
  assert len(all_bytes(one.uri)) == 4
