"""TFRecord files of random tf.Examples, made fast and kept in a cache folder.

Every value is drawn afresh: records that repeat would compress better than real ones, and make
whoever decompresses look fast. A record is a list of values, `x`, and a class, `label`.
"""

from __future__ import annotations

import json
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import google_crc32c
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from benchmarks.measure import Work

SPLIT = 'all'
"""The one split of the files, as in `Split-all`."""
CLASS_PERCENT = (60, 25, 10, 4, 1)
"""The share of each of 5 classes, whose labels are 0, 1, 2, ...; more classes have a long tail."""
_LONG_TAIL = 10  # the share of class i is as 1 / (i + this)
_ONE_BYTE = 128  # labels below take one byte, those from here on two

_VERSION = 1  # of what the files hold: raised, it makes cached ones useless
_CHUNK_BYTES = 8 << 20  # made at a time
_LEVELS = {'isal': 1, 'zlib': 6}
_GZIP_WINDOW = 31  # zlib's way to ask for a gzip header

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[Any]
"""Of records: uint8, or uint16 where all take two bytes."""
Compressor = Literal['isal', 'zlib']


@dataclass(frozen=True)
class Kind:
  """What records look like.

  Attributes:
    values: 'float32' from a normal distribution, or 'uint8': bytes that do not compress, as of a
      JPEG.
    lengths: how many values a record may have, each as likely.
  """

  values: Literal['float32', 'uint8']
  lengths: tuple[int, ...]

  def draw(self, n: int, length: int, rng: np.random.Generator) -> Bytes:
    """Returns the values of n records: uint8 [n, bytes]."""
    if self.values == 'float32':
      return rng.standard_normal((n, length), np.float32).view(np.uint8)
    return rng.integers(0, 256, (n, length), np.uint8)


KINDS = {
  'small': Kind('float32', (20,)),
  'small_varied': Kind('float32', tuple(range(13, 28))),
  '4k': Kind('float32', tuple(range(768, 1281, 32))),
  '4k_bytes': Kind('uint8', tuple(range(3072, 5121, 128))),
}
"""Mean values: 20 floats, the same, 1,024 floats, 4,096 bytes. Only the first has one length."""


@dataclass(frozen=True)
class DataSpec:
  """Which files are wanted: how many records of what kind and how many classes, in how many files.

  Labels count up from 0, or of more than 128 classes, from 128.
  """

  kind: str
  records: int
  shards: int
  compressor: Compressor = 'isal'
  seed: int = 0
  classes: int = len(CLASS_PERCENT)

  def __post_init__(self) -> None:
    if self.kind not in KINDS:
      raise ValueError(f'kind {self.kind!r} is not in {list(KINDS)}; take one of these')
    if not 0 < self.shards <= self.records:
      raise ValueError(
        f'{self.records} records cannot fill {self.shards} shards; '
        f'take at least one shard, and one record for each'
      )
    if self.classes > (1 << 14) - _ONE_BYTE:
      raise ValueError(f'{self.classes} classes are too many for labels of two bytes')

  @property
  def folder_name(self) -> str:
    """The name of the folder that such files are in."""
    parts = (self.kind, self.records, self.shards, self.compressor, self.seed, f'v{_VERSION}')
    classes = () if self.classes == len(CLASS_PERCENT) else (f'{self.classes}-classes',)
    return '-'.join(map(str, (*parts, *classes)))

  def __str__(self) -> str:
    return f'{self.kind}:{self.records}:{self.shards}'

  def class_counts(self) -> tuple[int, ...]:
    """Returns the records of each class."""
    share = np.array(CLASS_PERCENT) / 100
    if self.classes != len(share):
      share = 1 / (np.arange(self.classes) + _LONG_TAIL)
    edges = np.round(np.concatenate([[0], np.cumsum(share) / share.sum()]) * self.records, 6)
    return tuple(int(n) for n in np.diff(edges.astype(int)))

  @property
  def first_label(self) -> int:
    """The label of the first class."""
    return 0 if self.classes <= _ONE_BYTE else _ONE_BYTE


@dataclass(frozen=True)
class DataFiles:
  """Files that are there.

  Attributes:
    folder: an `Examples` artifact's root.
    records: in all the files.
    raw_bytes: of all the files, decompressed.
    file_bytes: of all the files, as they are.
  """

  folder: str
  records: int
  raw_bytes: int
  file_bytes: int

  @property
  def split_folder(self) -> str:
    """Where the files are."""
    return f'{self.folder}/Split-{SPLIT}'

  def paths(self) -> list[str]:
    """Returns the files, in order."""
    return sorted(str(path) for path in Path(self.split_folder).iterdir())


def make_data(spec: dict[str, Any], cache: str) -> Work:
  """Returns the work of making files, or of finding that they are there; it gives a `DataFiles`."""
  return Work(lambda: find_or_write(DataSpec(**spec), Path(cache)), check=asdict)


def find_or_write(spec: DataSpec, cache: Path) -> DataFiles:
  """Returns the files of a cache folder, which are written first if need be."""
  folder = cache / spec.folder_name
  if not folder.exists():
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix='part-') as temporary:
      part = Path(temporary, 'part')
      (part / f'Split-{SPLIT}').mkdir(parents=True)
      sizes = write_files(spec, part / f'Split-{SPLIT}')
      (part / 'sizes.json').write_text(json.dumps(sizes))
      part.rename(folder)
  return DataFiles(str(folder), spec.records, **json.loads((folder / 'sizes.json').read_text()))


