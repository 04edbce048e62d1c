"""TFRecord files of random tf.Examples, generated quickly and cached in a folder.

Every value is drawn independently: repeated records would compress better than real ones, and
bias the measured decompression. A record has a list of values, `x`, or a PNG, `image`, and a class,
`label`. A PNG or JPEG compresses about as well as a photograph.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import numpy.typing as npt
from isal import isal_zlib

from benchmarks.harness import Work

SPLIT = 'all'
"""Name of the only split."""
CLASS_PERCENT = (60, 25, 10, 4, 1)
"""Shares of 5 classes, whose labels are 0 to 4; other numbers of classes have a long tail."""
_LONG_TAIL = 10  # the share of class i is proportional to 1 / (i + _LONG_TAIL)
_ONE_BYTE = 128  # smaller labels take one byte, others two

_VERSION = 3  # of the file contents; raising it invalidates cached files
_CHUNK_BYTES = 8 << 20  # generated at a time
_LEVELS = {'isal': 1, 'zlib': 6}
_GZIP_WINDOW = 31  # selects a gzip header in zlib
_NOISE = 4.0  # standard deviation of pixel values 0..255

BYTES, FLOATS, INTS = 1, 2, 3
"""Numbers of the fields of `Feature`, each a list of values."""
_OTHER_BYTES = 60  # of a record, about, beside its values

Bytes = npt.NDArray[np.uint8]
Labels = npt.NDArray[Any]
"""Labels of records: uint8, or uint16 if all take two bytes."""


KINDS = {'small': (20,), '4k': tuple(range(768, 1281, 32))}
"""Numbers of floats per record, chosen with equal probability; values are normally distributed."""


@dataclass(frozen=True)
class DataSpec:
  """Specification of input files: kind and number of records, number of classes and of files.

  The kind is one of `KINDS`, or for images 'png' or 'jpeg' with side, side and channels, as in
  'png64x64x3'.
  Labels start at 0 or, with more than 128 classes, at 128.
  """

  kind: str
  records: int
  shards: int
  compressor: str = 'isal'
  seed: int = 0
  classes: int = len(CLASS_PERCENT)

  def __post_init__(self) -> None:
    if self.kind not in KINDS and not any(self.image_shape):
      raise ValueError(f'kind {self.kind!r} is not in {[*KINDS, "png64x64x3"]}; use one of these')
    if self.compressor not in _LEVELS:
      raise ValueError(f'compressor {self.compressor!r} is not in {list(_LEVELS)}; use one')
    if not 0 < self.shards <= self.records:
      raise ValueError(
        f'{self.records} records cannot fill {self.shards} shards; '
        f'use at least one shard, and one record for each'
      )
    if not 0 < self.classes <= (1 << 14) - _ONE_BYTE:
      raise ValueError(
        f'{self.classes} classes do not fit into labels of two bytes; use 1 to 16,256'
      )

  @classmethod
  def parse(cls, text: str) -> DataSpec:
    """Returns the specification written as KIND:RECORDS:SHARDS[:CLASSES[:COMPRESSOR]]."""
    found = re.fullmatch(r'(\w+):([\d_,]+):(\d+)(?::(\d+))?(?::(\w+))?', text)
    if not found:
      raise ValueError(f'{text!r} is not KIND:RECORDS:SHARDS, such as small:500000:8')
    kind, records, shards, classes, compressor = found.groups()
    n, many = int(re.sub('[_,]', '', records)), int(classes or len(CLASS_PERCENT))
    return cls(kind, n, int(shards), compressor or 'isal', classes=many)

  @property
  def image_shape(self) -> tuple[int, int]:
    """Side in pixels and number of channels of an image; zeros for other records."""
    found = re.fullmatch(r'(?:png|jpeg)(\d+)x\1x([13])', self.kind)
    return (int(found[1]), int(found[2])) if found else (0, 0)

  @property
  def folder_name(self) -> str:
    """Name of the folder of these files."""
    parts = (self.kind, self.records, self.shards, self.compressor, self.seed, f'v{_VERSION}')
    return '-'.join(map(str, (*parts, f'{self.classes}-classes')))

  def class_counts(self) -> tuple[int, ...]:
    """Returns the number of records of each class."""
    share = np.array(CLASS_PERCENT) / 100
    if self.classes != len(share):
      share = 1 / (np.arange(self.classes) + _LONG_TAIL)
    edges = np.round(np.concatenate([[0], np.cumsum(share) / share.sum()]) * self.records, 6)
    return tuple(int(n) for n in np.diff(edges.astype(int)))

  @property
  def first_label(self) -> int:
    """Label of the first class."""
    return 0 if self.classes <= _ONE_BYTE else _ONE_BYTE


@dataclass(frozen=True)
class DataFiles:
  """Existing input files in the root of an `Examples` artifact, and their size."""

  spec: DataSpec
  folder: str
  raw_bytes: int  # decompressed
  file_bytes: int

  @classmethod
  def from_json(cls, data: dict[str, Any]) -> DataFiles:
    """Returns the files that `asdict` converted."""
    return cls(**{**data, 'spec': DataSpec(**data['spec'])})

  @property
  def records(self) -> int:
    """Number of records in all files."""
    return self.spec.records

  @property
  def fresh_bytes(self) -> int:
    """Bytes of work files and output of the same size, with a margin; see `touch_memory`."""
    return 3 * (self.raw_bytes + self.file_bytes)

  @property
  def split_folder(self) -> str:
    """Folder of the files."""
    return f'{self.folder}/Split-{SPLIT}'

  @property
  def by_class(self) -> str:
    """Folder with one gzip file per class, which `lay_out` makes."""
    return f'{self.folder}-by-class'

  @property
  def artifact(self) -> str:
    """Folder of the output of BalancedInputGen, which `lay_out` makes."""
    return f'{self.folder}-balanced-input'

  @property
  def arrays(self) -> str:
    """File of the records as arrays, which `benchmarks.batches` makes."""
    return f'{self.folder}.npz'

  def paths(self) -> list[str]:
    """Returns the sorted paths of the files."""
    return sorted(str(path) for path in Path(self.split_folder).iterdir())

  def class_paths(self, folder: str | None = None) -> list[str]:
    """Returns the path of each class's file, which is named after its label."""
    first = self.spec.first_label
    labels = range(first, first + self.spec.classes)
    return [f'{folder or self.by_class}/{label}.gz' for label in labels]


