"""`tfx-balance balance`: copies of images until every class of the training part has as many."""

import argparse
import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tfx_balance.cli.file_split import check_new, link, named_once, show, whole_folder
from tfx_balance.cli.inspection import has_image_folders
from tfx_balance.cli.own_data import IMAGE_LABEL
from tfx_balance.cli.own_images import BATCH_IMAGES, find_images, visible
from tfx_balance.cli.progress import Progress
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.apportion import tie_break

TRAIN = 'train'  # the only part of a split that gets copies
LIST = 'copies.csv'


def add_arguments(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments of the command."""
  add = parser.add_argument
  text = (
    'folder of image folders, or what tfx-balance split made of one, of which train is balanced'
  )
  add('path', type=Path, metavar='PATH', help=text)
  text = 'options of ImageAugment, such as flip_left_right,brightness=0.2 (default: plain copies)'
  add('--augment', type=parse_augment, metavar='NAME[=VALUE],...', help=text)
  add('--seed', type=int, default=0, metavar='N', help='seed of the copies (default: 0)')
  text = 'new folder (default: balanced)'
  add('--output', type=Path, default='balanced', metavar='DIR', help=text)


def parse_augment(text: str) -> dict[str, Any]:
  """Returns arguments of `ImageAugment` by name.

  >>> parse_augment('flip_left_right,rotation=10')
  {'flip_left_right': True, 'rotation': 10.0}
  """
  parts = (part.partition('=') for part in text.split(','))
  try:
    pairs = ((name.strip(), float(value) if equals else True) for name, equals, value in parts)
    return named_once(text, pairs)
  except ValueError as error:
    raise argparse.ArgumentTypeError(
      f'{text!r} is not NAME[=NUMBER],...; write it as flip_left_right,brightness=0.2'
    ) from error


def run(options: argparse.Namespace) -> None:
  """Writes the folder, and a list of what is a copy of what; prints the images of each class.

  Raises:
    ConfigError: If an argument breaks a rule; nothing has been written.
    DataError: If the folder is of another structure, or an image cannot be decoded.
  """
  folder, output = options.path, options.output.resolve()
  check_new(output)
  if not folder.is_dir():
    raise ConfigError(f'{folder} is not a folder; pass a folder of image folders')
  is_whole = has_image_folders(folder)
  if not is_whole and not (folder / TRAIN).is_dir():
    raise ConfigError(
      f'{folder} has neither a folder of images for each class nor a folder {TRAIN!r} of these; '
      'pass one that has'
    )
  parts = [Path()] if is_whole else [Path(p.name) for p in visible(folder) if p.is_dir()]
  trained = parts[0] if is_whole else Path(TRAIN)
  classes = find_images(folder / trained)
  augment = None
  if options.augment is not None:
    from tfx_balance.augment import ImageAugment

    try:
      augment = ImageAugment(**options.augment)
    except TypeError as error:
      raise ConfigError(
        f'--augment {", ".join(options.augment)} is not of options of ImageAugment ({error}); see '
        'docs/cookbook/images.md'
      ) from error
  copies = plan_copies(classes, options.seed)
  n_files = len(copies) + sum(map(len, classes.values()))
  with whole_folder(output) as new, Progress('writing', n_files) as progress:
    for part in parts:
      entries = visible(folder / part)  # of which a class that is not trained may have none
      others = {path.name: visible(path) for path in entries if path.is_dir()}
      for name, paths in (classes if part == trained else others).items():
        (new / part / name).mkdir(parents=True)
        for path in paths:
          link(path, new / part / name / path.name)
        progress.add(len(paths) if part == trained else 0)
    for at in range(0, len(copies), BATCH_IMAGES):
      batch = copies[at : at + BATCH_IMAGES]
      targets = [new / trained / path.parent.name / name for path, name in batch]
      if augment is None:
        for (path, _), target in zip(batch, targets, strict=True):
          link(path, target)
      else:
        write_augmented(augment, [path for path, _ in batch], targets, options.seed)
      progress.add(len(batch))
    with (new / LIST).open('w', encoding='utf-8', newline='') as file:
      writer = csv.writer(file, lineterminator='\n')
      writer.writerow(('copy', 'original'))
      for path, name in copies:
        inner = trained / path.parent.name
        writer.writerow((inner / name, inner / path.name))
  names = sorted(classes)
  sizes = [max(map(len, classes.values()))] * len(names)
  codes = np.repeat(np.arange(len(names)), sizes)
  show(IMAGE_LABEL, names, codes, {TRAIN: np.arange(len(codes))}, output)
  print(f'{len(copies):,} of the images are copies, which {LIST} lists')


def plan_copies(classes: Mapping[str, Sequence[Path]], seed: int) -> list[tuple[Path, str]]:
  """Returns the original and the name of each copy: each class gets as many as the largest has.

  Images of a class have one number of copies, or one more: which, the seed and their names decide.

  Raises:
    DataError: If a copy would have the name of another image.
  """
  most = max(map(len, classes.values()))
  copies: list[tuple[Path, str]] = []
  for name, paths in classes.items():
    taken = {path.name for path in paths}
    ranked = sorted(
      paths, key=lambda path: tie_break(seed, 'copies', f'{path.parent.name}/{path.name}')
    )
    for i in range(len(paths), most):
      path = ranked[i % len(paths)]
      copy = f'copy-{i // len(paths)}-of-{path.name}'
      if copy in taken:
        raise DataError(
          f'{name} has an image called {copy}, which is the name of a copy; balance the folder '
          'without copies, or rename it'
        )
      copies.append((path, copy))
  return copies


def write_augmented(
  augment: Any, paths: Sequence[Path], targets: Sequence[Path], seed: int
) -> None:
  """Writes changed copies of images, each a function of the seed and the names alone.

  Raises:
    DataError: If an image cannot be decoded.
  """
  import tensorflow as tf

  texts = [f'{target.parent.name}/{target.name}' for target in targets]
  seeds = np.array([[tie_break(seed, 'augment', text), 0] for text in texts], np.uint64)
  images = tf.constant([path.read_bytes() for path in paths])
  try:
    made = augment.batch({augment.feature: images}, tf.constant(seeds.view(np.int64)))
  except (tf.errors.OpError, DataError) as error:
    raise DataError(
      f'an image of {paths[0]} to {paths[-1]} cannot be decoded as PNG or JPEG; convert it again, '
      'or remove it'
    ) from error
  for target, data in zip(targets, made[augment.feature].numpy(), strict=True):
    target.write_bytes(data)
