"""The most memory that a call holds, and records to hold: what numpy, Python and Arrow have."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from tests.helpers_examples import example


def peak_bytes(call: Callable[[], Any]) -> int:
  """Returns the most bytes that a call held at a time."""
  default = pa.default_memory_pool()
  pool = pa.proxy_memory_pool(default)
  pa.set_memory_pool(pool)
  tracemalloc.start()
  try:
    call()
    return tracemalloc.get_traced_memory()[1] + pool.max_memory()
  finally:
    tracemalloc.stop()
    pa.set_memory_pool(default)


def kilobyte_records(n: int) -> Iterator[bytes]:
  """Yields n examples of four classes, in their order, each of 1,000 bytes."""
  noise = np.random.default_rng(0).bytes(1 << 20)
  return (example(label=i * 4 // n, id=i, data=noise[i : i + 950]) for i in range(n))
