"""The whole pipeline of the documentation, run as a person runs it."""

import subprocess
import sys
from pathlib import Path

from tests.helpers_checks import read_sidecar

FILE = Path(__file__).parents[2] / 'docs' / 'examples' / 'whole_pipeline.py'
COUNTS = {'gull': 200, 'tern': 60, 'auk': 12}


def test_the_whole_pipeline_of_the_documentation_trains_a_model(tmp_path):
  (tmp_path / 'data').mkdir()
  lines = ['species,mass,wing']
  for i, (name, n) in enumerate(COUNTS.items()):
    lines += [f'{name},{i + j % 7 / 10},{i - j % 5 / 10}' for j in range(n)]
  (tmp_path / 'data' / 'birds.csv').write_text('\n'.join(lines) + '\n')
  command = [sys.executable, str(FILE), str(tmp_path / 'data'), str(tmp_path / 'runs')]
  done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr[-4000:]

  artifacts = tmp_path / 'runs' / 'artifacts'
  assert len(list(artifacts.glob('Trainer/model/*/Format-Serving/saved_model.pb'))) == 1
  (split,) = artifacts.glob('StratifiedSplitter/examples/*')
  found = {row['name']: row['splits']['train']['records'] for row in read_sidecar(split)['strata']}
  assert found == {'auk': 10, 'gull': 160, 'tern': 48}
  assert 'val_accuracy' in done.stdout
