"""Counts lines of Python code: those that hold more than a docstring or a comment.

``python tools/count_code.py components/tfx_balance pipelines tests`` prints one number a folder.
"""

import ast
import io
import sys
import tokenize
from pathlib import Path
from typing import List, Set

_NO_CODE = (
  tokenize.COMMENT,
  tokenize.NL,
  tokenize.NEWLINE,
  tokenize.INDENT,
  tokenize.DEDENT,
  tokenize.ENCODING,
  tokenize.ENDMARKER,
)


def code_lines(source: str) -> int:
  """Counts the lines of a module that hold code.

  Blank lines, comments and strings that stand alone as a statement (docstrings) do not count.
  """
  lines: Set[int] = set()
  for token in tokenize.generate_tokens(io.StringIO(source).readline):
    if token.type not in _NO_CODE:
      lines.update(range(token.start[0], token.end[0] + 1))
  for node in ast.walk(ast.parse(source)):
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
      continue
    if isinstance(node.value.value, str):
      lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
  return len(lines)


def count(folder: Path) -> int:
  """Counts the lines of code of a file, or of all modules in a folder."""
  files = [folder] if folder.is_file() else sorted(folder.rglob('*.py'))
  return sum(code_lines(file.read_text(encoding='utf-8')) for file in files)


def main(arguments: List[str]) -> None:
  """Prints the lines of code of each path that is named."""
  for name in arguments or ['components/tfx_balance', 'pipelines', 'benchmarks', 'tests']:
    print(f'{count(Path(name)):8,}  {name}')


if __name__ == '__main__':
  main(sys.argv[1:])
