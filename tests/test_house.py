"""How the house is kept: file lengths, a source root, nothing of one machine in what is shared."""

import ast
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = sorted((ROOT / 'components/tfx_balance').rglob('*.py'))
MAX_LINES = 500
OF_EACH_COMPONENT = {
  '__init__',
  '__main__',
  'component',
  'executor',
  'output_plan',
  'parameters',
  'transform',
}

# Where somebody's machine or network is: addresses of a package index, hosts that only one network
# knows. An option without an address (`--index-url "$INDEX"`) is fine, and so is this machine.
PRIVATE = re.compile(
  r"""(?: index[-_]url | find[-_]links | trusted[-_]host )
    ["']? \s* [=:\s] \s* ["']? (?: https?:// | \w+\.\w )
  | https?:// [^\s/"']+ \. (?: internal | intranet | corp | lan | local ) \b
  | https?:// (?: [^\s/"'@]+ @ )? (?! 127\. | 0\.0\.0\.0 ) \d+\.\d+\.\d+\.\d+ \b
  """,
  re.VERBOSE | re.IGNORECASE,
)


def tracked_texts():
  """Yields the path and the text of every tracked file that is text."""
  done = subprocess.run(['git', 'ls-files', '-z'], cwd=ROOT, capture_output=True, check=True)
  for name in filter(None, done.stdout.decode().split('\0')):
    path = ROOT / name
    if path.is_file() and b'\0' not in (raw := path.read_bytes()):
      yield name, raw.decode('utf-8', 'replace')


def machine_paths():
  """Returns what an absolute path into this checkout, environment or home begins with."""
  places = {ROOT, Path(sys.prefix), Path.home()}
  return {str(place) for place in places if len(place.parts) > 2}


def find_private(name, text, paths):
  """Returns a line for every address or path of one machine in a text."""
  return [
    f'{name}:{number}: {line.strip()[:80]}'
    for number, line in enumerate(text.splitlines(), 1)
    if PRIVATE.search(line)
    or any(re.search(rf'(?<![\w.]){re.escape(path)}(?![\w-])', line) for path in paths)
  ]


@pytest.mark.parametrize('path', PACKAGE, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_has_at_most_so_many_lines(path):
  lines = len(path.read_text(encoding='utf-8').splitlines())
  assert lines <= MAX_LINES, f'{lines} lines; ask of a file past {MAX_LINES} what it is about'


def test_components_is_a_source_root_of_packages():
  assert not (ROOT / 'components/__init__.py').exists()
  assert {path.parent for path in PACKAGE} == {
    path.parent for path in PACKAGE if path.name == '__init__.py'
  }


def same_names(paths):
  """Returns the names of modules that are there several times, but those of each component."""
  counts = Counter(path.stem for path in paths)
  return sorted(name for name, n in counts.items() if n > 1 and name not in OF_EACH_COMPONENT)


def test_no_two_modules_have_one_name():
  assert same_names(PACKAGE) == []


def test_two_modules_with_one_name_are_found():
  paths = [
    Path('a/labels.py'),
    Path('b/labels.py'),
    Path('a/output_plan.py'),
    Path('b/output_plan.py'),
  ]
  assert same_names(paths) == ['labels']


# First lines that can be understood only with the code beside them.
VAGUE = re.compile(r'(?:\w+s )?(?:what|which|how)\b', re.IGNORECASE)


def vague_docstrings(name, text):
  """Returns a line for each docstring that begins with what, which or how, or "Returns what"."""
  kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
  nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds)]
  docs = [(getattr(node, 'lineno', 1), ast.get_docstring(node) or '') for node in nodes]
  return [f'{name}:{line}: {doc.splitlines()[0]}' for line, doc in docs if VAGUE.match(doc)]


def test_docstrings_begin_with_the_result():
  texts = [(str(path.relative_to(ROOT)), path.read_text(encoding='utf-8')) for path in PACKAGE]
  assert [fault for name, text in texts for fault in vague_docstrings(name, text)] == []


@pytest.mark.parametrize(
  'doc', ['What it is.', 'How it is done.', 'Returns what is left.', 'Yields which are there.']
)
def test_a_docstring_that_needs_the_code_is_found(doc):
  assert vague_docstrings('a.py', f'def f():\n  """{doc}"""\n') == [f'a.py:1: {doc}']
  assert vague_docstrings('a.py', 'def f():\n  """Returns the rest, which is whole."""\n') == []


def constants_of(text):
  """Returns the names in upper case that a module assigns."""
  nodes = [node for node in ast.parse(text).body if isinstance(node, ast.Assign | ast.AnnAssign)]
  names = {name.id for node in nodes for name in ast.walk(node) if isinstance(name, ast.Name)}
  return {name for name in names if name.isupper()}


