"""Input files for the benchmark of split modes: records in groups, in time, and with label sets.

Every record has 20 normally distributed numbers and one of 5 classes, as in `benchmarks.data`.
Those in groups also have a group, a time and a number, and are of one size; those with label sets
have the labels of one of many distinct sets, of which a few are common and most are rare.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from benchmarks.data import (
  BYTES,
  FLOATS,
  INTS,
  SPLIT,
  Bytes,
  DataFiles,
  DataSpec,
  in_order,
  make_frames,
  varints,
  write_file,
)
from benchmarks.harness import Work

Kind = Literal['groups', 'label sets']
N_LABELS = 100
_SHARDS = 8
_RECORDS_PER_GROUP = 10
_RECORDS_PER_SET = 25
_MOST_LABELS = 8  # of a record
_MORE_LABELS = 1.4  # on average, than one
_FLOATS = 20
_LONG_TAIL = 10  # the share of the i-th label or set is proportional to 1 / (i + _LONG_TAIL)
_CHUNK_RECORDS = 1 << 16
_FIRST_TIME, _TIMES = 1_600_000_000, 100_000_000  # in seconds; all take five bytes
_VERSION = 1  # of the file contents; raising it invalidates cached files

Ints = npt.NDArray[np.int64]


def make(kind: Kind, records: int, cache: str, beam_args: Any = None) -> Work:
  """Returns the work of making files unless they are cached; its result is `DataFiles` as JSON."""
  return Work(lambda: asdict(find_or_write(kind, records, Path(cache))))


def find_or_write(kind: Kind, records: int, cache: Path) -> DataFiles:
  """Returns the files in a cache folder, which are written if missing."""
  folder = cache / f'{kind.replace(" ", "-")}-{records}-v{_VERSION}'
  if not folder.exists():
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix='part-') as temporary:
      part = Path(temporary, 'part')
      (part / f'Split-{SPLIT}').mkdir(parents=True)
      sizes = _write_files(kind, records, part / f'Split-{SPLIT}')
      (part / 'sizes.json').write_text(json.dumps(sizes))
      part.rename(folder)
  sizes = json.loads((folder / 'sizes.json').read_text())
  return DataFiles(DataSpec('small', records, _SHARDS), str(folder), **sizes)


def _write_files(kind: Kind, records: int, folder: Path) -> dict[str, int]:
  """Writes the files and returns their sizes, as in `DataFiles`."""
  rng = np.random.default_rng(0)
  classes = np.repeat(np.arange(5), DataSpec('small', records, _SHARDS).class_counts())
  rng.shuffle(classes)
  if kind == 'groups':
    make_chunk = partial(
      _grouped, draw_owners(np.ones(records // _RECORDS_PER_GROUP), records, rng)
    )
  else:
    sets = draw_sets(records // _RECORDS_PER_SET, rng)
    owners = draw_owners(_long_tail(len(sets)), records, rng)
    make_chunk = partial(_labelled, sets, owners)
  raw_bytes = file_bytes = 0
  for i, rows in enumerate(np.array_split(np.arange(records), _SHARDS)):
    path = folder / f'data_tfrecord-{i:05d}-of-{_SHARDS:05d}.gz'
    parts = np.array_split(rows, -(-len(rows) // _CHUNK_RECORDS))
    chunks = (make_chunk(part, _common(classes[part], rng), rng) for part in parts)
    raw_bytes += write_file(path, chunks, 'isal')
    file_bytes += path.stat().st_size
  return {'raw_bytes': raw_bytes, 'file_bytes': file_bytes}


def draw_owners(shares: npt.NDArray[np.float64], records: int, rng: np.random.Generator) -> Ints:
  """Returns the group or set of each record, by their shares but each at least once: int64 [n]."""
  n = len(shares)
  more = rng.choice(n, records - n, p=shares / shares.sum())
  owners = np.concatenate([np.arange(n), more])
  rng.shuffle(owners)
  return owners


def draw_sets(n: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
  """Returns n distinct sets of 1 to 8 of 100 labels; small ones and common labels come first."""
  found: dict[tuple[int, ...], None] = {}
  shares = np.log(_long_tail(N_LABELS))
  while len(found) < n:
    keys = shares + rng.gumbel(size=(n, N_LABELS))  # Efraimidis and Spirakis 2006
    drawn = np.argsort(-keys, axis=1)[:, :_MOST_LABELS].tolist()
    sizes = np.clip(1 + rng.poisson(_MORE_LABELS, n), 1, _MOST_LABELS).tolist()
    found.update((tuple(sorted(row[:k])), None) for row, k in zip(drawn, sizes, strict=True))
  return list(found)[:n]


def _long_tail(n: int) -> npt.NDArray[np.float64]:
  return 1 / (np.arange(n) + _LONG_TAIL)


def _common(classes: Ints, rng: np.random.Generator) -> dict[str, tuple[int, Bytes]]:
  """Returns the features that all records have."""
  values = rng.standard_normal((len(classes), _FLOATS), np.float32).view(np.uint8)
  return {'x': (FLOATS, values), 'label': (INTS, varints(classes))}


def _grouped(
  groups: Ints, rows: Ints, common: Mapping[str, tuple[int, Bytes]], rng: np.random.Generator
) -> bytes:
  """Returns frames of records with a group, a time, and a number."""
  digits = groups[rows][:, np.newaxis] // 10 ** np.arange(7, -1, -1) % 10
  numbers = rng.lognormal(size=(len(rows), 1)).astype(np.float32).view(np.uint8)
  more = {
    'group': (BYTES, (digits + ord('0')).astype(np.uint8)),
    'time': (INTS, varints(_FIRST_TIME + rng.integers(_TIMES, size=len(rows)))),
    'number': (FLOATS, numbers),
  }
  return make_frames({**common, **more}).tobytes()


def _labelled(
  sets: Sequence[tuple[int, ...]],
  owners: Ints,
  rows: Ints,
  common: Mapping[str, tuple[int, Bytes]],
  rng: np.random.Generator,
) -> bytes:
  """Returns frames of records with the labels of their set."""
  labels = [sets[owner] for owner in owners[rows].tolist()]
  sizes = np.array([len(own) for own in labels])
  parts = []
  for n in range(1, _MOST_LABELS + 1):
    of = sizes == n
    own = np.array([each for each in labels if len(each) == n], np.uint8).reshape(-1, n)
    taken = {name: (kind, values[of]) for name, (kind, values) in common.items()}
    parts.append(make_frames({**taken, 'labels': (INTS, own)}))
  return in_order(parts, sizes - 1)
