"""Beam without what it checks of a step again and again, or among all modules: 10,000 with TFX.

That was most of what tests of a component took. What Beam does is the same: methods keep their
signature, functions need the submodules that they name, values in its cache are small, and no step
here has state, timers, or a mixture of `yield` and `return`.
"""

from __future__ import annotations

import sys
import types
import weakref
from collections.abc import Callable, Iterable
from typing import Any


def quicken_beam() -> None:
  """Replaces some functions of Beam in this process, where this version of Beam has them."""
  from apache_beam.internal.cloudpickle import cloudpickle
  from apache_beam.runners.worker import statecache
  from apache_beam.transforms import core, userstate
  from apache_beam.typehints import decorators

  remembered = _remembering(decorators.get_signature)
  for module, name, quick in (
    (core, 'get_signature', remembered),
    (decorators, 'get_signature', remembered),
    (cloudpickle, '_find_imported_submodules', imported_submodules),
    (statecache, 'get_deep_size', lambda *values: 1),
    (core, '_check_fn_use_yield_and_return', lambda fn: False),
    (userstate, 'get_dofn_specs', lambda dofn: (set(), set())),
  ):
    if hasattr(module, name):
      setattr(module, name, quick)


def _remembering(inspect: Callable[[Any], Any]) -> Callable[[Any], Any]:
  """Returns the function, which now inspects each method once."""
  known: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

  def get_signature(call: Any) -> Any:
    function = getattr(call, '__func__', None)  # of a bound method
    if function is None:
      return inspect(call)
    if function not in known:
      known[function] = inspect(call)
    return known[function]

  return get_signature


def imported_submodules(code: types.CodeType, used: Iterable[Any]) -> list[types.ModuleType]:
  """Returns the loaded submodules of packages that a function uses, as far as it names them."""
  found = []
  parents = [x.__name__ for x in used if isinstance(x, types.ModuleType) and x.__package__]
  while parents:
    parent = parents.pop()
    named = (f'{parent}.{part}' for part in code.co_names)
    names = [name for name in named if name in sys.modules]
    found += [sys.modules[name] for name in names]
    parents += names
  return found
