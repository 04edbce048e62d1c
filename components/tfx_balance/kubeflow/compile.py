"""A TFX pipeline as the YAML that Kubeflow Pipelines and Vertex AI run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from absl import logging
from tfx import v1 as tfx

from tfx_balance.arguments import check_mapping, check_path, check_text, shown
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.entrypoint import DRIVER, MODULE, OUTPUTS_SPEC
from tfx_balance.kubeflow.task_options import TaskOptions
from tfx_balance.tfrecord.storage import write_whole

COMMAND = ('python', '-m', MODULE)
# KFP names its own components so, and kfp.local cuts the prefix off whatever name there is.
COMPONENT_PREFIX = 'comp-'


def compile_pipeline(
  pipeline: tfx.dsl.Pipeline,
  output: str,
  image: str | Mapping[str, str],
  options: TaskOptions | None = None,
  task_options: Mapping[str, TaskOptions] | None = None,
) -> str:
  """Writes a pipeline as YAML, and returns where.

  One document, and a second one (KFP's platform specification) where Secrets are asked for. Beam
  arguments, caching, runtime parameters and `with_platform_config` are taken from the pipeline.

  Args:
    pipeline: Any TFX pipeline; every task goes through our entrypoint, stock components' too. A
      `pipeline_root` with a scheme becomes the default root.
    output: Path that ends in .yaml.
    image: Image of the containers; or images by node id, with 'default_image_path' for all
      others. Each has this package, TFX and the modules that the pipeline names.
    options: Options of every task.
    task_options: Options by node id, which go before those of every task.

  Raises:
    ConfigError: if an argument breaks a rule, or the pipeline refers to a folder of this machine.
  """
  output = check_path('output', output)
  if not output.endswith(('.yaml', '.yml')):
    raise ConfigError(f'output={output!r} must end in .yaml, which is the form that KFP runs')
  if not isinstance(pipeline, tfx.dsl.Pipeline) or not pipeline.components:
    raise ConfigError(f'pipeline={shown(pipeline)} must be a tfx.dsl.Pipeline of components')
  if not isinstance(image, Mapping) or not image:
    check_text('image', image, 'the name of an image, or node id to such')
  by_task = {} if task_options is None else task_options
  check_mapping('task_options', by_task, "{'Trainer': TaskOptions(cpu=4)}")
  everywhere = TaskOptions() if options is None else options
  for value in (everywhere, *by_task.values()):
    if not isinstance(value, TaskOptions):
      raise ConfigError(f'options={shown(value)} must be TaskOptions; give such as TaskOptions()')
  for node, name in image.items() if isinstance(image, Mapping) else ():
    check_text('image: node id', node)
    check_text(f'image[{node!r}]', name, 'the name of an image')
  spec = compile_spec(pipeline, image)
  platform = apply_options(spec, everywhere, by_task)
  text = yaml.safe_dump_all([spec, platform] if platform else [spec], sort_keys=True)
  head = f'# PIPELINE DEFINITION\n# Name: {spec["pipelineInfo"]["name"]}\n'
  write_whole(output, f'{head}{text}'.encode())
  return output


def compile_spec(pipeline: tfx.dsl.Pipeline, image: str | Mapping[str, str]) -> dict[str, Any]:
  """Returns a pipeline as a PipelineSpec whose tasks call our entrypoint."""
  experimental = tfx.orchestration.experimental
  if not hasattr(experimental, 'KubeflowV2DagRunner'):
    raise ConfigError('kfp is not installed; run `pip install tfx-balance[kubeflow]`')
  config = experimental.KubeflowV2DagRunnerConfig(
    default_image=image if isinstance(image, str) else dict(image),
    default_commands=list(COMMAND),
    use_pipeline_spec_2_1=True,  # open-source KFP does not run the older form
  )
  job = experimental.KubeflowV2DagRunner(config=config).run(pipeline, write_out=False)
  spec = job['pipelineSpec']
  check_paths(spec, pipeline.pipeline_info.pipeline_root)
  if '://' in pipeline.pipeline_info.pipeline_root:
    spec['defaultPipelineRoot'] = pipeline.pipeline_info.pipeline_root
  for component, container in containers(spec):
    container['args'] += entrypoint_arguments(component, container)
  if pipeline.enable_cache and any(DRIVER in c['args'] for _, c in containers(spec)):
    logging.warning(
      'Caching is on, and open-source KFP does not look into the input of a file-based ExampleGen: '
      'new files in the same folder are taken for the old ones. Give new data a folder of its own.'
    )
  return with_prefix(spec)


def containers(spec: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
  """Yields component and PipelineContainerSpec of each task that calls our entrypoint."""
  executors = spec['deploymentSpec']['executors']
  for component in spec['components'].values():
    container = executors.get(component.get('executorLabel'), {}).get('container')
    if container and container.get('command') == list(COMMAND):
      yield component, container


def entrypoint_arguments(component: Mapping[str, Any], container: Mapping[str, Any]) -> list[str]:
  """Returns the arguments of a task that TFX's entrypoint does not have."""
  outputs = component.get('outputDefinitions', {})
  arguments = [OUTPUTS_SPEC, json.dumps(outputs, sort_keys=True)]
  hook = container.get('lifecycle', {}).get('preCacheCheck', {}).get('command', [])
  return [*arguments, DRIVER, hook[hook.index('-m') + 1]] if '-m' in hook else arguments


def check_paths(spec: Mapping[str, Any], root: str) -> None:
  """Raises a ConfigError if tasks are told of a pipeline root that no other machine has."""
  if not root or '://' in root:
    return
  for name, task in spec['root']['dag']['tasks'].items():
    for parameter, value in task.get('inputs', {}).get('parameters', {}).items():
      if root.rstrip('/') + '/' in json.dumps(value):
        raise ConfigError(
          f'{name} is told of {root} in {parameter!r}, a folder that its container does not have; '
          'give functions by their dotted names in place of module_file=, '
          'or a pipeline_root in a bucket'
        )


def with_prefix(spec: dict[str, Any]) -> dict[str, Any]:
  """Returns a PipelineSpec whose components are named as KFP names its own."""
  for task in spec['root']['dag']['tasks'].values():
    task['componentRef']['name'] = COMPONENT_PREFIX + task['componentRef']['name']
  spec['components'] = {COMPONENT_PREFIX + name: c for name, c in spec['components'].items()}
  return spec


def apply_options(
  spec: Mapping[str, Any], everywhere: TaskOptions, by_task: Mapping[str, TaskOptions]
) -> dict[str, Any]:
  """Gives the tasks of a PipelineSpec their options; returns a PlatformSpec, or an empty dict.

  Raises:
    ConfigError: if there is no such task.
  """
  components = {
    name.removeprefix(COMPONENT_PREFIX): component
    for name, component in sorted(spec['components'].items())
  }
  for name in by_task:
    if name not in components:
      raise ConfigError(
        f'task_options names {shown(name)}, which is no task; there are {list(components)}'
      )
  platform: dict[str, Any] = {}
  for name, component in components.items():
    label = component.get('executorLabel')
    container = spec['deploymentSpec']['executors'].get(label, {}).get('container')
    if container is None:
      continue
    options = by_task.get(name, TaskOptions()).over(everywhere)
    if resources := options.resources():
      container['resources'] = {**container.get('resources', {}), **resources}
    if environment := options.container_environment():
      container['env'] = [*container.get('env', []), *environment]
    if kubernetes := options.kubernetes():
      platform[label] = kubernetes
  return (
    {'platforms': {'kubernetes': {'deploymentSpec': {'executors': platform}}}} if platform else {}
  )
