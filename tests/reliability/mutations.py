"""Damaged files through every reader: an error that names the file, or the same data."""

from __future__ import annotations

import gzip
import itertools
import random
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google_crc32c
import tensorflow as tf
from tfx_balance.inputs import BalancedInputs
from tfx_balance.scan.scan import InputFile, ScanFile

SPEC = {
  'label': tf.io.FixedLenFeature([], tf.string),
  'id': tf.io.FixedLenFeature([], tf.int64),
  'data': tf.io.FixedLenFeature([], tf.string),
}
Read = Callable[[Path], Any]


def mutated(data: bytes, rng: random.Random) -> bytes:
  """Returns the bytes of a file with one fault, which may be none."""
  at, end = sorted(rng.randrange(len(data) + 1) for _ in range(2))
  n = rng.randrange(1, 64)
  kind = rng.randrange(10)
  if kind <= 2:  # the most likely one
    changed = bytearray(data)
    changed[min(at, len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)
  return (
    b'',
    data[:at],
    data[:at] + data[at + n :],
    data[:at] + rng.randbytes(n) + data[at:],
    data[:at] + bytes(n) + data[at + n :],
    data + rng.randbytes(n),
    data[:at] + data[end:] + data[at:end],
  )[kind - 3]


def is_whole(data: bytes, suffix: str) -> bool:
  """Returns whether some bytes are a TFRecord file without faults, by the format's definition."""
  if suffix:
    try:
      data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error, struct.error):
      return False
  at = 0
  while at < len(data):
    if at + 12 > len(data):
      return False
    (n,) = struct.unpack_from('<Q', data, at)
    if at + 16 + n > len(data) or _masked(data[at : at + 8]) != data[at + 8 : at + 12]:
      return False
    if _masked(data[at + 12 : at + 12 + n]) != data[at + 12 + n : at + 16 + n]:
      return False
    at += 16 + n
  return True


def _masked(data: bytes) -> bytes:
  crc = google_crc32c.value(data)
  return struct.pack('<I', (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def _scan(root: Path) -> Any:
  """Reads files as the Beam components do."""
  work = root / 'work'
  work.mkdir(exist_ok=True)
  found = []
  for file_number, path in enumerate(sorted((root / 'Split-train').iterdir())):
    scan = ScanFile(('label',), 'FORMAT_TF_EXAMPLE', 'error', str(work))
    for scanned in scan.process(InputFile(str(path), file_number)):
      rows = [row.tobytes() for row in scanned.spill.index()]
      found.append((rows, scanned.counts.fingerprint, scanned.records))
  return found


def _first_batches(dataset: tf.data.Dataset, n: int | None) -> list[Any]:
  taken = itertools.islice(dataset.as_numpy_iterator(), n)
  return [(x['id'].tolist(), x['data'].tolist(), y.tolist()) for x, y in taken]


def _train(root: Path, **options: Any) -> Any:
  inputs = BalancedInputs.load(str(root), SPEC, **options)
  # As many batches as it takes to draw every record of every class once.
  return _first_batches(inputs.train(256), inputs.steps_per_epoch(256))


def _from_files(root: Path) -> Any:
  files = sorted(str(path) for path in (root / 'Split-train').iterdir())
  return _first_batches(BalancedInputs.from_files(files, 'label', SPEC).train(256), 20)


def _eval(root: Path) -> Any:
  return _first_batches(BalancedInputs.load(str(root), SPEC).eval(256, split='more'), None)


READERS: dict[str, tuple[Read, str, bool]] = {
  'components': (_scan, 'train', False),
  'held': (_train, 'train', True),
  'streamed': (lambda root: _train(root, memory_budget=1 << 18), 'train', True),
  'from_files': (_from_files, 'train', False),
  'eval': (_eval, 'more', False),
}
"""What reads an artifact of BalancedInputGen; the split of the file to damage; and whether a plan
tells how many records are in it, so that another file without faults is a fault too."""


def try_mutations(
  read: Read, root: Path, split: str, promised: bool, n: int, rng: random.Random
) -> Counter[str]:
  """Returns how often what was seen, in n readings of an artifact with a damaged file."""
  paths = sorted((root / f'Split-{split}').iterdir())
  wanted = read(root)
  seen: Counter[str] = Counter()
  while seen['tried'] < n:
    path = paths[rng.randrange(len(paths))]
    whole = path.read_bytes()
    data = mutated(whole, rng)
    if data == whole or (not promised and is_whole(data, path.suffix)):
      continue  # another file without faults: nothing tells that it is not the one
    path.write_bytes(data)
    seen['tried'] += 1
    try:
      same = read(root) == wanted
    except MemoryError:
      seen['out of memory'] += 1
    except Exception as error:
      seen['error that names the file' if str(path) in str(error) else 'error, no file'] += 1
      if str(path) not in str(error):
        print(type(error).__name__, str(error)[:300], flush=True)
    else:
      seen['unchanged' if same else 'silently wrong'] += 1
      if not same:
        print(f'silently wrong: {path}, {len(whole)} bytes, now {len(data)}', flush=True)
    path.write_bytes(whole)
  return seen