def make(spec: dict[str, Any], cache: str, beam_args: Any = None) -> Work:
  """Returns the work of making files unless they are cached; its result is `DataFiles` as JSON."""
  return Work(lambda: asdict(find_or_write(DataSpec(**spec), Path(cache))))


def find_or_write(spec: DataSpec, cache: Path) -> DataFiles:
  """Returns the files in a cache folder, which are written if missing."""
  folder = cache / spec.folder_name
  if not folder.exists():
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix='part-') as temporary:
      part = Path(temporary, 'part')
      (part / f'Split-{SPLIT}').mkdir(parents=True)
      sizes = write_files(spec, part / f'Split-{SPLIT}')
      (part / 'sizes.json').write_text(json.dumps(sizes))
      part.rename(folder)
  return DataFiles(spec, str(folder), **json.loads((folder / 'sizes.json').read_text()))


def lay_out(spec: dict[str, Any], cache: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of `make`, plus files by class and the output of BalancedInputGen."""

  def run() -> dict[str, Any]:
    files = find_or_write(DataSpec(**spec), Path(cache))
    for folder, write in ((files.by_class, write_by_class), (files.artifact, write_artifact)):
      if not Path(folder).exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix='part-') as temporary:
          Path(write(files, temporary, beam_args)).rename(folder)
    return asdict(files)

  return Work(run)


def write_by_class(files: DataFiles, temporary: str, beam_args: Sequence[str]) -> str:
  """Writes one file per class and returns their folder."""
  import tensorflow as tf  # imported here to keep the import of this module fast

  folder = Path(temporary, 'part')
  folder.mkdir()
  records = tf.data.TFRecordDataset(files.paths(), 'GZIP').batch(4096)
  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  found: list[list[bytes]] = [[] for _ in range(files.spec.classes)]
  for batch in records:
    labels = tf.io.parse_example(batch, spec)['label'].numpy() - files.spec.first_label
    for label, record in zip(labels.tolist(), batch.numpy(), strict=True):
      found[label].append(record)
  for path, own in zip(files.class_paths(str(folder)), found, strict=True):
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions('GZIP', compression_level=1)) as writer:
      for record in own:
        writer.write(record)
  return str(folder)


def write_artifact(files: DataFiles, temporary: str, beam_args: Sequence[str]) -> str:
  """Runs BalancedInputGen and returns the root of its output."""
  from tfx_balance import BalancedInputGen

  from benchmarks.components import import_examples, pipeline_work

  source = import_examples(files)
  component = BalancedInputGen(source.outputs['result'], train_splits=(SPLIT,))
  pipeline_work([source, component], f'{temporary}/run', beam_args).run()
  (output,) = Path(temporary, 'run', component.id, 'examples').iterdir()
  return shutil.move(output, f'{temporary}/part')


def write_files(spec: DataSpec, folder: Path) -> dict[str, int]:
  """Writes the files and returns their sizes, as in `DataFiles`."""
  rng = np.random.default_rng(spec.seed)
  first = spec.first_label
  kind = np.uint8 if first + spec.classes <= _ONE_BYTE else np.uint16
  labels = np.repeat(np.arange(first, first + spec.classes, dtype=kind), spec.class_counts())
  rng.shuffle(labels)
  raw_bytes = file_bytes = 0
  for i, shard in enumerate(np.array_split(labels, spec.shards)):
    path = folder / f'data_tfrecord-{i:05d}-of-{spec.shards:05d}.gz'
    shape = spec.image_shape
    chunks = (
      _image_frames(spec, shard, rng) if any(shape) else _frames(KINDS[spec.kind], shard, rng)
    )
    raw_bytes += write_file(path, chunks, spec.compressor)
    file_bytes += path.stat().st_size
  return {'raw_bytes': raw_bytes, 'file_bytes': file_bytes}


def write_file(path: Path, chunks: Iterator[bytes], compressor: str) -> int:
  """Writes a gzip file and returns its decompressed size in bytes."""
  library = isal_zlib if compressor == 'isal' else zlib
  squeeze = library.compressobj(_LEVELS[compressor], zlib.DEFLATED, _GZIP_WINDOW)
  n_bytes = 0
  with path.open('wb') as file:
    for chunk in chunks:
      n_bytes += len(chunk)
      file.write(squeeze.compress(chunk))
    file.write(squeeze.flush())
  return n_bytes


def _frames(lengths: Sequence[int], labels: Labels, rng: np.random.Generator) -> Iterator[bytes]:
  """Yields chunks of TFRecord frames, one record per label."""
  step = max(1, _CHUNK_BYTES // int(4 * np.mean(lengths) + _OTHER_BYTES))
  for start in range(0, len(labels), step):
    chunk = labels[start : start + step]
    which = rng.integers(len(lengths), size=len(chunk))
    parts = []
    for i, length in enumerate(lengths):
      of = chunk[which == i]
      values = rng.standard_normal((len(of), length), np.float32).view(np.uint8)
      parts.append(make_frames({'x': (FLOATS, values), 'label': (INTS, varints(of))}))
    yield in_order(parts, which)


def varints(values: Labels) -> Bytes:
  """Returns protobuf's form of integers that all take as many bytes: uint8 [n, bytes]."""
  shifts = np.arange(0, max(1, int(values.max(initial=0)).bit_length()), 7)
  found = ((values.astype(np.int64)[:, np.newaxis] >> shifts) & 127).astype(np.uint8)
  found[:, :-1] |= 128  # seven bits each, low bits first, with a continuation bit
  return found


def make_frames(columns: Mapping[str, tuple[int, Bytes]]) -> Bytes:
  """Returns TFRecord frames of one size: uint8 [n, bytes].

  Args:
    columns: Features by name: number of the field of `Feature`, and the values of each record in
      their list as serialized, uint8 [n, bytes].
  """
  entries = [
    _entry(name.encode(), _field(kind, _field(1, bytes(values.shape[1]))))
    for name, (kind, values) in columns.items()
  ]
  template = _framed(_field(1, b''.join(entries)))
  n = len(next(iter(columns.values()))[1])
  frames = np.tile(np.frombuffer(template, np.uint8), (n, 1))
  end = len(template) - 4 - sum(map(len, entries))
  for entry, (_, values) in zip(entries, columns.values(), strict=True):
    end += len(entry)
    frames[:, end - values.shape[1] : end] = values
  data, size = frames.tobytes(), len(template)
  records = (data[i + 12 : i + size - 4] for i in range(0, n * size, size))
  crcs = np.fromiter(map(google_crc32c.value, records), np.uint32, n)
  frames[:, -4:] = _masked(crcs).astype('<u4').view(np.uint8).reshape(n, 4)
  return frames


def in_order(parts: Sequence[Bytes], which: npt.NDArray[np.int64]) -> bytes:
  """Returns the frames of several parts, each record from the part that `which` tells: [n]."""
  frames: list[memoryview] = [memoryview(b'')] * len(which)
  for i, part in enumerate(parts):
    made, size = memoryview(part.tobytes()), part.shape[1]
    for j, row in enumerate(np.flatnonzero(which == i).tolist()):
      frames[row] = made[j * size : (j + 1) * size]
  return b''.join(frames)


def _image_frames(spec: DataSpec, labels: Labels, rng: np.random.Generator) -> Iterator[bytes]:
  """Yields the TFRecord frame of one image per label."""
  from tensorflow import io  # imported here to keep the import of this module fast

  encode = io.encode_png if spec.kind.startswith('png') else io.encode_jpeg
  for label in labels.tolist():
    image = encode(draw_image(*spec.image_shape, rng)).numpy()
    entries = _entry(b'image', _field(1, _field(1, image)))
    record = _field(1, entries + _entry(b'label', _field(3, _field(1, bytes([label])))))
    yield _framed(record)


def draw_image(side: int, channels: int, rng: np.random.Generator) -> npt.NDArray[np.uint8]:
  """Returns an image of a few waves and some noise, uint8 [side, side, channels]."""
  rows, columns = np.mgrid[0:side, 0:side] / side
  image = np.full((side, side, channels), 128.0)
  for amplitude in (60.0, 30.0, 15.0):
    down, right = rng.uniform(-3, 3, 2)
    phases = rng.uniform(0, 2 * np.pi, channels)
    wave = 2 * np.pi * (down * rows + right * columns)
    image += amplitude * np.sin(wave[..., np.newaxis] + phases)
  image += rng.normal(0, _NOISE, image.shape)
  return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _framed(record: bytes) -> bytes:
  """Returns the TFRecord frame of a record."""
  size = len(record).to_bytes(8, 'little')
  crcs = _masked(np.array([google_crc32c.value(size), google_crc32c.value(record)], np.uint32))
  return size + crcs[:1].tobytes() + record + crcs[1:].tobytes()


def _masked(crcs: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
  """Returns the masked CRCs, as stored in TFRecord files."""
  return ((crcs >> np.uint32(15)) | (crcs << np.uint32(17))) + np.uint32(0xA282EAD8)


def _entry(name: bytes, feature: bytes) -> bytes:
  """Returns a serialized entry of `Features.feature`."""
  return _field(1, _field(1, name) + _field(2, feature))


def _field(number: int, payload: bytes) -> bytes:
  """Returns a serialized length-delimited field of a protocol buffer."""
  n, length = len(payload), b''
  while n >= 128:
    length += bytes([n % 128 + 128])
    n //= 128
  return bytes([number << 3 | 2]) + length + bytes([n]) + payload
