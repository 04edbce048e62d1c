"""Progress of the folds, in each place where people read it."""

import functools
import io
import sys
import time

import pytest
import rich.console
from tfx_balance.compare.fold_progress import watched

FOLDS = list(range(10))


def watch(say, minutes=20):
  start = time.time() - 60
  return list(watched(iter(FOLDS), len(FOLDS), start, start + 60 * minutes, say))


@pytest.fixture
def console(monkeypatch):
  """Has rich write into a text, as to a terminal or as the arguments say."""

  def use(**options):
    file = io.StringIO()
    made = functools.partial(rich.console.Console, file=file, width=100, **options)
    monkeypatch.setattr(rich.console, 'Console', made)
    return file

  return use


def test_a_terminal_has_a_bar_and_no_lines(console):
  file, lines = console(force_terminal=True), []
  assert watch(lines.append) == FOLDS
  assert not lines
  assert '10/10 folds' in file.getvalue().replace('\x1b[32m', '').replace('\x1b[0m', '')
  assert 'about 0 s left' in file.getvalue()
  assert watch(lines.append, minutes=1) == FOLDS
  assert 'time for ' in file.getvalue()


def test_nothing_is_shown_without_a_wish(console):
  file = console(force_terminal=True)
  assert watch(None) == FOLDS
  assert file.getvalue() == ''


@pytest.mark.parametrize('place', ['a file', 'a notebook without ipywidgets', 'without rich'])
def test_elsewhere_there_are_lines(console, monkeypatch, place):
  file, lines = console(force_jupyter='notebook' in place), []
  monkeypatch.setattr('tfx_balance.compare.fold_progress.find_spec', lambda name: None)
  if place == 'without rich':
    file = console(force_terminal=True)
    monkeypatch.setitem(sys.modules, 'rich.progress', None)
  assert watch(lines.append) == FOLDS
  assert file.getvalue() == ''
  assert [line.partition(',')[0] for line in lines] == [
    *('  1 of 10 folds', '  5 of 10 folds', '  10 of 10 folds')
  ]
  assert lines[0].endswith('60 s; about 540 s left')


def test_a_fault_of_a_fold_ends_the_bar_and_is_raised(console):
  file = console(force_terminal=True)

  def folds():
    yield 1
    raise ValueError('no such fold')

  start = time.time() - 1
  with pytest.raises(ValueError, match='no such fold'):
    list(watched(folds(), 2, start, start + 60, lambda line: None))
  assert file.getvalue().endswith('\x1b[?25h')  # the cursor is seen again
