"""Records in a bucket, and components that read and write them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx.types import channel_utils
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord import object_store

from tests.helpers_examples import all_bytes, example, examples_artifact, write_splits
from tests.helpers_pipeline import run_executor
from tests.objectstore.storage_proxy import FAULTS

SPLIT = 'all'
COUNTS = {0: 3000, 1: 1200, 2: 500, 3: 200, 4: 100}
SPLITS = {'train': 8, 'eval': 1, 'test': 1}
WRITERS: dict[Any, dict[str, Any]] = {
  StratifiedSplitter: {'stratify_by': 'label', 'splits': SPLITS, 'seed': 3},
  BalancedAugmenter: {'label': 'label', 'splits': (SPLIT,), 'seed': 3},
  BalancedInputGen: {'label': 'label', 'train_splits': (SPLIT,), 'seed': 3},
}
"""Arguments of each component that writes `Examples`."""
RATES = {name: 0.01 if name == 'stall' else 0.04 for name in FAULTS}
"""Share of the requests that meets each fault."""
CUSTOM = {'payload_format': 'FORMAT_TF_EXAMPLE', 'tfx_version': '1.16.0'}


def write_input(folder: Path) -> Path:
  """Writes a split of six files, whose last one holds no record, and returns its folder."""
  classes = [label for label, n in COUNTS.items() for _ in range(n)]
  records = [example(label=label, id=i, group=i % 900) for i, label in enumerate(classes)]
  return write_splits(folder, {SPLIT: [*(records[i::5] for i in range(5)), []]})


def put_folder(bucket, folder: Path, key: str) -> str:
  """Copies a folder into a bucket, past the proxy; returns its path there."""
  for name, data in all_bytes(folder).items():
    bucket.write(f'{key}/{name}', data)
  return f'{bucket.uri}/{key}'


def objects(bucket, key: str) -> dict[str, bytes]:
  """Returns the bytes of every object below a folder, by its name there, past the proxy."""
  return {name.removeprefix(f'{key}/'): bucket.read(name) for name in bucket.keys(f'{key}/')}


def execute_at(component_class, artifacts, uri: str, folder: Path, sizes=SIZES, **arguments):
  """Runs a component's executor; returns its output artifacts by their keys.

  Args:
    component_class: Class of the component.
    artifacts: Input artifacts by the name of the constructor's argument.
    uri: Folder of the output `examples`; another output is in uri.<its key>.
    folder: Folder of the runner on this machine.
    sizes: Sizes of what is read, held and written.
    **arguments: Arguments of the component.
  """
  channels = {name: channel_utils.as_channel([each]) for name, each in artifacts.items()}
  return run_executor(component_class(**channels, **arguments), uri, str(folder / 'tmp'), sizes)


def input_examples(uri: str):
  """Returns the artifact of a split that `write_input` wrote."""
  return examples_artifact(uri, [SPLIT], CUSTOM)


def be_impatient(monkeypatch) -> None:
  """Has a server that is silent while it is read from be asked again after a second."""
  real = object_store._bucket

  def impatient(*args):
    limits = dict(args[4])
    if 'read_timeout' in limits:  # of what is read; what is sent has a limit for the whole
      limits['read_timeout'] = '1s'
    return real(*args[:4], tuple(limits.items()), *args[5:])

  impatient.cache_info, impatient.cache_clear = real.cache_info, real.cache_clear
  monkeypatch.setattr(object_store, '_bucket', impatient)
