"""One counting pass: tallies by group equal a recount; what cannot be a class is refused."""

import apache_beam as beam
import pytest
from absl import logging
from apache_beam.options.pipeline_options import PipelineOptions
from tfx_balance.class_distribution_validator.counting import read_tallies, recount
from tfx_balance.errors import DataError, plain_errors
from tfx_balance.plan.class_value import MISSING, ClassValue
from tfx_balance.scan.scan import InputFile

from tests.class_distribution_validator.helpers_validate import statistics_of, validate
from tests.helpers_examples import example, labelled, write_tfrecords
from tests.helpers_pipeline import IN_MEMORY, input_artifact


def tallies(folder, groups, label='label'):
  files = []
  for group, shards in groups.items():
    for records in shards:
      path = write_tfrecords(folder / f'{len(files)}.gz', records)
      files.append(InputFile(path, len(files), group))
  path = str(folder / 'tallies.json')
  with plain_errors(), beam.Pipeline(options=PipelineOptions(list(IN_MEMORY))) as pipeline:
    recount(pipeline, files, [label], 'FORMAT_TF_EXAMPLE', path)
  return read_tallies(path)


def test_each_group_is_counted_for_itself(tmp_path):
  groups = {
    'train': [labelled({b'a': 5, b'\xff': 2}), labelled({b'a': 1, None: 3})],
    'eval': [labelled({b'a': 2})],
    'test': [[]],
  }
  a, other = ClassValue('bytes', b'a'), ClassValue('bytes', b'\xff')
  assert tallies(tmp_path, groups) == {
    'train': {a: 6, other: 2, MISSING: 3},
    'eval': {a: 2},
    'test': {},
  }


@pytest.mark.parametrize(
  ('groups', 'fault'),
  [
    ({'a': [[example(id=1)]]}, "'label' is in none of the 1 records; label= takes one of: id"),
    ({'a': [labelled({1: 1})], 'b': [labelled({b'1': 1})]}, r"values of types \['bytes', 'int'\]"),
    ({'a': [[example(label=[1, 2])]]}, r"'label' has 2 values in record 0 .*one-hot"),
    ({'a': [[example(label=0.5)]]}, r"'label' has the value 0.5 .*integral"),
  ],
  ids=['absent', 'types', 'several', 'half'],
)
def test_what_is_no_class_is_refused(tmp_path, groups, fault):
  with pytest.raises(DataError, match=fault):
    tallies(tmp_path, groups)


def test_a_missing_shard_is_told(tmp_path, monkeypatch):
  warned = []
  monkeypatch.setattr(logging, 'warning', lambda text, *values: warned.append(text))
  artifact = input_artifact(tmp_path / 'in', {'train': [labelled({0: 4})] * 2})
  (tmp_path / 'in/Split-train/data_tfrecord-00000-of-00002.gz').unlink()
  found = validate(tmp_path, {'train': statistics_of({0: 4})}, artifact)
  assert found.counts() == {'0': {'train': 4}}
  (text,) = (text for text in warned if 'incomplete' in text)
  assert '1 of its files are missing or empty: ' in text
  assert '/Split-train/data_tfrecord-00000-of-00002.gz is not there; the others are read' in text
