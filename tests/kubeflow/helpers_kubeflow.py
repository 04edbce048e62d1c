"""A compiled pipeline run task by task, each told what Kubeflow tells it.

What KFP does to artifacts on their way from one task to the next, as seen in the driver and the
launcher of its back end (v2.5 to v2.14), in its local runner, and on Vertex AI.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

RunTask = Callable[[Sequence[str]], None]


def load_package(path: str | Path) -> list[dict[str, Any]]:
  """Returns the documents of a compiled pipeline: its specification, and the platform's if any."""
  return list(yaml.safe_load_all(Path(path).read_text()))


class Backend:
  """Runs the tasks of a PipelineSpec in order; remembers what each was told and published.

  Attributes:
    told: task to its ExecutorInput.
    published: (task, output) to its artifact as the metadata store has it.
  """

  def __init__(self, spec: dict[str, Any], root: str, folder: Path) -> None:
    self.spec, self.root, self.folder = spec, root, folder
    self.told: dict[str, dict[str, Any]] = {}
    self.published: dict[tuple[str, str], dict[str, Any]] = {}

  def run(self, run_task: RunTask) -> None:
    """Runs all tasks; raises what one raises."""
    for name in self.order():
      self.run_one(name, run_task)

  def order(self) -> Iterator[str]:
    """Yields the names of tasks, each after those that it depends on."""
    waiting = dict(self.spec['root']['dag']['tasks'])
    while waiting:
      ready = [
        name
        for name, task in waiting.items()
        if not set(task.get('dependentTasks', ())) & set(waiting)
      ]
      for name in sorted(ready):
        del waiting[name]
        yield name

  def run_one(self, name: str, run_task: RunTask) -> None:
    """Runs a task, and stores what it says that its outputs are."""
    executor_input = self.executor_input(name)
    self.told[name] = executor_input
    run_task(self.arguments(name, executor_input))
    output_file = Path(executor_input['outputs']['outputFile'])
    written = json.loads(output_file.read_text()).get('artifacts', {})
    for key, given in executor_input['outputs']['artifacts'].items():
      (artifact,) = given['artifacts']
      (found,) = written.get(key, {'artifacts': [{}]})['artifacts']
      metadata = {**artifact.get('metadata', {}), **found.get('metadata', {})}
      self.published[name, key] = {
        'name': self.stored_name(found),
        'uri': found.get('uri') or artifact['uri'],
        'metadata': {k: self.stored(v) for k, v in metadata.items()},
      }

  def arguments(self, name: str, executor_input: dict[str, Any]) -> list[str]:
    """Returns the arguments of a task's command, placeholders filled in."""
    container = self.container(name)
    return [a.replace('{{$}}', json.dumps(executor_input)) for a in container['args']]

  def container(self, name: str) -> dict[str, Any]:
    """Returns a task's PipelineContainerSpec."""
    label = self.component(name)['executorLabel']
    return self.spec['deploymentSpec']['executors'][label]['container']

  def component(self, name: str) -> dict[str, Any]:
    """Returns a task's ComponentSpec."""
    task = self.spec['root']['dag']['tasks'][name]
    return self.spec['components'][task['componentRef']['name']]

  def executor_input(self, name: str) -> dict[str, Any]:
    """Returns what a task is told."""
    inputs = self.spec['root']['dag']['tasks'][name].get('inputs', {})
    component = self.component(name)
    return {
      'inputs': {
        'parameterValues': {
          key: value['runtimeValue']['constant']
          for key, value in inputs.get('parameters', {}).items()
        },
        'artifacts': {
          key: {'artifacts': [self.as_input(component, key, source['taskOutputArtifact'])]}
          for key, source in inputs.get('artifacts', {}).items()
        },
      },
      'outputs': {
        'outputFile': str(self.folder / name / 'kfp_outputs' / 'output_metadata.json'),
        'artifacts': {
          key: {'artifacts': [self.as_output(name, key, declared)]}
          for key, declared in component['outputDefinitions']['artifacts'].items()
        },
      },
    }

  def as_output(self, name: str, key: str, declared: dict[str, Any]) -> dict[str, Any]:
    return {'uri': f'{self.root}/{name}/{key}', 'type': declared['artifactType']}

  def as_input(self, component: dict[str, Any], key: str, source: dict[str, Any]) -> dict[str, Any]:
    stored = self.published[source['producerTask'], source['outputArtifactKey']]
    return {**stored, 'type': self.type_of_input(component, key)}

  def type_of_input(self, component: dict[str, Any], key: str) -> dict[str, Any]:
    raise NotImplementedError

  def stored_name(self, found: dict[str, Any]) -> str:
    return found.get('name', '')

  def stored(self, value: Any) -> Any:
    return value


class OpenSourceKfp(Backend):
  """KFP in a cluster: no types on the way in, values through its metadata store."""

  def type_of_input(self, component: dict[str, Any], key: str) -> dict[str, Any]:
    return {'instanceSchema': ''}

  def stored_name(self, found: dict[str, Any]) -> str:
    return str(len(self.published) + 1)  # the artifact's id

  def stored(self, value: Any) -> Any:
    if isinstance(value, bool):
      return float(value)
    wrapper = {list: 'list', dict: 'struct'}.get(type(value))
    return {wrapper: value} if wrapper else value


class KfpLocal(Backend):
  """The local runner of kfp: types of its own."""

  def as_output(self, name: str, key: str, declared: dict[str, Any]) -> dict[str, Any]:
    return {'name': key, **super().as_output(name, key, declared), 'metadata': {}}

  def type_of_input(self, component: dict[str, Any], key: str) -> dict[str, Any]:
    return {'schemaTitle': 'system.Artifact', 'schemaVersion': '0.0.1'}


class VertexAi(Backend):
  """Vertex AI: each artifact comes with the type that the component declares."""

  def type_of_input(self, component: dict[str, Any], key: str) -> dict[str, Any]:
    return component['inputDefinitions']['artifacts'][key]['artifactType']
