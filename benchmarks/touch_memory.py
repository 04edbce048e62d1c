"""Fills memory and gives it back, so that what is measured next does not pay for its first use.

A virtual machine may give free memory back to its host and fetch it again page by page, in 2.5
seconds a GB on the machine that we measured on, where filling it takes 0.1: whoever comes first
after a pause would pay. Elsewhere this takes a moment and changes nothing.
"""

from __future__ import annotations

import mmap
import os
import subprocess
import sys

_AT_ONCE = 1 << 20


def touch_memory(n_bytes: int) -> None:
  """Fills about n_bytes, three quarters of what is free at the most, in a process of its own.

  In this one they would count as the most memory that it ever had.
  """
  n = min(n_bytes, os.sysconf('SC_AVPHYS_PAGES') * mmap.PAGESIZE * 3 // 4)
  if n > mmap.PAGESIZE:
    subprocess.run([sys.executable, '-S', __file__, str(n)], check=True)


def main(n_bytes: int) -> None:
  """Fills n_bytes of memory."""
  with mmap.mmap(-1, n_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
    if hasattr(mmap, 'MADV_HUGEPAGE'):  # whole free blocks are what a host takes
      memory.madvise(mmap.MADV_HUGEPAGE)
    ones = b'\1' * _AT_ONCE
    for start in range(0, n_bytes, _AT_ONCE):
      memory[start : start + _AT_ONCE] = ones[: n_bytes - start]


if __name__ == '__main__':
  main(int(sys.argv[1]))
