"""A LocalDagRunner that tells when each node starts and ends."""

import datetime
from collections.abc import Callable
from contextlib import AbstractContextManager

from tfx.dsl.compiler import constants
from tfx.orchestration.local.local_dag_runner import LocalDagRunner
from tfx.orchestration.portable import runtime_parameter_utils
from tfx.proto.orchestration import pipeline_pb2

Observer = Callable[[int, int, str], AbstractContextManager[None]]
"""Called with a node's number (from 1), how many there are, and its id; entered while it runs."""


class ObservedRunner(LocalDagRunner):
  """Runs a pipeline as LocalDagRunner does, with an observer around each node.

  LocalDagRunner runs a whole pipeline in one call and has no hooks. But it leaves out the nodes
  that are marked to be skipped, so this runner calls it once a node with all others so
  marked, and with the same run id: in the metadata it is one run.
  """

  def __init__(self, observe: Observer):
    """Takes what to call around each node."""
    super().__init__()
    self._observe = observe
    self.run_id = ''

  def run_with_ir(
    self,
    pipeline: pipeline_pb2.Pipeline,
    run_options: pipeline_pb2.RunOptions | None = None,
  ) -> None:
    """Runs the compiled pipeline, node by node."""
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
