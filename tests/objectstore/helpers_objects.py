"""Records in a bucket, and components that read and write them there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfx.types import channel_utils
from tfx_balance import BalancedAugmenter, BalancedInputGen, StratifiedSplitter
from tfx_balance.sizes import SIZES
from tfx_balance.tfrecord import object_store

from tests.helpers_examples import all_bytes, example, examples_artifact, write_splits
from tests.helpers_pipeline import IN_MEMORY
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
  component = component_class(**channels, **arguments)
  outputs = {key: channel.type() for key, channel in component.outputs.items()}
  for key, artifact in outputs.items():
    artifact.uri = uri if key == 'examples' else f'{uri}.{key}'
    if '://' not in uri:
      Path(artifact.uri).mkdir(parents=True)
  executor_class = component.executor_spec.executor_class
  context = executor_class.Context(
    beam_pipeline_args=list(IN_MEMORY), tmp_dir=str(folder / 'tmp'), unique_id='1'
  )
  inputs = {key: channel.get() for key, channel in component.inputs.items()}
  executor = executor_class(context)
  executor.sizes = sizes
  executor.Do(
    {key: list(found) for key, found in inputs.items()},
    {key: [artifact] for key, artifact in outputs.items()},
    dict(component.exec_properties),
  )
  return outputs


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
