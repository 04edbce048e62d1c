"""The public names: each is there, public and documented, and none is there by accident."""

import ast
import importlib
import inspect
import re
from pathlib import Path

import pytest
import tfx_balance
import tfx_balance.compare
import tfx_balance.kubeflow
import tfx_balance.report
from tfx_balance.plan.split_shares import DEFAULT_SPLITS

ROOT = Path(__file__).parent.parent
PACKAGES = [tfx_balance, tfx_balance.compare, tfx_balance.kubeflow, tfx_balance.report]
NAMES = [
  pytest.param(package, name, id=f'{package.__name__}.{name}')
  for package in PACKAGES
  for name in package.__all__
]


def names_for_type_checkers(package):
  """Returns the names that are imported for type checkers only."""
  source = ast.parse(Path(package.__file__).read_text(encoding='utf-8'))
  (block,) = (
    node
    for node in source.body
    if isinstance(node, ast.If) and ast.unparse(node.test) == 'TYPE_CHECKING'
  )
  return {alias.asname: node.module for node in block.body for alias in node.names}


@pytest.mark.parametrize(('package', 'name'), NAMES)
def test_every_name_is_public_and_documented(package, name):
  member = getattr(package, name)
  assert not name.startswith('_')
  assert member.__name__ == name
  first_line = vars(member).get('__doc__', member.__doc__).splitlines()[0]
  assert re.fullmatch(r'\S.*\.', first_line), f'{name} is documented as {first_line!r}'


@pytest.mark.parametrize(('package', 'name'), NAMES)
def test_every_name_is_what_type_checkers_take_it_for(package, name):
  home = names_for_type_checkers(package)[name]
  assert getattr(package, name) is getattr(importlib.import_module(home), name)


@pytest.mark.parametrize('package', PACKAGES)
def test_type_checkers_see_the_same_names(package):
  assert sorted(names_for_type_checkers(package)) == sorted(package.__all__)


@pytest.mark.parametrize('package', PACKAGES)
def test_names_are_sorted_and_there_once(package):
  assert package.__all__ == sorted(set(package.__all__))


def test_dir_shows_every_name():
  assert {*tfx_balance.__all__, '__version__'} <= set(dir(tfx_balance))
  assert dir(tfx_balance) == sorted(dir(tfx_balance))


def test_an_unknown_name_is_an_error():
  with pytest.raises(AttributeError, match=r"module 'tfx_balance' has no attribute 'Nonsense'"):
    _ = tfx_balance.Nonsense
  with pytest.raises(ImportError, match=r"cannot import name 'Nonsense' from 'tfx_balance'"):
    from tfx_balance import Nonsense  # noqa: F401


def test_the_version_is_that_of_the_distribution():
  written = re.search(r'^version = "(.+)"$', (ROOT / 'pyproject.toml').read_text(), re.MULTILINE)
  assert written is not None
  assert tfx_balance.__version__ == written[1]


# People write these in their pipelines: a name may be added at the end, none renamed or moved.
FIXED = {
  'ClassDistributionValidator': {
    'statistics': None,
    'label': 'label',
    'examples': None,
    'schema': None,
    'baseline_statistics': None,
    'on_violation': 'fail',
    'report_dir': None,
  },
  'StratifiedSplitter': {
    'examples': inspect.Parameter.empty,
    'stratify_by': 'label',
    'splits': DEFAULT_SPLITS,
    'counts': None,
    'rest': None,
    'input_splits': None,
    'seed': 0,
    'missing_label': 'error',
  },
  'BalancedInputGen': {
    'examples': inspect.Parameter.empty,
    'label': 'label',
    'train_splits': ('train',),
    'seed': 0,
  },
  'stratified_indices': {
    'labels': None,
    'splits': DEFAULT_SPLITS,
    'seed': 0,
    'counts': None,
    'rest': None,
  },
}


@pytest.mark.parametrize('name', FIXED)
def test_fixed_names_keep_their_arguments(name):
  assert name in tfx_balance.__all__
  parameters = list(inspect.signature(getattr(tfx_balance, name)).parameters.values())
  found = {p.name: p.default for p in parameters[: len(FIXED[name])]}
  assert found == FIXED[name]
  assert list(found) == list(FIXED[name])
  assert all(p.default is not p.empty for p in parameters[len(FIXED[name]) :])


def test_the_default_shares_stay():
  assert dict(DEFAULT_SPLITS) == {'train': 8, 'eval': 1, 'test': 1}
