"""The same records three times: mixed, in a file a class, and as BalancedInputGen lays them out.

All is kept in the cache folder, beside the mixed files.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.data import SPLIT, DataFiles
from benchmarks.measure import Work


@dataclass(frozen=True)
class InputFiles:
  """Files that are there.

  Attributes:
    mixed: the root of an artifact whose records are in random order.
    by_class: a folder with one gzip file a class, named by its label.
    artifact: what BalancedInputGen wrote.
    records: in each of the three.
    first_label: labels count up from it.
    classes: how many there are.
    images: whether records are PNG images.
  """

  mixed: str
  by_class: str
  artifact: str
  records: int
  first_label: int
  classes: int
  images: bool

  def mixed_paths(self) -> list[str]:
    """Returns the mixed files, in order."""
    return sorted(str(path) for path in Path(self.mixed, f'Split-{SPLIT}').iterdir())

  def class_paths(self) -> list[str]:
    """Returns the file of each class."""
    labels = range(self.first_label, self.first_label + self.classes)
    return [f'{self.by_class}/{label}.gz' for label in labels]


def lay_out(
  data: dict[str, Any], first_label: int, classes: int, images: bool, beam_args: Sequence[str]
) -> Work:
  """Returns the work of laying mixed files out twice more, or finding it done: `InputFiles`."""
  root = data['folder']
  wanted = InputFiles(
    mixed=root,
    by_class=f'{root}-by-class',
    artifact=f'{root}-balanced-input',
    records=data['records'],
    first_label=first_label,
    classes=classes,
    images=images,
  )
  return Work(lambda: find_or_write(wanted, beam_args), check=asdict)


def find_or_write(files: InputFiles, beam_args: Sequence[str]) -> InputFiles:
  """Returns the files; what is missing is written first."""
  for folder, write in ((files.by_class, write_by_class), (files.artifact, write_artifact)):
    if not Path(folder).exists():
      with tempfile.TemporaryDirectory(dir=Path(folder).parent, prefix='part-') as temporary:
        Path(write(files, temporary, beam_args)).rename(folder)
  return files


def write_by_class(files: InputFiles, folder: str, beam_args: Sequence[str]) -> str:
  """Writes a file a class and returns their folder."""
  import tensorflow as tf  # not above: whoever asks for names and numbers need not wait for it

  part = replace(files, by_class=f'{folder}/part')
  Path(part.by_class).mkdir()
  records = tf.data.TFRecordDataset(files.mixed_paths(), 'GZIP').batch(4096)
  spec = {'label': tf.io.FixedLenFeature([], tf.int64)}
  found: list[list[bytes]] = [[] for _ in range(files.classes)]
  for batch in records:
    labels = tf.io.parse_example(batch, spec)['label'].numpy() - files.first_label
    for label, record in zip(labels.tolist(), batch.numpy(), strict=True):
      found[label].append(record)
  for path, own in zip(part.class_paths(), found, strict=True):
    with tf.io.TFRecordWriter(path, tf.io.TFRecordOptions('GZIP', compression_level=1)) as writer:
      for record in own:
        writer.write(record)
  return part.by_class


def write_artifact(files: InputFiles, folder: str, beam_args: Sequence[str]) -> str:
  """Runs BalancedInputGen and returns the root of what it wrote."""
  from tfx_balance import BalancedInputGen

  from benchmarks.one_component import import_examples, pipeline_work

  source = import_examples(DataFiles(files.mixed, files.records, 0, 0))
  component = BalancedInputGen(source.outputs['result'], train_splits=(SPLIT,))
  pipeline_work([source, component], f'{folder}/run', beam_args).run()
  (output,) = Path(folder, 'run', component.id, 'examples').iterdir()
  return shutil.move(output, f'{folder}/part')
