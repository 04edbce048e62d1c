"""The Python of the README and of every page of docs/ runs alone, as printed; links lead to files.

Each snippet runs in an empty namespace and an empty folder. What it prints must be what the
comments of its `print` lines say, and end with the block of text that follows it at once, in which
`...` stands for anything; none evaluates on the records that it trains on.
"""

import doctest
import importlib
import importlib.util
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
FENCES = re.compile(r'^```(\w*)[^\n]*\n(.*?)^```$', re.MULTILINE | re.DOTALL)
SAID_BELOW = re.compile(r'^```python\n(.*?)^```\n\n```text\n(.*?)^```$', re.M | re.DOTALL)
NOT_RUN = {'bash', 'dockerfile', 'json', 'text', 'yaml'}
PRINTED = re.compile(r'^print\(.*\)  # (.*)$', re.MULTILINE)
OPTIONAL = ('imblearn', 'pandas', 'sklearn', 'torch')
"""Packages of other libraries' users: a snippet that imports one that is absent is skipped."""
PUBLIC = (
  '',
  '.augment',
  '.compare',
  '.errors',
  '.inputs',
  '.inputs.selection',
  '.kubeflow',
  '.report',
)


def snippets(page):
  """Returns the Python of a page."""
  return [code for kind, code in FENCES.findall(page.read_text('utf-8')) if kind == 'python']


SNIPPETS = {
  f'{page.relative_to(ROOT).with_suffix("")}-{i}': code
  for page in PAGES
  for i, code in enumerate(snippets(page))
}


SHOWN = {code: text for page in PAGES for code, text in SAID_BELOW.findall(page.read_text('utf-8'))}


def run(code, name, capture, shown=None):
  """Runs a snippet as if it were a whole program, and compares what it prints."""
  exec(compile(code, name, 'exec'), {'__name__': '__main__'})
  said, out = PRINTED.findall(code), capture.readouterr().out
  assert not said or out.splitlines() == said
  if shown and not doctest.OutputChecker().check_output(f'...{shown}', out, doctest.ELLIPSIS):
    raise AssertionError(f'the page shows\n{shown}\nand it prints\n{out}')


@pytest.mark.parametrize('name', SNIPPETS)
def test_snippet_runs_alone(name, tmp_path, monkeypatch, capsys):
  code = SNIPPETS[name]
  for package in OPTIONAL:
    if re.search(rf'^(import|from) {package}\b', code, re.M) and not _is_there(package):
      pytest.skip(f'{package} is not installed')
  monkeypatch.chdir(tmp_path)
  monkeypatch.delenv('TF_USE_LEGACY_KERAS', raising=False)  # which TFX sets when it is imported
  with warnings.catch_warnings():
    warnings.filterwarnings('error', 'eval without data= gives the records that train draws')
    run(code, name, capsys, SHOWN.get(code))


def _is_there(package):
  return importlib.util.find_spec(package) is not None


@pytest.mark.parametrize(
  ('code', 'shown'),
  [('print(1 + 1)  # 3', None), ('print(unknown)', None), ('print("a\\nb\\nc")', 'a\n...\nd\n')],
  ids=['output', 'name', 'text'],
)
def test_a_wrong_snippet_is_found(code, shown, capsys):
  with pytest.raises((AssertionError, NameError)):
    run(code, 'snippet', capsys, shown)


def test_text_below_a_snippet_is_compared_with_the_end_of_what_it_prints(capsys):
  run('print("a\\nb\\nc")', 'snippet', capsys, 'b\nc\n')
  run('print("a\\nb\\nc")', 'snippet', capsys, 'a\n...\nc\n')


def test_snippets_use_no_name_from_elsewhere(tmp_path):
  """Also in functions that a snippet defines and does not call."""
  for name, code in SNIPPETS.items():
    (tmp_path / f'{name.replace("/", "_")}.py').write_text(code, 'utf-8')
  command = [sys.executable, '-m', 'ruff', 'check', '--isolated', '--select=F', '--no-cache', '.']
  done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_block_that_does_not_run_is_of_another_language(page):
  assert {kind for kind, _ in FENCES.findall(page.read_text('utf-8'))} <= {'python', *NOT_RUN}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
  links = re.findall(r'\]\((?!https?:)([^)#]+)', page.read_text('utf-8'))
  assert [link for link in links if not (page.parent / link).is_file()] == []


def test_the_readme_is_short():
  lines = (ROOT / 'README.md').read_text('utf-8').splitlines()
  assert len(lines) <= 150
  assert [line for line in lines if len(line) > 120] == []


@pytest.mark.parametrize('module', PUBLIC, ids=lambda name: f'tfx_balance{name}')
def test_every_public_name_is_in_the_api_pages(module):
  pages = ''.join(page.read_text('utf-8') for page in (ROOT / 'docs/api').glob('*.md'))
  documented = {name.rpartition('.')[2] for name in re.findall(r'^::: (.*)$', pages, re.M)}
  found = importlib.import_module(f'tfx_balance{module}')
  names = getattr(found, '__all__', ('ConfigError', 'DataError', 'StorageError', 'TfxBalanceError'))
  assert set(names) <= documented


def test_the_site_shows_every_page():
  shown = re.findall(r': (\S+\.md)$', (ROOT / 'mkdocs.yml').read_text('utf-8'), re.M)
  pages = [page.relative_to(ROOT / 'docs').as_posix() for page in (ROOT / 'docs').rglob('*.md')]
  assert sorted(shown) == sorted(pages)


def test_the_citation_names_the_version():
  cited = re.search(r'^version: (.+)$', (ROOT / 'CITATION.cff').read_text('utf-8'), re.M)
  assert cited is not None
  assert cited[1] == importlib.import_module('tfx_balance').__version__
