"""Chromium is found, installed where that may be, and asked for in words everywhere else."""

import pytest

from tests.report import setup_chromium
from tests.report.setup_chromium import SetupError


@pytest.fixture
def commands(monkeypatch):
  """Returns the commands that are run, on a machine where root has Debian and no browser."""
  found = []

  def run(command):
    found.append(command)
    return True

  monkeypatch.setattr(setup_chromium.shutil, 'which', lambda name: None)
  monkeypatch.setattr(setup_chromium, 'may_install', lambda: True)
  monkeypatch.setattr(setup_chromium, 'run', run)
  return found


def test_what_is_on_path_is_taken(commands, monkeypatch):
  there = {'google-chrome': '/opt/chrome', 'chromium-browser': '/opt/chromium'}
  monkeypatch.setattr(setup_chromium.shutil, 'which', there.get)
  assert setup_chromium.set_up() == '/opt/chromium'
  assert commands == []


def test_who_may_not_install_is_told_what_to_install(commands, monkeypatch):
  monkeypatch.setattr(setup_chromium, 'may_install', lambda: False)
  with pytest.raises(SetupError, match=r'none of chromium, .* apt-get install chromium\)'):
    setup_chromium.set_up()
  assert commands == []


def test_root_on_debian_gets_it_installed(commands, monkeypatch):
  places = iter([None] * len(setup_chromium.NAMES) + ['/usr/bin/chromium'])
  monkeypatch.setattr(setup_chromium.shutil, 'which', lambda name: next(places))
  assert setup_chromium.set_up() == '/usr/bin/chromium'
  assert commands == [setup_chromium.INSTALL]


def test_an_old_list_of_packages_is_updated_before_a_second_try(commands, monkeypatch):
  answers = iter([False, False, True])  # even where the update of one source fails

  def run(command):
    commands.append(command)
    return next(answers)

  monkeypatch.setattr(setup_chromium, 'run', run)
  setup_chromium.install()
  assert [command[-1] for command in commands] == ['chromium', 'update', 'chromium']


def test_an_installation_that_fails_is_an_error(commands, monkeypatch):
  monkeypatch.setattr(setup_chromium, 'run', lambda command: False)
  with pytest.raises(SetupError, match=r'install .* chromium failed \(see above\)'):
    setup_chromium.install()
