"""Faulty object stores: requests answered 500 or 503, reset, cut off or stalled at random."""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tests.helpers_examples  # noqa: F401 - before TFX, which brings another package `tests`

from tests.helpers_pipeline import IN_MEMORY  # noqa: F401 # isort: skip

import pytest
from tfx_balance.errors import chain_of
from tfx_balance.tfrecord.work_folder import WORK_VARIABLE

from tests.helpers_examples import all_bytes
from tests.objectstore.buckets import Bucket, bucket_maker, set_address
from tests.objectstore.helpers_objects import (
  RATES,
  WRITERS,
  be_impatient,
  execute_at,
  input_examples,
  objects,
  put_folder,
  write_input,
)
from tests.objectstore.object_server import ObjectServer
from tests.objectstore.storage_proxy import StorageProxy

SCHEMES = ('s3', 'gs')
Tell = Callable[[str, int, Counter[str]], bool]


def try_objects(folder: Path, n: int, seed: int, only: str, tell: Tell) -> bool:
  """Runs each component n times on each kind of storage; returns whether nothing bad was seen.

  Every other run has its work files in the bucket too.
  """
  folder.mkdir()
  source = write_input(folder / 'source')
  good = True
  with contextlib.ExitStack() as stack:
    patch = stack.enter_context(pytest.MonkeyPatch.context())
    server = stack.enter_context(ObjectServer())
    proxy = stack.enter_context(StorageProxy(server.address))
    set_address(patch, proxy.address)
    be_impatient(patch)
    new_bucket = bucket_maker(server, proxy)
    for component, arguments in WRITERS.items():
      name = component.__name__
      if only.lower() not in name.lower():
        continue
      wanted = _run(component, source, str(folder / name), folder, arguments)
      on_disk = {path: all_bytes(path) for path in map(Path, wanted)}
      for scheme in SCHEMES:
        seen: Counter[str] = Counter()
        for i in range(n):
          bucket = new_bucket(scheme)
          put_folder(bucket, source, 'in')
          with pytest.MonkeyPatch.context() as of_run:
            if i % 2:
              of_run.setenv(WORK_VARIABLE, f'{bucket.uri}/work')
            bucket.meddle(rates=RATES, seed=seed + i, stall=20)
            seen.update(_try(bucket, component, folder / 'run', arguments, on_disk))
        good &= tell(f'faulty {scheme}: {name}', n, +seen)
  return good


def _run(component: Any, source: Any, uri: str, folder: Path, arguments: Any) -> list[str]:
  """Runs a component, and returns the folders that it wrote."""
  examples = {'examples': input_examples(source)}
  return [each.uri for each in execute_at(component, examples, uri, folder, **arguments).values()]


def _try(
  bucket: Bucket,
  component: Any,
  folder: Path,
  arguments: Any,
  on_disk: dict[Path, dict[str, bytes]],
) -> Counter[str]:
  """Returns what was seen of a run in a bucket, compared with what was written on a disk."""
  seen: Counter[str] = Counter()
  root = f'{bucket.uri}/{component.__name__}'
  try:
    _run(component, f'{bucket.uri}/in', root, folder, arguments)
  except Exception as error:
    on_disk = {}
    seen[f'error: {[*chain_of(error)][-1]}'] += 1
  traffic = bucket.traffic()
  seen['requests'] += sum(traffic.requests.values())
  seen['faults'] += sum(traffic.faults.values())
  seen['runs that met none'] += not traffic.faults
  found = {path.name: objects(bucket, path.name) for path in on_disk}
  seen['silently wrong'] += found != {path.name: data for path, data in on_disk.items()}
  seen['equal'] += bool(found) and not seen['silently wrong']
  names = bucket.keys()
  left = {name.split('/')[0] for name in names} - {'in', *found}
  seen['files left'] += bool(left)
  seen['uploads left'] += len(bucket.uploads())
  shutil.rmtree(folder, ignore_errors=True)
  return seen
