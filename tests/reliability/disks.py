"""Full disks: filesystems of several sizes, too small and large enough."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.helpers_disks import small_disk
from tests.helpers_examples import all_bytes
from tests.reliability.children import run_in_child
from tests.reliability.components import Case
from tests.reliability.kills import undisturbed, written

SIZES = tuple(kib << 10 for kib in (32, 64, 128, 256, 512, 768, 1024, 1536, 2048, 3072, 4096, 8192))


def try_disks(case: Case, inputs: Path, folder: Path) -> Counter[str]:
  """Returns how often what was seen, on disks of all the sizes."""
  wanted, _, _ = undisturbed(case, inputs, folder / 'undisturbed')
  seen: Counter[str] = Counter()
  for size in SIZES:
    with small_disk(folder / 'disk', f'size={size}') as root:
      ended = run_in_child(lambda root=root: case.run(inputs, root, 1))
      seen['tried'] += 1
      if ended.how == 'done':
        seen['whole' if written(case, root, 1) == wanted else 'other bytes'] += 1
        continue
      helps = ended.kind == 'StorageError' and str(root) in ended.result
      seen['says what is needed' if helps else f'{ended.how}: {ended.kind} {ended.result}'] += 1
      if all_bytes(root):
        seen['files left'] += 1
        print(case.name, size, sorted(all_bytes(root)))
  return seen
