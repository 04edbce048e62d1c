"""Which TFX fits which machine, and where its lock is: decided from versions alone."""

from typing import NamedTuple, Optional, Tuple

from progress import SetupError

Version = Tuple[int, ...]


class Stack(NamedTuple):
  """A TFX release, with the Pythons and the oldest glibc that have wheels for all of it."""

  tfx: str
  glibc: Version
  pythons: Tuple[Version, ...]

  @property
  def platform(self) -> str:
    """The platform that its locks are compiled for, as uv names it.

    >>> STACKS[0].platform
    'x86_64-manylinux_2_39'
    """
    return 'x86_64-manylinux_' + '_'.join(map(str, self.glibc))

  def lock(self, python: Version) -> str:
    """The path of its lock for a Python, from the project's root.

    >>> STACKS[1].lock((3, 11))
    'requirements/tfx-1.16-py3.11.txt'
    """
    return f'requirements/tfx-{self.tfx}-py{dotted(python)}.txt'


# Newest first. One lock cannot serve both: TFX 1.21 has no wheels for older C libraries, TFX 1.16
# none for Python 3.12. Python 3.11 is listed for TFX 1.16 although its metadata says <3.11: its
# wheels are there and work, and uv installs them.
STACKS = (
  Stack('1.21', (2, 39), ((3, 10), (3, 11), (3, 12), (3, 13))),
  Stack('1.16', (2, 28), ((3, 10), (3, 11))),
)

# The container image: the newest stack, on the Python of its base (Debian 13).
IMAGE_PYTHON = (3, 13)
IMAGE_LOCK = 'requirements/image.txt'
IMAGE_OVERRIDES = 'docker/overrides.txt'


def choose_stack(system: str, machine: str, glibc: Optional[Version]) -> Stack:
  """The newest stack whose wheels load on this machine.

  >>> choose_stack("Linux", "x86_64", (2, 36)).tfx
  '1.16'
  >>> choose_stack("Linux", "x86_64", (2, 39)).tfx
  '1.21'
  """
  if (system, machine) != ('Linux', 'x86_64'):
    raise SetupError(
      f'this machine is {system} on {machine}; TFX has wheels for Linux on x86_64 only; '
      'use such a machine, or a container of one'
    )
  for stack in STACKS:
    if glibc is not None and glibc >= stack.glibc:
      return stack
  raise SetupError(
    'the C library is {}; TFX {} needs glibc {} or later; '
    'use a newer distribution (Debian 12, Ubuntu 22.04) or a container of one'.format(
      'glibc ' + dotted(glibc) if glibc else 'not glibc', STACKS[-1].tfx, dotted(STACKS[-1].glibc)
    )
  )


def dotted(version: Version) -> str:
  """A version as people write it.

  >>> dotted((3, 11, 7))
  '3.11.7'
  """
  return '.'.join(map(str, version))
