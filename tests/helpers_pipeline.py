"""Components run for tests: alone through their executor, or in a pipeline by LocalDagRunner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import ml_metadata as mlmd
import tfx.v1 as tfx
from ml_metadata.proto import metadata_store_pb2
from tfx import types
from tfx.dsl.components.base import base_beam_component, base_node
from tfx.types import channel_utils, standard_artifacts
from tfx_balance.sizes import SIZES, Sizes

from tests.helpers_examples import examples_artifact, write_splits

# With a container image, which these runners do not use, TFX does not package itself for remote
# workers; that takes a second for each executor. Beam's default runner tries to download another.
_NO_PACKAGE = '--sdk_container_image=none'
IN_MEMORY = (
  '--runner=FnApiRunner',
  '--direct_running_mode=in_memory',
  '--direct_num_workers=1',
  _NO_PACKAGE,
)
# Each worker imports TensorFlow, for seconds. One shows that all that a step needs reaches it.
# Several share work files in the augmenter's test, and in those of every component on Flink.
WORKER_PROCESS = ('--direct_running_mode=multi_processing', '--direct_num_workers=1', _NO_PACKAGE)
# Beam runs every bundle once more, and throws the first result away, as where a worker is lost.
BUNDLES_TWICE = (*IN_MEMORY, '--direct_runner_bundle_repeat=1')
WORKER_PROCESSES = (*WORKER_PROCESS, '--direct_num_workers=2')


def input_artifact(
  folder: Path, splits: Mapping[str, Any], suffix: str = '.gz', **artifact: Any
) -> standard_artifacts.Examples:
  """Writes split name to shards into a folder, and returns the artifact that names it."""
  return examples_artifact(write_splits(folder, splits, suffix), splits, **artifact)


def execute(
  component_class: type[base_beam_component.BaseBeamComponent],
  artifacts: Sequence[types.Artifact],
  output_uri: Path,
  sizes: Sizes = SIZES,
  beam_args: Sequence[str] = IN_MEMORY,
  **arguments: Any,
) -> standard_artifacts.Examples:
  """Runs a component's executor on artifacts, with the properties that its constructor makes.

  Returns the output `examples`, which is at output_uri; another one is at output_uri.<its key>.
  """
  if 'extend' in arguments:
    channel = types.Channel(type=standard_artifacts.Examples)
    arguments['extend'] = channel.set_artifacts(arguments['extend'])
  component = component_class(examples=channel_utils.as_channel(list(artifacts)), **arguments)
  return run_executor(component, str(output_uri), f'{output_uri}.tmp', sizes, beam_args)['examples']


def run_executor(
  component: base_beam_component.BaseBeamComponent,
  uri: str | Mapping[str, str],
  tmp_dir: str,
  sizes: Sizes = SIZES,
  beam_args: Sequence[str] = IN_MEMORY,
) -> dict[str, types.Artifact]:
  """Runs a component's executor on what its channels have; returns the outputs by their keys.

  Args:
    component: The component.
    uri: Folder of each output by its key; or of `examples`, beside which others are at uri.<key>.
    tmp_dir: Folder of the runner on this machine.
    sizes: Sizes of what is read, held and written.
    beam_args: Arguments of Beam.
  """
  outputs = {key: channel.type() for key, channel in component.outputs.items()}
  for key, artifact in outputs.items():
    beside = uri if key == 'examples' else f'{uri}.{key}'
    artifact.uri = beside if isinstance(uri, str) else uri[key]
    if '://' not in artifact.uri:
      Path(artifact.uri).mkdir(parents=True, exist_ok=True)
  executor_class = component.executor_spec.executor_class
  context = executor_class.Context(
    beam_pipeline_args=list(beam_args), tmp_dir=tmp_dir, unique_id='1'
  )
  executor = executor_class(context)
  executor.sizes = sizes
  executor.Do(
    {key: list(channel.get()) for key, channel in component.inputs.items()},
    {key: [artifact] for key, artifact in outputs.items()},
    dict(component.exec_properties),
  )
  return outputs


def importer(artifact: types.Artifact, name: str = 'Importer') -> tfx.dsl.Importer:
  """Returns a node that publishes an artifact as it is."""
  known = artifact.mlmd_artifact
  return tfx.dsl.Importer(
    source_uri=artifact.uri,
    artifact_type=type(artifact),
    properties={
      key: value.int_value if value.HasField('int_value') else value.string_value
      for key, value in known.properties.items()
    },
    custom_properties={key: value.string_value for key, value in known.custom_properties.items()},
  ).with_id(name)


def run_pipeline(
  folder: Path,
  components: Iterable[base_node.BaseNode],
  beam_args: Sequence[str] = IN_MEMORY,
  root: str | None = None,
) -> Published:
  """Runs components by LocalDagRunner, and returns what was published.

  Args:
    folder: Folder of the metadata, and of the artifacts if there is no root for them.
    components: Components of the pipeline.
    beam_args: Arguments for Beam.
    root: Folder of the artifacts.
  """
  published = Published(folder, root)
  pipeline = tfx.dsl.Pipeline(
    pipeline_name='test',
    pipeline_root=published.root,
    components=list(components),
    metadata_connection_config=published.config,
    beam_pipeline_args=list(beam_args),
  )
  tfx.orchestration.LocalDagRunner().run(pipeline)
  return published


class Published:
  """What ML Metadata has of the pipeline that ran in a folder."""

  def __init__(self, folder: Path, root: str | None = None) -> None:
    self.folder = folder
    self.root = root or str(folder / 'root')
    path = str(folder / 'metadata.sqlite')
    self.config = tfx.orchestration.metadata.sqlite_metadata_connection_config(path)

  @property
  def store(self) -> mlmd.MetadataStore:
    return mlmd.MetadataStore(self.config)

  def of_node(self, node: str, type_name: str = 'Examples') -> list[metadata_store_pb2.Artifact]:
    """Returns the artifacts that a node published, oldest first."""
    root = f'{self.root}/{node}/'
    found = self.store.get_artifacts_by_type(type_name)
    return sorted((a for a in found if a.uri.startswith(root)), key=lambda a: a.id)

  def files(self, node: str) -> list[Path]:
    """Returns every file that a node left under the pipeline's root, but for its executor's."""
    root = self.folder / 'root' / node
    return sorted(
      path for path in root.rglob('*') if path.is_file() and '.system' not in path.parts
    )

  def states(self) -> list[str]:
    """Returns the states of all executions, oldest first."""
    state = metadata_store_pb2.Execution.State
    found = sorted(self.store.get_executions(), key=lambda execution: execution.id)
    return [state.Name(execution.last_known_state) for execution in found]


def in_new_folders(component_class: type[base_beam_component.BaseBeamComponent], folder: Path):
  """Returns a function that executes a component into a new folder below this one each time.

  It takes artifacts, or split name to shards, and arguments; `name` is the folder's.
  """
  made: list[str] = []

  def run(*inputs: Any, suffix: str = '.gz', name: str | None = None, **arguments: Any):
    made.append(name or f'out{len(made)}')
    artifacts = [
      input_artifact(folder / f'{made[-1]}-in{i}', each, suffix) if isinstance(each, dict) else each
      for i, each in enumerate(inputs)
    ]
    return execute(component_class, artifacts, folder / made[-1], **arguments)

  return run
