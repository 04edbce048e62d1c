from pathlib import Path

import tensorflow as tf

CLASSES = ['a', 'bb'] * 5  # of the fewest records that can be split


def make_example(row: dict) -> tf.train.Example:
  """A tf.Example whose features have a value each, several for a list, or none for None."""
  example = tf.train.Example()
  for name, value in row.items():
    feature = example.features.feature[name]
    for one in value if isinstance(value, list) else [value]:
      if isinstance(one, str | bytes):
        feature.bytes_list.value.append(one.encode() if isinstance(one, str) else one)
      elif isinstance(one, float):
        feature.float_list.value.append(one)
      elif one is not None:
        feature.int64_list.value.append(one)
  return example


def write_records(path: Path, rows: list[dict]) -> Path:
  """Writes tf.Examples, compressed if the name says so."""
  options = 'GZIP' if path.suffix == '.gz' else ''
  with tf.io.TFRecordWriter(str(path), options=options) as writer:
    for row in rows:
      writer.write(make_example(row).SerializeToString())
  return path


def write_table(path: Path, header: str, rows: list[str]) -> Path:
  """Writes a CSV file."""
  path.write_text('\n'.join([header, *rows]) + '\n', encoding='utf-8')
  return path


def write_image(path: Path, height: int, width: int, grey: int) -> Path:
  """Writes an image of one grey, PNG or JPEG as its name says."""
  path.parent.mkdir(parents=True, exist_ok=True)
  pixels = tf.fill([height, width, 1], tf.constant(grey, tf.uint8))
  encode = tf.io.encode_png if path.suffix == '.png' else tf.io.encode_jpeg
  path.write_bytes(encode(pixels).numpy())
  return path
