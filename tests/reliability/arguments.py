"""Wrong arguments: a table of values for every argument of every public function.

Each value is either one of those that an argument of its kind takes, or is refused by a ConfigError
before anything is done; any other exception is a fault, and so is a value that is taken silently.
Only of arguments that are data (labels, arrays, files), a DataError may also refuse one.
"""

from __future__ import annotations

import functools
import inspect
import math
import types as python_types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tfx_balance.errors import ConfigError, DataError

VALUES: dict[str, Any] = {
  'None': None,
  'True': True,
  'False': False,
  '0': 0,
  '1': 1,
  '3': 3,
  '-1': -1,
  '10**9': 10**9,
  '10**30': 10**30,
  '10**5000': 10**5000,
  '0.5': 0.5,
  '1.0': 1.0,
  '1.5': 1.5,
  '-0.5': -0.5,
  'nan': math.nan,
  'inf': math.inf,
  '-inf': -math.inf,
  '1j': 1j,
  'Fraction': Fraction(1, 2),
  'Decimal': Decimal('0.5'),
  'np.int64': np.int64(3),
  'np.uint8': np.uint8(3),
  'np.float32': np.float32(0.5),
  'np.nan': np.float64('nan'),
  'np.bool_': np.bool_(True),
  'np.str_': np.str_('x'),
  'np.array': np.array([1, 2]),
  'np.array(3)': np.array(3),
  'np.array([])': np.array([]),
  '""': '',
  '" "': ' ',
  '"x"': 'x',
  '"a/b"': 'a/b',
  '"NUL"': 'a\0b',
  '"surrogate"': 'a\udcff',
  '"0"': '0',
  '"nan"': 'nan',
  '"null"': 'null',
  '"{"': '{',
  '"[1]"': '[1]',
  '"{:null}"': '{"x": null}',
  '"[["': '[' * 5000,
  'b"x"': b'x',
  '[]': [],
  '()': (),
  '[None]': [None],
  '["x"]': ['x'],
  '["x", "x"]': ['x', 'x'],
  '["x", 1]': ['x', 1],
  '[[1], [1, 2]]': [[1], [1, 2]],
  '[nan]': [math.nan],
  '{}': {},
  '{"x": None}': {'x': None},
  '{"x": 1}': {'x': 1},
  '{"x": -1}': {'x': -1},
  '{"x": nan}': {'x': math.nan},
  '{"x": {}}': {'x': {}},
  '{"x": object()}': {'x': object()},
  '{1: 1}': {1: 1},
  '{0: 10**9}': {0: 10**9},
  '{0: 10**30}': {0: 10**30},
  '{None: 1}': {None: 1},
  '{(): 1}': {(): 1},
  '{"x"}': {'x'},
  'object()': object(),
  'int': int,
  'lambda': lambda *_: None,
  'range': range(2),
  'generator': (i for i in range(2)),
  'Path': Path('/does/not/exist'),
  'tf.constant': tf.constant(3),
}

# What arguments of a kind take, of the above.
NONE = frozenset({'None'})
EMPTY = NONE | {'""'}  # TFX has no None: '' stands for it
JSON_NONE = EMPTY | {'" "', '"null"'}
FLAG = frozenset({'True', 'False', '0', '1', '1.0', 'np.bool_'}) - {'1.0'}
INTEGERS = frozenset({'1', '3', 'np.int64', 'np.uint8'})
COUNT = INTEGERS | {'10**9'}
SEED = COUNT | {'0', '-1'}
SHARE = frozenset({'0', '1', '0.5', '1.0', 'np.float32', 'Fraction'})
FINITE_FROM_0 = SHARE | COUNT | {'1.5', '10**30'}
FINITE = FINITE_FROM_0 | {'-1', '-0.5'}
SPLIT_NAME = frozenset({'np.str_', '"x"', '"0"', '"nan"', '"null"'})
PLAIN_NAMES = SPLIT_NAME | {'" "', '"a/b"', '"{"', '"{:null}"', '"NUL"'}
TEXTS = PLAIN_NAMES | {'"[1]"', '"[["'}
LIST_OF_NAMES = frozenset({'["x"]'})
NAMES = PLAIN_NAMES | LIST_OF_NAMES
PATH = (TEXTS - {'"NUL"', '"[["'}) | {'Path'}
FINAL_COUNTS = frozenset({'{}', '{"x": 1}', '{1: 1}'})
LABELS = frozenset({'np.array', '["x"]', '["x", "x"]', 'range'})


@dataclass(frozen=True)
class Api:
  """A function, and what each of its arguments takes.

  Attributes:
    name: of the function; after a comma the case of it, in which only the arguments of `valid` are
      tried. Else all others are too: seeds, flags, and what takes None, or nothing of the above.
    call: the function.
    good: arguments that work.
    valid: argument to the names of the values that it takes; of all others each must be refused.
    data: the arguments that a DataError may refuse.
  """

  name: str
  call: Callable[..., Any]
  good: Mapping[str, Any]
  valid: Mapping[str, frozenset[str]]
  data: frozenset[str] = field(default_factory=frozenset)

  def __post_init__(self) -> None:
    if ', ' not in self.name:
      object.__setattr__(self, 'valid', {**_by_default(self.call), **self.valid})

  def calls(self) -> Iterator[tuple[str, str]]:
    """Yields the argument and the value's name of each call."""
    for argument in self.valid:
      for name in VALUES:
        yield argument, name


def _by_default(call: Callable[..., Any]) -> dict[str, frozenset[str]]:
  """Returns what arguments take of which nothing is said: flags, seeds, None if so by default."""
  return {
    name: SEED
    if name == 'seed' and parameter.default is not None
    else FLAG
    if isinstance(parameter.default, bool)
    else NONE
    if parameter.default is None
    else frozenset()
    for name, parameter in inspect.signature(call).parameters.items()
    if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
  }


def judge(api: Api, argument: str, name: str) -> str:
  """Returns 'refused', 'accepted', or what is wrong."""
  value = VALUES[name]
  if isinstance(value, python_types.GeneratorType):
    value = (i for i in range(2))
  valid = api.valid[argument]
  try:
    with warnings.catch_warnings():
      warnings.simplefilter('ignore')
      api.call(**{**api.good, argument: value})
  except ConfigError as error:
    return f'valid, refused: {error}' if name in valid else 'refused'
  except DataError as error:
    return 'refused' if argument in api.data else f'DataError: {error}'
  except Exception as error:
    return f'{type(error).__name__}: {error}'
  return 'accepted' if name in valid else 'accepted silently'


def try_api(api: Api) -> tuple[Counter[str], list[str]]:
  """Returns how often what was seen, and a line for each fault."""
  seen: Counter[str] = Counter()
  faults = []
  for argument, name in api.calls():
    found = judge(api, argument, name)
    seen['tried'] += 1
    if found in ('refused', 'accepted'):
      seen[found] += 1
      continue
    kind = {'accepted silently': 'silently wrong'}.get(found, 'other exception')
    seen[kind] += 1
    line = found.strip().splitlines()[0][:160]
    faults.append(f'{api.name}({argument}={name}): {line}')
  return seen, faults


def without(function: Callable[..., Any], *patches: Any) -> Callable[..., Any]:
  """Returns a function with what takes long, or writes, left out after the checks."""

  @functools.wraps(function)
  def call(**arguments: Any) -> Any:
    with ExitStack() as stack:
      for patch in patches:
        stack.enter_context(patch)
      return function(**arguments)

  return call
