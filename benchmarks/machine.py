"""What a benchmark ran on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_PACKAGES = ('tfx-balance', 'tfx', 'apache-beam', 'tensorflow', 'tfx-bsl', 'numpy', 'isal')


@dataclass(frozen=True)
class Machine:
  """A machine, the moment a benchmark starts.

  Attributes:
    date: UTC, to the minute.
    cpu: the model's name.
    cores: that this process may use.
    memory_bytes: of the machine.
    load: processes that wanted to run in the last minute, on average; above 0 or so, something
      else is running too.
    system: the kernel's name and the C library's.
    python: version.
    packages: name to version.
  """

  date: str
  cpu: str
  cores: int
  memory_bytes: int
  load: float
  system: str
  python: str
  packages: dict[str, str]

  @classmethod
  def now(cls) -> Machine:
    """Returns this machine."""
    affinity = getattr(os, 'sched_getaffinity', None)
    return cls(
      date=datetime.now(timezone.utc).strftime('%Y-%m-%d %H:%M UTC'),
      cpu=_cpu_model(),
      cores=len(affinity(0)) if affinity else os.cpu_count() or 1,
      memory_bytes=os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES'),
      load=os.getloadavg()[0],
      system=' '.join([platform.system(), *platform.libc_ver()]).strip(),
      python=platform.python_version(),
      packages={name: _version(name) for name in _PACKAGES},
    )

  def lines(self) -> list[str]:
    """Returns the machine in words."""
    packages = ', '.join(f'{name} {version}' for name, version in self.packages.items())
    return [
      f'{self.date}; {self.cpu}, {self.cores} cores, {self.memory_bytes / 1e9:.0f} GB; '
      f'load before the run {self.load:.2f}',
      f'{self.system}, Python {self.python}, {packages}',
    ]


def _cpu_model() -> str:
  """Returns the name of the processor, as far as the system knows it."""
  info = Path('/proc/cpuinfo')
  found = re.search(r'model name\s*:\s*(.+)', info.read_text()) if info.exists() else None
  return found[1] if found else platform.processor() or platform.machine()


def _version(name: str) -> str:
  """Returns a package's version; TensorFlow for CPUs alone is one of another name."""
  try:
    return importlib.metadata.version(name)
  except importlib.metadata.PackageNotFoundError:
    return importlib.metadata.version(f'{name}-cpu')