def patched_constants(name, text, constants):
  """Returns a line for each constant that a text sets on a module, or an item of one."""
  found = []
  for node in ast.walk(ast.parse(text)):
    match node:
      case ast.Call(args=[ast.Constant(str(path)), *_]) if path.startswith('tfx_balance.'):
        found.append((node.lineno, path.rpartition('.')[2]))
      case ast.Call(
        func=ast.Attribute(attr='setattr' | 'object'), args=[_, ast.Constant(word), *_]
      ):
        found.append((node.lineno, word))
      case ast.Call(
        func=ast.Attribute(attr='setitem' | 'delitem' | 'dict'),
        args=[ast.Attribute(attr=word) | ast.Name(word), *_],
      ):
        found.append((node.lineno, word))
      case ast.Attribute(ast.Name(), word, ast.Store()):
        found.append((node.lineno, word))
  return [f'{name}:{line}: {word}' for line, word in found if word in constants]


def test_no_test_patches_a_constant():
  constants = set().union(*(constants_of(path.read_text(encoding='utf-8')) for path in PACKAGE))
  texts = [
    (str(path.relative_to(ROOT)), path.read_text(encoding='utf-8'))
    for path in sorted((ROOT / 'tests').rglob('*.py'))
  ]
  found = [fault for name, text in texts for fault in patched_constants(name, text, constants)]
  assert found == [], 'pass a size as sizes= or an argument, or give the test more data'


@pytest.mark.parametrize(
  'line',
  [
    "monkeypatch.setattr(module, '_FEW', 2)",
    "mock.patch.object(module, '_FEW', 2)",
    "mock.patch('tfx_balance.module._FEW', 2)",
    "monkeypatch.setattr('tfx_balance.module._FEW', 2)",
    "monkeypatch.setitem(module._FEW, 'key', 2)",
    "monkeypatch.setitem(_FEW, 'key', 2)",
    'mock.patch.dict(module._FEW, key=2)',
    'module._FEW = 2',
    'for module._FEW in (1, 2): pass',
  ],
)
def test_a_constant_that_is_patched_is_found(line):
  constants = constants_of('_FEW: int = 3\nfew = 2')
  assert patched_constants('a.py', line, constants) == ['a.py:1: _FEW']
  assert patched_constants('a.py', line.replace('_FEW', 'few'), constants) == []


def named_paths(text):
  """Returns the paths that a text names in backticks: folders end in /, files in a suffix."""
  return sorted({*re.findall(r'`([\w./-]+(?:/|\.(?:py|md|jinja)))`', text)})


def test_every_path_in_contributing_exists():
  package = ROOT / 'components/tfx_balance'
  bases = [ROOT, package, package / 'stratified_splitter']  # the last has each component's files
  names = named_paths((ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8'))
  assert 'tests/' in names
  assert [name for name in names if not any((base / name).exists() for base in bases)] == []


def test_paths_are_told_from_other_names():
  assert named_paths('`a/b.py`, `a/`, `make x`, `tf.io.gfile`, c.py') == ['a/', 'a/b.py']


@pytest.mark.skipif(not (ROOT / '.git').exists(), reason='which files are shared, git knows')
def test_nothing_of_one_machine_is_shared():
  paths = machine_paths()
  assert [
    fault for name, text in tracked_texts() for fault in find_private(name, text, paths)
  ] == []


HOST = 'index-url'  # in two pieces below, so that this file keeps the rule


@pytest.mark.parametrize(
  'line',
  [
    pytest.param(f'--{HOST} ' + 'https://pypi.example.com/simple', id='option of pip'),
    pytest.param(f'extra-{HOST} = ' + '"https://example.com"', id='setting'),
    pytest.param('ENV PIP_INDEX_' + 'URL=https://example.com', id='variable'),
    pytest.param('trusted-' + 'host = example.com', id='trusted host'),
    pytest.param('FROM http://' + 'registry.corp/image', id='host of a company'),
    pytest.param('http://' + '10.1.2.3:8080/simple', id='address'),
    pytest.param('cd ' + '/somewhere/checkout && make', id='path'),
    pytest.param('see file://' + '/somewhere/checkout/README.md', id='path in an address'),
  ],
)
def test_what_is_of_one_machine_is_found(line):
  (fault,) = find_private('file', f'first\n{line}\n', {'/somewhere/checkout'})
  assert fault.startswith('file:2: ')


@pytest.mark.parametrize(
  'line',
  [
    f'pip install --{HOST} "$INDEX" tfx-balance',
    'open http://127.0.0.1:8080 or http://localhost:8080',
    'gs://bucket/somewhere/checkout.tar',
    'an index-url is where pip looks',
    '/somewhere/checkout-2',
  ],
)
def test_what_is_of_no_machine_is_not(line):
  assert find_private('file', line, {'/somewhere/checkout'}) == []
