"""Kills: at any moment, and around every change of files."""

from __future__ import annotations

import os
import random
import shutil
from collections import Counter
from pathlib import Path

from tests.helpers_examples import all_bytes
from tests.reliability.children import KillAt, run_in_child
from tests.reliability.components import Case

DAY_AND_MORE = 25 * 3600


def try_kills(case: Case, inputs: Path, folder: Path, n: int, rng: random.Random) -> Counter[str]:
  """Returns how often what was seen, in n runs of a component that were killed."""
  wanted, seconds, changes = undisturbed(case, inputs, folder / 'undisturbed')
  seen: Counter[str] = Counter()
  attempt = 0
  while seen['killed'] < n:
    root = folder / str(attempt)
    if attempt % 2:  # half of them around changes of files, the last ones of which publish
      at = KillAt(rng.randrange(changes), after=rng.random() < 0.5)
      ended = run_in_child(lambda at=at, root=root: (at.install(), case.run(inputs, root, 1))[1])
    else:
      ended = run_in_child(lambda root=root: case.run(inputs, root, 1), rng.random() * seconds)
    attempt += 1
    seen[ended.how] += 1
    if ended.how == 'error':
      seen[f'error: {ended.kind}'] += 1
    if ended.how == 'killed':
      seen.update(look_at(case, inputs, root, wanted, retry=rng.random() < 0.5))
    shutil.rmtree(root, ignore_errors=True)
  return seen


def undisturbed(
  case: Case, inputs: Path, root: Path
) -> tuple[dict[str, dict[str, bytes]], float, int]:
  """Returns what a run writes, by output, in how many seconds, and how often it changes files."""

  def run() -> int:
    at = KillAt(None).install()
    case.run(inputs, root, 1)
    return at.count

  ended = run_in_child(run)
  if ended.how != 'done':
    raise RuntimeError(f'{case.name} fails undisturbed: {ended.how} {ended.kind} {ended.result}')
  return written(case, root, 1), ended.seconds, ended.result


def written(case: Case, root: Path, execution: int) -> dict[str, dict[str, bytes]]:
  """Returns the bytes of every file of an execution's outputs."""
  return {
    key: all_bytes(uri) if uri.exists() else {} for key, uri in case.uris(root, execution).items()
  }


def work_folders(root: Path) -> list[Path]:
  return [path for path in root.rglob('.work-*') if path.is_dir()]


def look_at(
  case: Case, inputs: Path, root: Path, wanted: dict[str, dict[str, bytes]], retry: bool
) -> list[str]:
  """Returns what is wrong after a kill, and after the run that follows."""
  seen = []
  found = {
    key: {path: data for path, data in files.items() if '.work-' not in path}
    for key, files in written(case, root, 1).items()
  }
  for key, files in found.items():
    for path, data in files.items():
      if data != wanted[key].get(path):
        seen.append('half-written file')
  if case.sidecar_path(root, 1).exists():
    seen.append('killed when all was published')
    if found != wanted:
      seen.append('sidecar before all was there')
  elif any(found.values()):
    seen.append('killed while it published')
  left = work_folders(root)
  if left:
    seen.append('work folder left')
  execution = 1 if retry else 2
  if not retry:  # a later run: not yet, then a day later
    seen.extend(_rerun(case, inputs, root, 3, wanted))
    if left != work_folders(root):
      seen.append('work folder of what may be alive deleted')
    for folder in left:
      for path in (folder, *folder.iterdir()):
        changed = path.stat().st_mtime - DAY_AND_MORE
        os.utime(path, (changed, changed))
  seen.extend(_rerun(case, inputs, root, execution, wanted))
  if work_folders(root):
    seen.append('work folder left for ever')
  return seen


def _rerun(
  case: Case, inputs: Path, root: Path, execution: int, wanted: dict[str, dict[str, bytes]]
) -> list[str]:
  ended = run_in_child(lambda: case.run(inputs, root, execution))
  if ended.how != 'done':
    return [f'rerun: {ended.how} {ended.kind}']
  return ['rerun equal' if written(case, root, execution) == wanted else 'rerun with other bytes']