def write_files(spec: DataSpec, folder: Path) -> dict[str, int]:
  """Writes the files and returns their bytes, as in `DataFiles`."""
  rng = np.random.default_rng(spec.seed)
  first = spec.first_label
  kind = np.uint8 if first + spec.classes <= _ONE_BYTE else np.uint16
  labels = np.repeat(np.arange(first, first + spec.classes, dtype=kind), spec.class_counts())
  rng.shuffle(labels)
  raw_bytes = file_bytes = 0
  for i, shard in enumerate(np.array_split(labels, spec.shards)):
    path = folder / f'data_tfrecord-{i:05d}-of-{spec.shards:05d}.gz'
    raw_bytes += _write_file(path, _frames(KINDS[spec.kind], shard, rng), spec.compressor)
    file_bytes += path.stat().st_size
  return {'raw_bytes': raw_bytes, 'file_bytes': file_bytes}


def _write_file(path: Path, chunks: Iterator[bytes], compressor: Compressor) -> int:
  """Writes a gzip file and returns how many bytes are compressed in it."""
  library = isal_zlib if compressor == 'isal' else zlib
  squeeze = library.compressobj(_LEVELS[compressor], zlib.DEFLATED, _GZIP_WINDOW)
  n_bytes = 0
  with path.open('wb') as file:
    for chunk in chunks:
      n_bytes += len(chunk)
      file.write(squeeze.compress(chunk))
    file.write(squeeze.flush())
  return n_bytes


def _frames(kind: Kind, labels: Labels, rng: np.random.Generator) -> Iterator[bytes]:
  """Yields the TFRecord frames of one record a label, many at a time."""
  templates = [Template.of(kind, length, labels.itemsize) for length in kind.lengths]
  step = max(1, _CHUNK_BYTES // int(np.mean([len(t.frame) for t in templates])))
  for start in range(0, len(labels), step):
    chunk = labels[start : start + step]
    which = rng.integers(len(templates), size=len(chunk))
    frames: list[memoryview] = [memoryview(b'')] * len(chunk)
    for i, template in enumerate(templates):
      rows = np.flatnonzero(which == i)
      made = memoryview(template.fill(kind, chunk[rows], rng))
      size = len(template.frame)
      for j, row in enumerate(rows.tolist()):
        frames[row] = made[j * size : (j + 1) * size]
    yield b''.join(frames)


@dataclass(frozen=True)
class Template:
  """A frame of a record of one length, to be filled with values, label and checksum.

  Attributes:
    frame: length of the record, its CRC, the record, room for the record's CRC.
    length: of the record's values.
    values_at: where the values begin in the frame.
    label_bytes: that the label takes at the end of the record, 1 or 2.
  """

  frame: bytes
  length: int
  values_at: int
  label_bytes: int = 1

  @classmethod
  def of(cls, kind: Kind, length: int, label_bytes: int = 1) -> Template:
    """Returns the template for records of so many values."""
    values = b'\xff' * (length * np.dtype(kind.values).itemsize)
    feature = _field(2 if kind.values == 'float32' else 1, _field(1, values))
    entries = _entry(b'x', feature) + _entry(b'label', _field(3, _field(1, bytes(label_bytes))))
    record = _field(1, entries)
    size = len(record).to_bytes(8, 'little')
    crc = _masked(np.array([google_crc32c.value(size)], np.uint32)).tobytes()
    frame = size + crc + record + bytes(4)
    return cls(frame, length, frame.index(values), label_bytes)

  def fill(self, kind: Kind, labels: Labels, rng: np.random.Generator) -> bytes:
    """Returns one frame a label."""
    n, size = len(labels), len(self.frame)
    frames = np.tile(np.frombuffer(self.frame, np.uint8), (n, 1))
    values = kind.draw(n, self.length, rng)
    frames[:, self.values_at : self.values_at + values.shape[1]] = values
    if self.label_bytes == 1:
      frames[:, -5] = labels
    else:  # seven bits each, the low ones first, with a mark that more follow
      frames[:, -6], frames[:, -5] = (labels & 127) | 128, labels >> 7
    data = frames.tobytes()
    records = (data[i + 12 : i + size - 4] for i in range(0, n * size, size))
    crcs = np.fromiter(map(google_crc32c.value, records), np.uint32, n)
    frames[:, -4:] = _masked(crcs).astype('<u4').view(np.uint8).reshape(n, 4)
    return frames.tobytes()


def _masked(crcs: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
  """Returns the CRCs as TFRecord stores them."""
  return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(0xA282EAD8)


def _entry(name: bytes, feature: bytes) -> bytes:
  """Returns a serialized entry of `Features.feature`."""
  return _field(1, _field(1, name) + _field(2, feature))


def _field(number: int, payload: bytes) -> bytes:
  """Returns a serialized field of a protocol buffer that has a length."""
  n, length = len(payload), b''
  while n >= 128:
    length += bytes([n % 128 + 128])
    n //= 128
  return bytes([number << 3 | 2]) + length + bytes([n]) + payload
