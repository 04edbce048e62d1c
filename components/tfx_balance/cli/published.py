"""URIs of the artifacts that a run published, from its metadata."""

from typing import TypeAlias

from ml_metadata.metadata_store import metadata_store
from ml_metadata.proto import metadata_store_pb2

PublishedArtifacts: TypeAlias = dict[tuple[str, str], str]
"""URIs of the artifacts that a run published, by node id and output key."""


def read_published(
  connection: metadata_store_pb2.ConnectionConfig, run_id: str
) -> PublishedArtifacts:
  """Returns the artifacts that a run published, one per output."""
  store = metadata_store.MetadataStore(connection)
  context = store.get_context_by_type_and_name('pipeline_run', run_id)
  if context is None:
    raise KeyError(f'the metadata has no run {run_id!r}')
  uris: PublishedArtifacts = {}
  for artifact in store.get_artifacts_by_context(context.id):
    if artifact.state == metadata_store_pb2.Artifact.LIVE:
      node, key, _ = artifact.uri.rsplit('/', 3)[1:]  # TFX's layout: root/node/key/execution
      uris[node, key] = artifact.uri
  return uris
