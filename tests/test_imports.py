"""Imports run one way: plan, documents <- modes, and tfrecord <- scan <- shuffle <- components.

The rule is read off the source, so that it also holds for imports inside functions; that importing
the package is cheap is seen in a fresh interpreter.
"""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {'tfx_balance', 'pipelines', 'tests', 'benchmarks', 'tools'}


@dataclass(frozen=True)
class Rule:
  """What the modules under a prefix may import besides the standard library.

  Attributes:
    ours: prefixes of modules of this repository.
    only: the other packages that are allowed; None for any.
    never: other packages and modules that are not.
  """

  ours: tuple[str, ...]
  only: frozenset[str] | None = None
  never: frozenset[str] = frozenset()

  def allows(self, module: str) -> bool:
    top = module.partition('.')[0]
    if top in OURS:
      ours = any(within(module, prefix) for prefix in self.ours)
      return ours and not any(within(module, prefix) for prefix in self.never)
    if top in sys.stdlib_module_names:
      return True
    return top not in self.never and (self.only is None or top in self.only)


ERRORS, ARGUMENTS, LAZY = 'tfx_balance.errors', 'tfx_balance.arguments', 'tfx_balance.lazy_names'
READERS = 'tfx_balance.argument_readers'
PLAN, DOCUMENTS, MODES = 'tfx_balance.plan', 'tfx_balance.documents', 'tfx_balance.modes'
AUGMENT, STATISTICS = 'tfx_balance.augment', 'tfx_balance.label_statistics'
TFRECORD, BEAM = 'tfx_balance.tfrecord', 'tfx_balance.beam'
SCAN, SHUFFLE, WRITER = 'tfx_balance.scan', 'tfx_balance.shuffle', 'tfx_balance.writer'
INPUTS, REPORT, KUBEFLOW = 'tfx_balance.inputs', 'tfx_balance.report', 'tfx_balance.kubeflow'
DEFLATE, SIZES = 'tfx_balance.deflate', 'tfx_balance.sizes'
COMPARE = 'tfx_balance.compare'
QUIET = 'tfx_balance.quiet'
BASE = (ERRORS, ARGUMENTS, LAZY, DEFLATE, SIZES)
# What a Trainer reads records with: no Beam, no TensorFlow.
READING = (f'{TFRECORD}.frames', f'{TFRECORD}.reading', f'{SCAN}.fixed_layout')
# Where files are: imported by all, and imports Beam when a path asks for it.
STORAGE = tuple(f'{TFRECORD}.{name}' for name in ('object_store', 'private_folder', 'storage'))
CLI = 'tfx_balance.cli'
INSPECT = tuple(
  f'{CLI}.{name}'
  for name in (
    *('__main__', 'inspection', 'plain_tables', 'own_contents', 'own_data', 'own_images'),
    *('own_labels', 'own_parquet', 'own_records', 'own_tables'),
    *('coded_cells', 'csv_rows', 'parquet_rows', 'progress', 'target_leakage'),
  )
)
PIPELINE_ONLY = frozenset({'tfx', 'apache_beam'})  # which no trainer should have to import
RULES = {
  ERRORS: Rule((), only=frozenset()),
  LAZY: Rule((), only=frozenset()),
  QUIET: Rule((), only=frozenset()),
  SIZES: Rule((), only=frozenset()),
  DEFLATE: Rule((), only=frozenset({'isal'})),
  ARGUMENTS: Rule((ERRORS,), only=frozenset()),
  READERS: Rule((ERRORS, ARGUMENTS), only=frozenset()),
  PLAN: Rule((*BASE, PLAN), only=frozenset({'numpy'})),
  DOCUMENTS: Rule((*BASE, PLAN, DOCUMENTS), only=frozenset()),
  # For arrays too, which need no Beam; the rounds of a mode are run by the splitter's folder.
  MODES: Rule((*BASE, READERS, PLAN, DOCUMENTS, *STORAGE, MODES), only=frozenset({'numpy'})),
  # Augment functions run in a Beam worker and in a trainer's tf.data.
  AUGMENT: Rule((*BASE, PLAN, AUGMENT), never=PIPELINE_ONLY),
  **{name: Rule((*BASE, *READING), never=PIPELINE_ONLY | {'tensorflow'}) for name in READING},
  **{name: Rule((ERRORS, *STORAGE), never=frozenset({'tfx', 'tensorflow'})) for name in STORAGE},
  TFRECORD: Rule((*BASE, DOCUMENTS, TFRECORD), never=frozenset({'tfx', 'tensorflow'})),
  BEAM: Rule((*BASE, DOCUMENTS, BEAM), never=frozenset({'tfx', 'tensorflow'})),
  SCAN: Rule((*BASE, PLAN, DOCUMENTS, TFRECORD, BEAM, SCAN), never=frozenset({'tfx'})),
  SHUFFLE: Rule(
    (*BASE, PLAN, TFRECORD, BEAM, SCAN, SHUFFLE), never=frozenset({'tfx', 'tensorflow'})
  ),
  INPUTS: Rule((*BASE, PLAN, DOCUMENTS, AUGMENT, *READING, *STORAGE, INPUTS), never=PIPELINE_ONLY),
  # Trains with the batches of inputs, on the folds of modes.
  COMPARE: Rule(
    (*BASE, PLAN, DOCUMENTS, MODES, AUGMENT, *STORAGE, INPUTS, COMPARE), never=PIPELINE_ONLY
  ),
  # Read by the validator and by the report.
  STATISTICS: Rule((ERRORS, PLAN), never=PIPELINE_ONLY),
  # Reads what others wrote: what it shows it has from files alone.
  REPORT: Rule(
    (*BASE, QUIET, PLAN, DOCUMENTS, *STORAGE, REPORT, STATISTICS),
    never=frozenset({'apache_beam'}),
  ),
  # Serves any pipeline, of any components.
  KUBEFLOW: Rule((*BASE, *STORAGE, KUBEFLOW)),
  # Component folders, and what they have in common.
  'tfx_balance': Rule(('tfx_balance',), never=frozenset({CLI})),
  # What `tfx-balance inspect` reads and shows files with; the rest shows runs of the sample.
  CLI: Rule(('tfx_balance',)),
  **{name: Rule((*BASE, QUIET, PLAN, SCAN, REPORT, CLI), never=PIPELINE_ONLY) for name in INSPECT},
  'pipelines': Rule(('tfx_balance', 'pipelines')),
}


