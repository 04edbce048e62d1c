"""The Python of the README, and of pages whose examples stand alone, runs as printed."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = ROOT / 'README.md'
PAGES = [README, ROOT / 'docs/components.md', ROOT / 'docs/validation.md']
SNIPPETS = [
  pytest.param(snippet, id=f'{page.stem}-{i}')
  for page in PAGES
  for i, snippet in enumerate(re.findall(r'```python\n(.*?)```', page.read_text('utf-8'), re.S))
]


def test_every_page_has_snippets():
  assert {str(snippet.id).split('-')[0] for snippet in SNIPPETS} == {page.stem for page in PAGES}


@pytest.mark.parametrize('snippet', SNIPPETS)
def test_snippet_runs(snippet, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  exec(compile(snippet, 'snippet', 'exec'), {})


def test_links_lead_to_files():
  links = re.findall(r'\]\((?!https?:)([^)#]+)', README.read_text(encoding='utf-8'))
  assert links
  assert [link for link in links if not (README.parent / link).is_file()] == []
