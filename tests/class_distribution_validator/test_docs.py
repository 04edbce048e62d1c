"""The Python of docs/validation.md runs as printed."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / 'docs/validation.md'
SNIPPETS = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), flags=re.S)


@pytest.mark.parametrize('snippet', SNIPPETS, ids=range(len(SNIPPETS)))
def test_snippet_runs(snippet, tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  names = {}
  exec(compile(snippet, str(PAGE), 'exec'), names)
  assert 'ClassDistributionValidator' in names


def test_there_are_snippets():
  assert len(SNIPPETS) == 2
