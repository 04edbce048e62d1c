"""How many records of each class a pool holds: as many as are wanted, within a limit on bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_MAX_POOL_BYTES = 100_000_000


@dataclass(frozen=True)
class PoolRequest:
  """What an augment function wants to see of the classes of which it makes copies.

  Attributes:
    owner: the function's name, for messages.
    pool_size: records of each class, at most.
    features: to see of these records; None for all numeric ones of a fixed number of values.
    max_pool_bytes: of the pools of all classes together, at most, but one record of each is kept.
  """

  owner: str
  pool_size: int
  features: tuple[str, ...] | None
  max_pool_bytes: int


@dataclass(frozen=True)
class PoolPlan:
  """The records in the pool of each class.

  Attributes:
    request: what was wanted.
    sizes: of the pools; 0 for a class of which no copies are made.
    wanted: what the sizes would be without a limit on bytes.
  """

  request: PoolRequest
  sizes: tuple[int, ...]
  wanted: tuple[int, ...]


def plan_pools(
  records: Sequence[int], record_bytes: Sequence[int], request: PoolRequest
) -> PoolPlan:
  """Returns pools of the size that is wanted, or as large as an equal share of the bytes allows.

  What a small class leaves of its share goes to the larger ones.

  >>> request = PoolRequest('Smote', 2000, None, 1000)
  >>> plan_pools([3, 500, 900, 0], [10, 10, 10, 10], request).sizes
  (3, 48, 49, 0)

  Args:
    records: of each class; 0 for one of which no copies are made.
    record_bytes: of what a pool holds of a record, by class; 1 or more.
    request: what is wanted.
  """
  wanted = [min(n, request.pool_size) for n in records]
  needs = [n * size for n, size in zip(wanted, record_bytes, strict=True)]
  sizes = list(wanted)
  left = request.max_pool_bytes
  order = sorted((i for i, need in enumerate(needs) if need), key=lambda i: (needs[i], i))
  for place, i in enumerate(order):
    share = left // (len(order) - place)
    if needs[i] > share:
      sizes[i] = max(1, share // record_bytes[i])
    left = max(0, left - sizes[i] * record_bytes[i])
  return PoolPlan(request, tuple(sizes), tuple(wanted))
