"""The splitter between stock components, run by LocalDagRunner."""

from pathlib import Path

import tfx.v1 as tfx
from tfx.types import channel
from tfx_balance import StratifiedSplitter

from tests.helpers_checks import assert_conserved, assert_exact, assert_sidecar
from tests.helpers_examples import (
  all_bytes,
  as_sets,
  in_shards,
  labelled,
  read_splits,
  write_tfrecords,
)
from tests.helpers_pipeline import WORKER_PROCESS, execute, importer, input_artifact, run_pipeline

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


def output_of(published, node='StratifiedSplitter'):
  """Returns the one artifact that a node published."""
  (artifact,) = published.of_node(node)
  return artifact


def test_several_spans_and_runtime_parameters(tmp_path):
  records = labelled({'a': 60, 'b': 20})
  parts = [
    importer(
      input_artifact(
        tmp_path / f'span{span}',
        {'train': [part]},
        span=span,
        version=7 - span,
        custom={'payload_format': 'FORMAT_TF_EXAMPLE'},
      ),
      f'Span{span}',
    )
    for span, part in zip((5, 4), in_shards(records, 2), strict=True)
  ]

  def later(name, ptype, default):
    return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)

  splitter = StratifiedSplitter(
    examples=channel.union([part.outputs['result'] for part in parts]),
    stratify_by=later('feature', str, 'label'),
    splits=later('splits', str, '{"train": 0.75, "eval": 0.25}'),
    counts=later('counts', str, '{"test": 20}'),
    seed=later('seed', int, 11),
    missing_label=later('missing', str, 'own_stratum'),
    output_files=later('files', str, '{"train": 2}'),
    input_splits=later('input', str, '["train"]'),
  )
  found = output_of(run_pipeline(tmp_path, [*parts, splitter]))
  splits = read_splits(found.uri)
  assert_conserved(splits, records)
  assert_exact(splits, {'train': 45, 'eval': 15, 'test': 20})
  assert len(splits['test']) == 20
  sidecar = assert_sidecar(found.uri, {'train': 45, 'eval': 15, 'test': 20})
  assert sidecar['parameters']['seed'] == 11
  assert sidecar['splits']['train']['files'] == 2
  assert found.properties['span'].int_value == 5
  assert found.properties['version'].int_value == 2


def test_a_worker_process_gives_the_same_bytes(tmp_path):
  # A process of its own, as Beam would have on another machine.
  artifact = input_artifact(
    tmp_path / 'in', {'all': in_shards(labelled({0: 900, 1: 90, 2: 1}), 4), 'more': [[b'asis']]}
  )
  arguments = {'input_splits': 'all', 'seed': 3, 'output_files': {'train': 3}}
  source = importer(artifact)
  splitter = StratifiedSplitter(examples=source.outputs['result'], **arguments)
  two = output_of(run_pipeline(tmp_path / 'two', [source, splitter], WORKER_PROCESS)).uri
  one = execute(StratifiedSplitter, [artifact], tmp_path / 'one', **arguments).uri
  assert all_bytes(one) == all_bytes(two)
  assert_exact({name: read_splits(two)[name] for name in SPLITS}, SPLITS)


def test_two_runs_of_example_gen_give_the_same_splits(tmp_path):
  # ExampleGen writes the same files in another order each time; a split dealt by position would
  # then leak test records into train, and the nearest peer draws anew each time.
  path = write_tfrecords(tmp_path / 'data' / 'in', labelled({0: 150, 1: 21, 2: 1}))
  splits = []
  for name in ('one', 'two'):
    gen = tfx.components.ImportExampleGen(input_base=str(Path(path).parent))
    splitter = StratifiedSplitter(examples=gen.outputs['examples'])
    published = run_pipeline(tmp_path / name, [gen, splitter])
    splits.append(as_sets(read_splits(output_of(published).uri)))
  assert splits[0] == splits[1]
