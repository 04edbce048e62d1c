"""The README's Python runs as printed."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parent.parent / 'README.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', README.read_text(encoding='utf-8'), flags=re.S)


def test_readme_has_snippets():
  assert SNIPPETS


@pytest.mark.parametrize('snippet', SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(snippet, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  exec(compile(snippet, str(README), 'exec'), {})


def test_links_lead_to_files():
  links = re.findall(r'\]\((?!https?:)([^)#]+)', README.read_text(encoding='utf-8'))
  assert links
  assert [link for link in links if not (README.parent / link).is_file()] == []
