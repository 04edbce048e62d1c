"""What TFX's reader of Parquet writes as no value, which is 0, '' and False."""

import json
import re
from collections import Counter

import pyarrow as pa
import pytest
import tensorflow as tf
from pyarrow import parquet
from tfx import types
from tfx.components import FileBasedExampleGen
from tfx.components.example_gen.custom_executors import parquet_executor
from tfx.components.example_gen.utils import dict_to_example
from tfx.dsl.components.base import executor_spec
from tfx.types import standard_artifacts
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.errors import ConfigError, DataError

from tests.helpers_examples import read_splits
from tests.helpers_pipeline import execute, input_artifact, run_pipeline

FILL = {'fill': 0}
EXAMPLES = types.Channel(type=standard_artifacts.Examples)


def as_parquet(rows):
  """Returns the records that TFX's executor for Parquet makes of rows."""
  return [dict_to_example(row).SerializeToString(deterministic=True) for row in rows]


def rows_of(records, columns):
  """Returns tuples of values of records; 0 for none."""
  found = []
  for record in records:
    features = values_of(record)
    found.append(tuple(features.get(name, 0) for name in columns))
  return found


def values_of(record):
  found = {}
  for name, feature in tf.train.Example.FromString(record).features.feature.items():
    if kind := feature.WhichOneof('kind'):
      (found[name],) = getattr(feature, kind).value
  return found


def split_rows(out, columns):
  """Returns, of each split, how often there is each tuple of values."""
  return {name: Counter(rows_of(records, columns)) for name, records in read_splits(out).items()}


ROWS = [{'id': i + 1, 'label': int(i % 10 == 0), 'price': 0.5 * (i % 4)} for i in range(200)]


def split(tmp_path, rows=ROWS, n_files=3, **arguments):
  shards = [as_parquet(rows[i::n_files]) for i in range(n_files)]
  artifact = input_artifact(tmp_path / 'in', {'all': shards})
  given = {'splits': {'train': 8, 'eval': 2}, **arguments}
  execute(StratifiedSplitter, [artifact], tmp_path / 'out', **given)
  return tmp_path / 'out'


def test_the_cause_is_named_where_one_number_class_is_seen(tmp_path):
  fault = (
    "feature 'label' has no value in 180 of 200 records, the first of them record 1 of .*fill it "
    r"in; missing_label=\{'fill': 0\} takes no value as 0, which TFX's reader of Parquet writes in"
  )
  with pytest.raises(DataError, match=fault):
    split(tmp_path)
  assert not list(tmp_path.glob('out/**/Split-*'))


def test_no_cause_is_named_where_0_is_seen_or_the_label_is_text(tmp_path):
  for i, rows in enumerate(([{'label': 'a'}, {'label': ''}], [{'label': [0]}, {'label': ''}])):
    with pytest.raises(DataError, match=r"pass missing_label='own' or 'drop', or fill it in$"):
      split(tmp_path / str(i), rows, n_files=1)


@pytest.mark.parametrize('fill', [FILL, '{"fill": 0}'], ids=['mapping', 'json'])
def test_filled_labels_are_split_exactly_and_records_stay_as_they_are(tmp_path, fill):
  out = split(tmp_path, missing_label=fill)
  assert split_rows(out, ['label']) == {
    'train': Counter({(0,): 144, (1,): 16}),
    'eval': Counter({(0,): 36, (1,): 4}),
  }
  written = [record for records in read_splits(out).values() for record in records]
  assert Counter(written) == Counter(as_parquet(ROWS))
  sidecar = json.loads((out / 'class_distribution.json').read_text())
  assert sidecar['parameters']['missing_label'] == {'fill': 0}


def test_a_file_of_zeros_alone_is_of_the_type_of_the_fill(tmp_path):
  rows = [{'id': i + 1, 'label': float(i % 2)} for i in range(40)]
  out = split(tmp_path / 'floats', rows, n_files=2, missing_label={'fill': 0.0})
  assert split_rows(out, ['label'])['eval'] == Counter({(0,): 4, (1.0,): 4})
  fault = r"feature 'label' has values of types \['float', 'int'\]"
  with pytest.raises(DataError, match=fault):
    split(tmp_path / 'ints', rows, n_files=2, missing_label=FILL)


def test_a_type_that_is_known_late_is_an_error_that_says_what_was_filled_in(tmp_path):
  rows = [{'id': i + 1, 'label': float(i >= 5000)} for i in range(5100)]
  assert split(tmp_path / 'floats', rows, 1, missing_label={'fill': 0.0})
  fault = 'where no record before has a value, missing_label= fills in int64 for 0, float32 for 0.0'
  with pytest.raises(DataError, match=re.escape(fault)):
    split(tmp_path / 'ints', rows, 1, missing_label=FILL)