def within(module: str, prefix: str) -> bool:
  return module == prefix or module.startswith(prefix + '.')


def modules_of(root: Path) -> dict[str, Path]:
  """Returns every module of the package and of the sample pipeline, by name."""
  found = {}
  for folder, source_root in (('components/tfx_balance', 'components'), ('pipelines', '.')):
    for path in sorted((root / folder).rglob('*.py')):
      parts = path.relative_to(root / source_root).with_suffix('').parts
      found['.'.join(parts[:-1] if parts[-1] == '__init__' else parts)] = path
  return found


def imports_of(module: str, path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
  """Yields the line and the name of every module that a module imports, in functions too."""
  for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
    if isinstance(node, ast.Import):
      for alias in node.names:
        yield node.lineno, alias.name
    elif isinstance(node, ast.ImportFrom):
      base = node.module or ''
      if node.level:
        package = module.split('.') if path.stem == '__init__' else module.split('.')[:-1]
        above = package[: len(package) - node.level + 1]
        base = '.'.join([*above, base] if base else above)
      for alias in node.names:
        member = f'{base}.{alias.name}'
        yield node.lineno, member if member in known else base


def find_faults(root: Path) -> list[str]:
  """Returns a line for every import that breaks a rule."""
  known = modules_of(root)
  faults = []
  for module, path in known.items():
    prefix = max((p for p in RULES if within(module, p)), key=len)
    for line, imported in imports_of(module, path, known):
      if not RULES[prefix].allows(imported):
        faults.append(f'{path.relative_to(root)}:{line}: {prefix} may not import {imported}')
  return sorted(set(faults))


def test_imports_run_one_way():
  assert find_faults(ROOT) == []


def test_the_whole_tree_is_read():
  known = modules_of(ROOT)
  selection = 'tfx_balance.plan.ranks'
  assert {'tfx_balance', ERRORS, selection, 'tfx_balance.stratified_splitter.transform'} <= set(
    known
  )
  imported = {name for _, name in imports_of(selection, known[selection], known)}
  assert {'numpy', 'tfx_balance.plan.apportion'} <= imported


# --- the rule's test can fail


def make_tree(root: Path, file: str, source: str) -> Path:
  """Writes a small tree that keeps the rules, and one file more; returns its root."""
  good = {
    'components/tfx_balance/__init__.py': 'import importlib\n',
    'components/tfx_balance/errors.py': 'import re\n',
    'components/tfx_balance/plan/__init__.py': '',
    'components/tfx_balance/plan/apportion.py': (
      'import numpy.typing\nfrom ..errors import DataError\n'
    ),
    'components/tfx_balance/scan/__init__.py': '',
    'components/tfx_balance/scan/split.py': (
      'import apache_beam as beam\nfrom tfx_balance.plan.apportion import share\n'
    ),
    'components/tfx_balance/inputs/__init__.py': (
      'import tensorflow as tf\nfrom tfx_balance import plan\n'
    ),
    'components/tfx_balance/splitter/__init__.py': '',
    'components/tfx_balance/splitter/executor.py': (
      'from tfx import types\nfrom tfx_balance.scan import split\nfrom . import component\n'
    ),
    'components/tfx_balance/splitter/component.py': 'import tfx_balance.inputs\n',
    'pipelines/pipeline.py': (
      'from tfx import v1\nfrom tfx_balance import Splitter\nimport pipelines\n'
    ),
  }
  for name, text in {**good, file: source}.items():
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
  return root


def test_a_tree_that_keeps_the_rules_has_no_faults(tmp_path):
  assert find_faults(make_tree(tmp_path, 'pipelines/__init__.py', '')) == []


@pytest.mark.parametrize(
  ('file', 'source', 'fault'),
  [
    pytest.param(
      'errors.py', 'import numpy', '1: tfx_balance.errors may not import numpy', id='errors'
    ),
    pytest.param(
      'plan/a.py', 'import apache_beam', '1: tfx_balance.plan may not import apache_beam', id='beam'
    ),
    pytest.param(
      'plan/deep/a.py',
      'import os\n\ndef f():\n  import tensorflow.io\n',
      '4: tfx_balance.plan may not import tensorflow.io',
      id='in a function, in a folder',
    ),
    pytest.param(
      'plan/a.py',
      'from tfx_balance.scan.split import Split',
      '1: tfx_balance.plan may not import tfx_balance.scan.split',
      id='plan to scan',
    ),
    pytest.param(
      'plan/a.py',
      'from tfx_balance import scan',
      '1: tfx_balance.plan may not import tfx_balance.scan',
      id='by its package',
    ),
    pytest.param(
      'plan/a.py',
      'from ..scan import split',
      '1: tfx_balance.plan may not import tfx_balance.scan.split',
      id='relative',
    ),
    pytest.param(
      'plan/a.py',
      'from tfx_balance import Splitter',
      '1: tfx_balance.plan may not import tfx_balance',
      id='a public name',
    ),
    pytest.param(
      'plan/a.py',
      'from tfx_balance.planner import x',
      '1: tfx_balance.plan may not import tfx_balance.planner',
      id='a name that only begins alike',
    ),
    pytest.param(
      'scan/a.py',
      'from tfx_balance.splitter import executor',
      '1: tfx_balance.scan may not import tfx_balance.splitter.executor',
      id='scan to a component',
    ),
    pytest.param(
      'scan/a.py',
      'from tfx.dsl.io import fileio',
      '1: tfx_balance.scan may not import tfx.dsl.io',
      id='scan to TFX',
    ),
    pytest.param(
      'scan/a.py',
      'import tfx_balance.inputs',
      '1: tfx_balance.scan may not import tfx_balance.inputs',
      id='sideways',
    ),
    pytest.param(
      'inputs/a.py',
      'import numpy\nimport apache_beam as beam',
      '2: tfx_balance.inputs may not import apache_beam',
      id='inputs to Beam',
    ),
    pytest.param(
      'kubeflow/a.py',
      'from tfx_balance.plan import x',
      '1: tfx_balance.kubeflow may not import tfx_balance.plan',
      id='kubeflow to the plan',
    ),
    pytest.param(
      'inputs/a.py',
      'from tfx import v1',
      '1: tfx_balance.inputs may not import tfx',
      id='inputs to TFX',
    ),
    pytest.param(
      'tfrecord/a.py',
      'import tensorflow',
      '1: tfx_balance.tfrecord may not import tensorflow',
      id='frames to TensorFlow',
    ),
    pytest.param(
      'augment/a.py',
      'import tfx_balance.scan',
      '1: tfx_balance.augment may not import tfx_balance.scan',
      id='augment to scan',
    ),
    pytest.param(
      'plan/a.py',
      'from tfx_balance.augment import image',
      '1: tfx_balance.plan may not import tfx_balance.augment',
      id='plan to augment',
    ),
    pytest.param(
      'report/a.py',
      'from tfx_balance.tfrecord.scan import read_json',
      '1: tfx_balance.report may not import tfx_balance.tfrecord.scan',
      id='report to scan',
    ),
    pytest.param(
      'splitter/a.py',
      'from pipelines.pipeline import x',
      '1: tfx_balance may not import pipelines.pipeline',
      id='a component to the sample',
    ),
    pytest.param(
      'splitter/a.py',
      'from tfx_balance.cli import own_data',
      '1: tfx_balance may not import tfx_balance.cli',
      id='a component to the command',
    ),
    pytest.param(
      '../../pipelines/a.py',
      'import tests.conftest',
      '1: pipelines may not import tests.conftest',
      id='the sample to the tests',
    ),
  ],
)
def test_an_import_the_other_way_is_found(tmp_path, file, source, fault):
  (found,) = find_faults(make_tree(tmp_path, f'components/tfx_balance/{file}', source))
  assert found.endswith(f'{Path(file).name}:{fault}')


# --- what an import loads


LOADS = """
import json, sys
before = set(sys.modules)
{statement}
new = {{name: module for name, module in sys.modules.items() if name not in before}}
# Cython's own modules come from no file and have no spec.
print(json.dumps([name for name in new if getattr(new[name], '__spec__', None)]))
"""


def packages_loaded_by(statement: str) -> set[str]:
  """Returns the packages, but those of the standard library, that a first statement loads."""
  command = [sys.executable, '-c', LOADS.format(statement=statement)]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  names = {name.partition('.')[0] for name in json.loads(done.stdout.splitlines()[-1])}
  return names - set(sys.stdlib_module_names)


@pytest.mark.parametrize(
  'statement',
  [
    pytest.param('import tfx_balance', id='import'),
    pytest.param('import tfx_balance; dir(tfx_balance); tfx_balance.__all__', id='names'),
    pytest.param("import tfx_balance; hasattr(tfx_balance, 'Nonsense')", id='unknown name'),
    pytest.param('import tfx_balance.errors', id='errors'),
    pytest.param(
      'import tfx_balance.report; dir(tfx_balance.report); tfx_balance.report.__all__', id='report'
    ),
  ],
)
def test_importing_the_package_loads_nothing_else(statement):
  assert packages_loaded_by(statement) == {'tfx_balance'}


def test_importing_all_of_the_plan_and_the_modes_loads_numpy_alone():
  names = [name for name in modules_of(ROOT) if within(name, PLAN) or within(name, MODES)]
  assert packages_loaded_by(f'import {", ".join(names)}') == {'tfx_balance', 'numpy'}


def test_what_is_loaded_is_seen():
  assert 'pytest' in packages_loaded_by('import tfx_balance, pytest')


def test_a_trainer_loads_neither_tfx_nor_beam():
  loaded = packages_loaded_by(f'import tfx_balance.inputs, {AUGMENT}')
  assert 'tfx_balance' in loaded
  assert not loaded & PIPELINE_ONLY
