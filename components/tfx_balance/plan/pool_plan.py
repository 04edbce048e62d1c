"""The number of records in each class's pool: as many as are requested, within a limit on bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

DEFAULT_MAX_POOL_BYTES = 100_000_000


@dataclass(frozen=True)
class PoolRequest:
  """The records that an augment function needs of the classes of which it makes copies.

  Attributes:
    owner: Name of the function, for messages.
    pool_size: Largest number of records of a class.
    features: Names of the features; None for all numeric ones of a fixed number of values.
    max_pool_bytes: Largest size of all pools together, but one record of each is kept.
  """

  owner: str
  pool_size: int
  features: tuple[str, ...] | None
  max_pool_bytes: int


@dataclass(frozen=True)
class PoolPlan:
  """The records in the pool of each class.

  Attributes:
    request: Request that the plan is for.
    sizes: Number of records of each pool; 0 for a class of which no copies are made.
    wanted: Sizes without a limit on bytes.
  """

  request: PoolRequest
  sizes: tuple[int, ...]
  wanted: tuple[int, ...]


def plan_pools(
  records: Sequence[int], record_bytes: Sequence[int], request: PoolRequest
) -> PoolPlan:
  """Returns pools of the requested size, or as large as an equal share of the bytes allows.

  What a small class leaves of its share goes to the larger ones.

  >>> request = PoolRequest('Smote', 2000, None, 1000)
  >>> plan_pools([3, 500, 900, 0], [10, 10, 10, 10], request).sizes
  (3, 48, 49, 0)

  Args:
    records: Records of each class; 0 for one of which no copies are made.
    record_bytes: Bytes of a record in a pool, by class; 1 or more.
    request: Requested records.
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
