"""What is in the image, and what is not."""

import json

import pytest

pytestmark = pytest.mark.containers


FIND_CACHES = (
  "find / -xdev '(' -name .cache -o -path '/var/lib/apt/lists/*' ')' -print 2>/dev/null; true"
)
UNCOMPILED = """
import importlib.util, pathlib, tfx_balance, tfx
folders = [pathlib.Path(m.__file__).parent for m in (tfx_balance, tfx)] + [pathlib.Path('/app')]
modules = [path for folder in folders for path in folder.rglob('*.py')]
print(len(modules), [str(path) for path in modules
                     if not pathlib.Path(importlib.util.cache_from_source(path)).exists()])
"""
VERSION = "import importlib.metadata; print(importlib.metadata.version('tfx-balance'))"
KERAS = """
import os
image = os.environ['TF_USE_LEGACY_KERAS']
from pipelines import environment
from tfx_balance.cli import watched_run
environment.prepare(verbose=False)
print(image == os.environ['TF_USE_LEGACY_KERAS'], watched_run.versions())
"""


def last_line(printed):
  return printed.splitlines()[-1]


def test_neither_compiler_nor_cache_nor_root(run_in_image):
  assert run_in_image('sh', '-c', 'command -v gcc g++ cc make uv; true') == ''
  assert run_in_image('sh', '-c', FIND_CACHES) == ''
  assert run_in_image('find', '/opt', '/app', '/tmp', '-name', '*.whl') == ''
  assert run_in_image('id', '-u').strip() == '1000'


def test_the_hosts_certificates_are_not_in_it(engine, run_in_image):
  print_sum = ('sha256sum', '/etc/ssl/certs/ca-certificates.crt')
  base = engine.docker('run', '--rm', '--network', 'none', 'tfx-balance-base:trixie', *print_sum)
  assert run_in_image(*print_sum) == base
  assert run_in_image('sh', '-c', 'ls -A /run/secrets 2>/dev/null; true') == ''


def test_labels(engine, image):
  labels = json.loads(engine.docker('inspect', '--format', '{{json .Config.Labels}}', image))
  assert labels['org.opencontainers.image.title'] == 'tfx-balance'
  assert labels['org.opencontainers.image.licenses'] == 'Apache-2.0'
  printed = engine.docker('run', '--rm', '--network', 'none', image, 'python', '-c', VERSION)
  assert labels['org.opencontainers.image.version'] == last_line(printed)


def test_everything_is_byte_compiled(run_in_image):
  count, uncompiled = last_line(run_in_image('python', '-c', UNCOMPILED)).split(' ', 1)
  assert uncompiled == '[]'
  assert int(count) > 500


def test_the_keras_of_a_laptop(run_in_image):
  same, versions = last_line(run_in_image('python', '-c', KERAS)).split(' ', 1)
  print(f'\n{versions}')
  assert same == 'True'
  assert versions.startswith('TFX 1.21')
