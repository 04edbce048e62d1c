"""URIs of the artifacts that a run published, from its metadata."""

from dataclasses import dataclass, field

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2


@dataclass(frozen=True)
class PublishedArtifacts:
  """URIs of the artifacts that a run published, by node id and output key."""

  uris: dict[tuple[str, str], str] = field(default_factory=dict)

  def has(self, node: str, key: str) -> bool:
    """Returns whether the run published that output."""
    return (node, key) in self.uris

  def uri(self, node: str, key: str) -> str:
    """Returns the URI of a published output of a node."""
    if not self.has(node, key):
      raise KeyError(f'{node} published no {key!r}; this run has {sorted(self.uris)}')
    return self.uris[node, key]


def read_published(
  connection: metadata_store_pb2.ConnectionConfig, run_id: str
) -> PublishedArtifacts:
  """Returns the artifacts that a run published, one per output."""
  store = metadata_store.MetadataStore(connection)
  context = store.get_context_by_type_and_name('pipeline_run', run_id)
  if context is None:
    raise KeyError(f'the metadata has no run {run_id!r}')
  nodes = {e.id: node_id(store, e.id) for e in store.get_executions_by_context(context.id)}
  artifacts = {a.id: a for a in store.get_artifacts_by_context(context.id)}
  uris = {}
  for event in store.get_events_by_execution_ids(list(nodes)):
    artifact = artifacts.get(event.artifact_id)
    if event.type != metadata_store_pb2.Event.OUTPUT or artifact is None:
      continue
    if artifact.state == metadata_store_pb2.Artifact.LIVE:
      uris[nodes[event.execution_id], event.path.steps[0].key] = artifact.uri
  return PublishedArtifacts(uris)


def node_id(store: metadata_store.MetadataStore, execution_id: int) -> str:
  """Returns the pipeline node id of an execution."""
  contexts = store.get_contexts_by_execution(execution_id)
  types = {t.id: t.name for t in store.get_context_types()}
  name = next(c.name for c in contexts if types[c.type_id] == 'node')
  return name.rsplit('.', 1)[-1]
