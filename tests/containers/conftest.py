"""One container engine and one image for all of these tests."""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.containers.docker_engine import Engine, docker_engine, import_base

ROOT = Path(__file__).parent.parent.parent
BASE, IMAGE, TEST_IMAGE = 'tfx-balance-base:trixie', 'tfx-balance:checked', 'tfx-balance:tests'
CERTIFICATES = '/etc/ssl/certs/ca-certificates.crt'


def pytest_addoption(parser: pytest.Parser) -> None:
  """Adds the option to run all tests in the image."""
  parser.addoption(
    '--all', action='store_true', help='run all unit tests in the image: before a release'
  )


@pytest.fixture(scope='session')
def engine() -> Iterator[Engine]:
  """A running container engine; it is stopped when all tests are through."""
  folder = os.environ.get('TFX_BALANCE_CACHE', '~/.cache/tfx-balance')
  cache = Path(folder).expanduser().resolve()
  with docker_engine(cache) as engine:
    import_base(engine, cache, BASE)
    yield engine


def build(engine: Engine, name: str, *options: str) -> float:
  """Builds docker/Dockerfile, and returns the seconds that it took."""
  command = ['build', '--network', 'host', '--build-arg', f'BASE_IMAGE={BASE}', '--tag', name]
  if os.path.exists(CERTIFICATES):
    command += ['--secret', f'id=ca,src={CERTIFICATES}']
  start = time.monotonic()
  code = engine.show(
    *command, '--file', str(ROOT / 'docker/Dockerfile'), '--progress', 'plain', *options, str(ROOT)
  )
  assert code == 0, f'building {name} failed with exit code {code}'
  return time.monotonic() - start


@pytest.fixture(scope='session')
def image(engine: Engine) -> str:
  """The image of docker/Dockerfile."""
  seconds = build(engine, IMAGE)
  size = int(engine.docker('inspect', '--format', '{{.Size}}', IMAGE))
  print(f'\n{IMAGE}: {size / 1e6:,.0f} MB, built in {seconds:.0f} s')
  return IMAGE


@pytest.fixture(scope='session')
def test_image(engine: Engine, image: str) -> str:
  """The same image with what the unit tests need."""
  print(f'\n{TEST_IMAGE}: built in {build(engine, TEST_IMAGE, "--target", "test"):.0f} s')
  return TEST_IMAGE


@pytest.fixture(scope='session')
def run_in_image(engine: Engine, image: str) -> Callable[..., str]:
  """Runs a command in a container without network; returns what it prints, raises if it fails."""

  def run(*command: str, options: tuple[str, ...] = ()) -> str:
    return engine.docker('run', '--rm', '--network', 'none', *options, image, *command)

  return run
