"""Runs the campaign: `python -m tests.reliability [PART ...] [--kills 24] [--mutations 300]`.

Parts are kills, disks (for root, who may mount), mutations, objects (an object store, which Go
builds the first time) and arguments. Each prints the rows of a table for docs/reliability.md; the
exit code is 1 if something is wrong in one of them.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import tempfile
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

PARTS = ('kills', 'disks', 'mutations', 'objects', 'arguments')
BAD = (
  *('error', 'hung', 'half-written file', 'sidecar before all was there'),
  *('work folder of what may be alive deleted', 'work folder left for ever'),
  *('rerun with other bytes', 'other bytes', 'files left', 'uploads left'),
  *('silently wrong', 'out of memory', 'error, no file', 'other exception'),
)


def print_row(what: str, tried: int, seen: Counter[str]) -> bool:
  """Prints a row, and returns whether nothing in it is bad."""
  outcomes = ', '.join(f'{n} {name}' for name, n in sorted(seen.items()) if name != 'tried')
  print(f'| {what} | {tried} | {seen["silently wrong"]} | {outcomes} |', flush=True)
  return not any(seen[name] for name in BAD) and not any(
    name.startswith(('rerun: ', 'error: ', 'hung: ')) for name in seen
  )


def pass_arguments(folder: Path, only: str) -> Any:
  """Returns what `try_arguments` does, whose module runs TensorFlow when it is imported."""
  from tests.reliability.argument_tables import try_arguments

  return try_arguments(folder, only)


def run_on_objects(folder: Path, n: int, seed: int, only: str) -> bool:
  """Prints what `try_objects` tells, whose module imports TFX's pipelines."""
  from tests.reliability.objects import try_objects

  return try_objects(folder, n, seed, only, print_row)


def main() -> int:
  """Runs the parts that are asked for, and returns the exit code."""
  parser = argparse.ArgumentParser(prog='python -m tests.reliability', description=__doc__)
  parser.add_argument('parts', nargs='*', default=[], help=f'{", ".join(PARTS)}; all if none')
  parser.add_argument('--only', default='', help='part of the name')
  parser.add_argument('--kills', type=int, default=24, help='of each component')
  parser.add_argument('--mutations', type=int, default=300, help='of each reader and compression')
  parser.add_argument('--objects', type=int, default=10, help='of each component and storage')
  parser.add_argument('--seed', type=int, default=0)
  options = parser.parse_args()
  unknown = sorted(set(options.parts) - set(PARTS))
  if unknown:
    parser.error(f'{unknown[0]!r} is not in [{", ".join(PARTS)}]')
  parts = options.parts or PARTS

  from tests.reliability.children import run_in_child
  from tests.reliability.components import CASES, write_inputs
  from tests.reliability.disks import try_disks
  from tests.reliability.kills import try_kills
  from tests.reliability.mutations import READERS, try_mutations

  gc.freeze()  # so that children share the memory of all that was imported
  good = []
  with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    # Nothing of TensorFlow or Beam runs in this process, so that children can be forked from it.
    made = run_in_child(lambda: write_inputs(folder, options.seed))
    if made.how != 'done':
      raise RuntimeError(made.result)
    for case in CASES:
      if options.only.lower() not in case.name.lower():
        continue
      rng = random.Random(f'{options.seed} {case.name}')
      if 'kills' in parts:
        seen = try_kills(case, folder, folder / f'kills-{case.name}', options.kills, rng)
        good.append(print_row(f'killed: {case.name}', seen.pop('killed'), seen))
      if 'disks' in parts:
        root = folder / f'disks-{case.name}'
        root.mkdir()
        seen = try_disks(case, folder, root)
        good.append(print_row(f'full disk: {case.name}', seen['tried'], seen))
    if 'mutations' in parts:
      for kind, inputs in (('gzip', 'in'), ('plain', 'plain')):
        (input_gen,) = (case for case in CASES if case.name == 'BalancedInputGen')
        for reader, (read, split, promised) in READERS.items():
          if options.only.lower() not in reader:
            continue
          source, root = folder / f'{reader}-{kind}', folder / f'root-{reader}-{kind}'
          source.mkdir()
          (source / 'in').symlink_to(folder / inputs)
          if run_in_child(partial(input_gen.run, source, root, 1)).how != 'done':
            raise RuntimeError('BalancedInputGen fails')
          uri = input_gen.uris(root, 1)['examples']
          rng = random.Random(f'{options.seed} {reader} {kind}')
          ended = run_in_child(
            partial(try_mutations, read, uri, split, promised, options.mutations, rng), loud=True
          )
          seen = ended.result if ended.how == 'done' else Counter({f'error: {ended}': 1})
          good.append(print_row(f'damaged: {kind}, {reader}', seen['tried'], seen))
    if 'objects' in parts:
      given = (folder / 'objects', options.objects, options.seed, options.only)
      ended = run_in_child(partial(run_on_objects, *given), loud=True)
      if ended.how != 'done':
        raise RuntimeError(f'{ended.kind}: {ended.result}')
      good.append(ended.result)
    if 'arguments' in parts:
      ended = run_in_child(partial(pass_arguments, folder / 'arguments', options.only), loud=True)
      if ended.how != 'done':
        raise RuntimeError(ended.result)
      for api, seen, faults in ended.result:
        good.append(print_row(f'wrong arguments: {api}', seen['tried'], seen))
        print(*faults, sep='\n', end='\n' * bool(faults))
  return 0 if all(good) else 1


if __name__ == '__main__':
  sys.exit(main())
