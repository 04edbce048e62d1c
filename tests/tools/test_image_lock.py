"""What the image is built of is known by hashes."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_every_requirement_of_the_image_has_its_version_and_hashes():
  requirements = re.split(r'\n(?=\S)', (ROOT / 'requirements/image.txt').read_text())
  assert len(requirements) > 100
  pinned = re.compile(r'[\w.-]+(\[\w,-]+\])?==[\w.]+( ;.*)?( \\\n +--hash=sha256:[0-9a-f]{64})+\n?')
  assert [each for each in requirements if not pinned.fullmatch(each)] == []


def test_the_image_takes_nothing_without_a_hash():
  dockerfile = (ROOT / 'docker/Dockerfile').read_text()
  for option in ('--require-hashes --requirement', '--build-constraints'):
    assert f'{option} /build/image.txt' in dockerfile