def test_columns_of_labels_are_filled(tmp_path):
  rows = [{'id': i + 1, 'a': i % 2, 'b': int(i % 4 == 0)} for i in range(200)]
  columns = {'stratify_by': ['a', 'b'], 'multilabel': True}
  with pytest.raises(DataError, match=r"feature 'a' has no value .*missing_label=\{'fill': 0\}"):
    split(tmp_path / 'none', rows, **columns)
  out = split(tmp_path, rows, missing_label=FILL, **columns)
  assert split_rows(out, ['a', 'b'])['eval'] == Counter({(1, 0): 20, (0, 1): 10, (0, 0): 10})


def test_text_is_filled_by_text_and_not_by_a_number(tmp_path):
  rows = [{'id': i + 1, 'label': '' if i % 4 else 'a'} for i in range(80)]
  out = split(tmp_path / 'text', rows, missing_label={'fill': ''})
  assert split_rows(out, ['label'])['eval'] == Counter({(0,): 12, (b'a',): 4})
  with pytest.raises(DataError, match="feature 'label' has no value in 60 of 80 records"):
    split(tmp_path / 'number', rows, missing_label=FILL)


def test_the_group_and_the_time_0_are_filled(tmp_path):
  rows = [{'id': i + 1, 'label': 1 + i % 2, 'g': i // 20, 't': i // 20} for i in range(200)]
  for name, by in (('g', {'group_by': 'g'}), ('t', {'order_by': 't'})):
    with pytest.raises(DataError, match=rf"feature '{name}' has no value .*\{{'fill': 0\}}"):
      split(tmp_path / f'{name}-none', rows, **by)
    out = split(tmp_path / name, rows, missing_label=FILL, **by)
    values = {part: {v for (v,) in found} for part, found in split_rows(out, [name]).items()}
    assert sorted(v for found in values.values() for v in found) == list(range(10))
    assert {part: len(found) for part, found in values.items()} == {'train': 8, 'eval': 2}
  assert values['train'] == set(range(8))


def test_the_number_0_is_binned(tmp_path):
  out = split(tmp_path, stratify_by='price', bins=[0.25, 1.25], missing_label=FILL)
  found = split_rows(out, ['price'])['eval']
  assert (found[(0,)], found[(0.5,)] + found[(1.0,)], found[(1.5,)]) == (10, 20, 10)


def test_other_values_are_refused():
  for wrong in ({'fill': 9}, {'fill': False}, {'fill': None}, {}, {'fill': 0, 'b': 1}, {'f': 0}):
    with pytest.raises(ConfigError, match=r"must be \{'fill': 0\}, .*, the values that TFX"):
      StratifiedSplitter(examples=EXAMPLES, missing_label=wrong)
  fault = r"^missing_label=\{'fill': 0\} does not combine with multilabel=True and the one feature"
  with pytest.raises(ConfigError, match=fault):
    StratifiedSplitter(examples=EXAMPLES, missing_label=FILL, multilabel=True)


@pytest.mark.parametrize('component', [StratifiedSplitter, BalancedAugmenter, BalancedInputGen])
def test_one_class_that_is_left_is_warned_of(tmp_path, component):
  arguments = {'splits': {'train': 8, 'eval': 2}} if component is StratifiedSplitter else {}
  artifact = input_artifact(tmp_path / 'in', {'train': [as_parquet(ROWS)]})
  execute(component, [artifact], tmp_path / 'out', missing_label='drop', **arguments)
  warnings = json.loads((tmp_path / 'out' / 'class_distribution.json').read_text())['warnings']
  (found,) = [text for text in warnings if 'alone is left' in text]
  fault = (
    r"180 records( of split 'train')? without a class were dropped, and class 1 alone is left; "
    r"missing_label=\{'fill': 0\} takes no value as 0"
  )
  assert re.match(fault, found)


@pytest.mark.parametrize('component', [BalancedAugmenter, BalancedInputGen])
def test_other_components_fill_too(tmp_path, component):
  artifact = input_artifact(tmp_path / 'in', {'train': [as_parquet(ROWS)]})
  execute(component, [artifact], tmp_path / 'out', missing_label=FILL)
  sidecar = json.loads((tmp_path / 'out' / 'class_distribution.json').read_text())
  counts = {
    row['stratum'][0]['value']: row['splits']['train']['records'] for row in sidecar['strata']
  }
  assert counts == ({0: 180, 1: 180} if component is BalancedAugmenter else {0: 180, 1: 20})


def test_parquet_goes_through_a_pipeline(tmp_path):
  table = pa.table({name: [row[name] for row in ROWS] for name in ROWS[0]})
  (tmp_path / 'data').mkdir()
  parquet.write_table(table, tmp_path / 'data' / 'rows.parquet')
  gen = FileBasedExampleGen(
    input_base=str(tmp_path / 'data'),
    custom_executor_spec=executor_spec.BeamExecutorSpec(parquet_executor.Executor),
  )
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], missing_label=FILL)
  run_pipeline(tmp_path, [gen, splitter])
  (out,) = tmp_path.glob('**/StratifiedSplitter/examples/*')
  assert split_rows(out, ['label']) == {
    'train': Counter({(0,): 144, (1,): 16}),
    'eval': Counter({(0,): 18, (1,): 2}),
    'test': Counter({(0,): 18, (1,): 2}),
  }
