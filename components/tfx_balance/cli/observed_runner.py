"""LocalDagRunner with an observer of the start and end of each node."""

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager

from tfx.dsl.compiler import constants
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

Observer = Callable[[int, int, str], AbstractContextManager[None]]
"""Returns the context of a node's run from its number (from 1), the number of nodes, and its id."""


class ObservedRunner(LocalDagRunner):
  """LocalDagRunner that runs each node in the context of an observer.

  LocalDagRunner runs a whole pipeline in one call, without hooks, but leaves out nodes that are
  marked to be skipped. This runner therefore calls it once per node with all other nodes marked,
  and with the same run id, so that the metadata contains one run.
  """

  def __init__(self, observe: Observer):
    """Makes a runner with an observer."""
    super().__init__()
    self._observe = observe
    self.run_id = ''

  def run_with_ir(
    self,
    pipeline: pipeline_pb2.Pipeline,
    run_options: pipeline_pb2.RunOptions | None = None,
  ) -> None:
    """Runs the compiled pipeline node by node."""
    if run_options is not None:
      raise ValueError('ObservedRunner runs whole pipelines; use LocalDagRunner for partial runs')
    self.run_id = datetime.datetime.now().isoformat()
    runtime_parameter_utils.substitute_runtime_parameter(
      pipeline, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: self.run_id}
    )
    for number, node in enumerate(pipeline.nodes, start=1):
      node_id = node.pipeline_node.node_info.id
      with self._observe(number, len(pipeline.nodes), node_id):
        super().run_with_ir(only_node(pipeline, node_id))


def only_node(pipeline: pipeline_pb2.Pipeline, node_id: str) -> pipeline_pb2.Pipeline:
  """Returns a copy of the pipeline in which every other node is marked to be skipped."""
  copy = pipeline_pb2.Pipeline()
  copy.CopyFrom(pipeline)
  for node in copy.nodes:
    if node.pipeline_node.node_info.id != node_id:
      node.pipeline_node.execution_options.skip.SetInParent()
  return copy
