"""Files of an Examples artifact are those of its folder, whatever characters its path has."""

import pytest
from tfx_balance.examples_artifact import ExamplesInput

from tests.helpers_examples import examples_artifact, labelled, write_splits


@pytest.mark.parametrize('name', ['plain', 'run [1]', 'a*', 'b?'])
def test_files_of_a_split_are_listed_in_order(tmp_path, name):
  uri = write_splits(tmp_path / name, {'train': [labelled({'a': 2})] * 3, 'eval': [[]]})
  artifact = examples_artifact(uri, ['train', 'eval', 'gone'])
  found = ExamplesInput.of([artifact])
  assert [path.rsplit('/', 1)[1] for path in found.files('train')] == [
    f'data_tfrecord-{i:05d}-of-00003.gz' for i in range(3)
  ]
  assert found.files('train')[0].startswith(f'{uri}/Split-train/')
  assert len(found.files('eval')) == 1
  assert found.files('gone') == []
