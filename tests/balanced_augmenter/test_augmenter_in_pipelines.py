"""The augmenter between stock components, run by LocalDagRunner."""

from collections import Counter
from pathlib import Path

import pytest
import tfx.v1 as tfx
from tfx.types import channel_utils
from tfx_balance import BalancedAugmenter
from tfx_balance.errors import ConfigError, DataError

from tests.balanced_augmenter.helpers_balance import (
  assert_balance_sidecar,
  class_counts,
  tabular,
)
from tests.helpers_checks import read_sidecar
from tests.helpers_examples import (
  all_bytes,
  in_shards,
  read_splits,
  value_of,
)
from tests.helpers_pipeline import (
  WORKER_PROCESSES,
  Published,
  execute,
  importer,
  input_artifact,
  run_pipeline,
)

FUNCTIONS = 'tests.balanced_augmenter.functions'
HERE = Path(__file__).parent


def output_of(published, node='BalancedAugmenter'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node)
  return artifact


def splits_of(published, node='BalancedAugmenter'):
  return read_splits(output_of(published, node).uri)


def number_of(artifact, name):
  """Returns a span or a version, which ExampleGen writes as a property, or as a custom one."""
  value = artifact.custom_properties.get(name) or artifact.properties[name]
  return value.int_value or int(value.string_value)


def later(name, ptype, default):
  return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)


def test_several_spans_and_runtime_parameters(tmp_path):
  records = tabular({'a': 60, 'b': 20, 'c': 1})
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part], 'eval': [part[:3]]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]
  examples = channel_utils.union([part.outputs['result'] for part in parts])
  joined = BalancedAugmenter(
    examples=examples,
    label=later('feature', str, 'label'),
    sampling_strategy=later('strategy', str, '{"a": 50, "b": 55, "c": 40}'),
    splits=later('splits', str, '["train"]'),
    max_copies=later('most', int, 30),
    undersample=later('under', int, 1),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
    allow_evaluation_splits=later('evaluation', int, 1),
    provenance=later('told', int, 1),
  ).with_id('Joined')
  apart = BalancedAugmenter(
    examples=examples,
    factors=later('factors', str, '{"b": 2}'),
    augmented_split=later('apart', str, 'more'),
  ).with_id('Apart')
  published = run_pipeline(tmp_path, [*parts, joined, apart])

  found = output_of(published, 'Joined')
  splits, targets = read_splits(found.uri), {b'a': 50, b'b': 55, b'c': 30}
  assert class_counts(splits['train']) == targets
  copies = [value_of(record, 'tfx_balance_copy') for record in splits['train']]
  assert copies.count(None) == 50 + 20 + 1  # the originals that stay
  assert {number for number in copies if number} == set(range(1, 30))
  sidecar = assert_balance_sidecar(found.uri, {'train': records}, {'train': targets})
  assert sidecar['parameters']['seed'] == 11
  assert len(sidecar['warnings']) == 1
  assert len(splits['eval']) == 6

  found = output_of(published, 'Apart')
  splits = read_splits(found.uri)
  assert Counter(splits['train']) == Counter(records)
  assert class_counts(splits['more']) == {b'b': 20}
  for node in ('Joined', 'Apart'):
    assert [number_of(output_of(published, node), name) for name in ('span', 'version')] == [5, 2]


@pytest.mark.parametrize(
  ('arguments', 'kind', 'fault'),
  [
    pytest.param(
      {'augment_fn': f'{FUNCTIONS}.changes_label'},
      DataError,
      r'functions\.changes_label .*changed the label .*of record 7 of .*, of class b',
      id='function',
    ),
    pytest.param(
      {'sampling_strategy': {'z': 9}},
      ConfigError,
      "'z' is not a class; the classes are: a, b",
      id='class',
    ),
  ],
)
def test_a_run_that_is_stopped_publishes_nothing(tmp_path, arguments, kind, fault):
  source = importer(input_artifact(tmp_path / 'in', {'train': [tabular({'a': 6, 'b': 4})]}))
  augmenter = BalancedAugmenter(examples=source.outputs['result'], **arguments)
  with pytest.raises(kind, match=fault):
    run_pipeline(tmp_path, [source, augmenter])
  published = Published(tmp_path)
  assert published.of_node('BalancedAugmenter') == []
  assert published.files('BalancedAugmenter') == []
  assert published.states() == ['COMPLETE', 'FAILED']


def test_worker_processes_install_a_module_file_and_write_the_bytes_of_one_process(tmp_path):
  # Two processes of their own, as Beam would have on other machines; they find the function in the
  # wheel that TFX makes of a module file. One process imports it by its dotted path.
  shards = {'train': in_shards(tabular({'a': 900, 'b': 90, 'c': 1}), 4), 'm': [[b'asis']]}
  artifact = input_artifact(tmp_path / 'in', shards)
  module_file = tmp_path / 'of_a_user.py'
  module_file.write_text((HERE / 'module_file.py').read_text())
  source = importer(artifact)
  arguments = {'seed': 3, 'provenance': True}
  augmenter = BalancedAugmenter(
    examples=source.outputs['result'], module_file=str(module_file), **arguments
  )
  two = output_of(run_pipeline(tmp_path, [source, augmenter], WORKER_PROCESSES)).uri
  assert list((tmp_path / 'root' / '_wheels').glob('*.whl'))
  path = 'tests.balanced_augmenter.module_file.augment_fn'
  one = execute(BalancedAugmenter, [artifact], tmp_path / 'one', augment_fn=path, **arguments).uri
  files = [
    {name: data for name, data in all_bytes(uri).items() if 'Split' in name} for uri in (one, two)
  ]
  assert files[0] == files[1]
  sidecars = [read_sidecar(uri) for uri in (one, two)]
  for name in ('input', 'splits', 'strata'):
    assert sidecars[0][name] == sidecars[1][name]
  assert class_counts(read_splits(two)['train']) == {b'a': 900, b'b': 900, b'c': 900}
