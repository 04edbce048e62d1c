"""A TFX pipeline as the YAML that Kubeflow Pipelines and Vertex AI run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import yaml
from tfx import v1 as tfx
from tfx.orchestration.data_types import RuntimeParameter

from tfx_balance.arguments import check_flag, check_mapping, check_path, check_text, format_value
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.entrypoint import DRIVER, MODULE, OUTPUTS_SPEC
from tfx_balance.kubeflow.spec_checks import (
  check_module_files,
  check_nodes,
  check_paths,
  check_values,
  executor_of,
  tasks,
  warn_of_cache,
  warn_of_lost_reports,
)
from tfx_balance.kubeflow.task_options import TaskOptions
from tfx_balance.tfrecord.storage import write_whole

COMMAND = ('python', '-m', MODULE)
# KFP names its own components so, and kfp.local cuts the prefix off whatever name there is.
COMPONENT_PREFIX = 'comp-'
RETRIES = 2
"""Retries of a component of this package, unless given: each attempt writes the same."""
_EXECUTOR = '--executor_class_path'  # TFX's


def compile_pipeline(
  pipeline: tfx.dsl.Pipeline,
  output: str,
  image: str | Mapping[str, str],
  options: TaskOptions | None = None,
  task_options: Mapping[str, TaskOptions] | None = None,
  vertex_ai: bool = False,
) -> str:
  """Writes a pipeline as YAML, and returns where.

  One document, and a second one (KFP's platform specification) where options ask for what only
  Kubernetes has: Secrets, volumes, nodes, labels, a timeout. Beam arguments, caching, runtime
  parameters and `with_platform_config` are taken from the pipeline.

  Args:
    pipeline: Any TFX pipeline; every task goes through our entrypoint, stock components' too. A
      `pipeline_root` with a scheme becomes the default root.
    output: Path that ends in .yaml.
    image: Image of the containers; or images by node id, with 'default_image_path' for all
      others. Each has this package, TFX and the modules that the pipeline names.
    options: Options of every task.
    task_options: Options by node id, which go before those of every task.
    vertex_ai: Whether only Vertex AI is to run it, which runs Resolvers and imports any path, and
      reads no platform specification.

  Raises:
    ConfigError: if an argument breaks a rule, the pipeline refers to a folder of this machine, or
      it holds what would not run there.
  """
  output = check_path('output', output)
  if not output.endswith(('.yaml', '.yml')):
    raise ConfigError(f'output={output!r} must end in .yaml, which is the form that KFP runs')
  if not isinstance(pipeline, tfx.dsl.Pipeline) or not pipeline.components:
    raise ConfigError(f'pipeline={format_value(pipeline)} must be a tfx.dsl.Pipeline of components')
  if not isinstance(image, Mapping) or not image:
    check_text('image', image, 'the name of an image, or a dict of node id to name')
  by_task = {} if task_options is None else task_options
  check_mapping('task_options', by_task, "{'Trainer': TaskOptions(cpu=4)}")
  everywhere = TaskOptions() if options is None else options
  given = (everywhere, *by_task.values())
  for value in given:
    if not isinstance(value, TaskOptions):
      raise ConfigError(
        f'options={format_value(value)} must be TaskOptions; give for example TaskOptions()'
      )
  for node, name in image.items() if isinstance(image, Mapping) else ():
    check_text('image: node id', node)
    check_text(f'image[{node!r}]', name, 'the name of an image')
  for_vertex_ai = check_flag('vertex_ai', vertex_ai)
  spec = compile_spec(pipeline, image)
  if not for_vertex_ai:
    check_nodes(spec)
  platform = apply_options(spec, everywhere, by_task)
  if for_vertex_ai and platform:
    executors = platform['platforms']['kubernetes']['deploymentSpec']['executors'].values()
    fields = sorted({field for config in executors for field in config})
    raise ConfigError(
      f'vertex_ai=True, and options ask for {", ".join(fields)} of Kubernetes, which Vertex AI '
      'does not read; leave them out'
    )
  warn_of_lost_reports(spec, [folder for options in given for folder in options.pvcs])
  if pipeline.enable_cache and not for_vertex_ai:
    warn_of_cache(
      spec,
      [name for name, task in tasks(spec) if DRIVER in container_of(spec, task).get('args', ())],
      [name for options in given for name in options.environment],
    )
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
  check_module_files(pipeline)
  try:
    job = experimental.KubeflowV2DagRunner(config=config).run(pipeline, write_out=False)
  except NotImplementedError as error:
    raise ConfigError(
      f'TFX does not compile this pipeline for Kubeflow: {error}; leave out what it names'
    ) from error
  spec = job['pipelineSpec']
  set_defaults(spec, pipeline)
  check_values(spec)
  check_paths(spec, pipeline.pipeline_info.pipeline_root)
  if '://' in pipeline.pipeline_info.pipeline_root:
    spec['defaultPipelineRoot'] = pipeline.pipeline_info.pipeline_root
  for _, task in tasks(spec):
    container = container_of(spec, task)
    if container.get('command') == list(COMMAND):  # calls our entrypoint
      component = spec['components'][task['componentRef']['name']]
      outputs = component.get('outputDefinitions', {})
      container['args'] += [OUTPUTS_SPEC, json.dumps(outputs, sort_keys=True)]
      hook = container.get('lifecycle', {}).get('preCacheCheck', {}).get('command', [])
      if '-m' in hook:
        container['args'] += [DRIVER, hook[hook.index('-m') + 1]]
    task['componentRef']['name'] = COMPONENT_PREFIX + task['componentRef']['name']
  spec['components'] = {COMPONENT_PREFIX + name: c for name, c in spec['components'].items()}
  return spec


def set_defaults(spec: Mapping[str, Any], pipeline: tfx.dsl.Pipeline) -> None:
  """Gives the pipeline's inputs the defaults of its RuntimeParameters, which TFX leaves out.

  Raises:
    ConfigError: if two parameters of one name have different defaults.
  """
  inputs = spec['root'].get('inputDefinitions', {}).get('parameters', {})
  for node in pipeline.components:
    for value in node.exec_properties.values():
      if not isinstance(value, RuntimeParameter) or value.default is None:
        continue
      declared = inputs[value.name]
      if declared.setdefault('defaultValue', value.default) != value.default:
        raise ConfigError(
          f'RuntimeParameter {value.name!r} has the defaults {declared["defaultValue"]!r} and '
          f'{value.default!r}; give it one, or two names'
        )
      declared['isOptional'] = True


def apply_options(
  spec: Mapping[str, Any], everywhere: TaskOptions, by_task: Mapping[str, TaskOptions]
) -> dict[str, Any]:
  """Gives the tasks of a PipelineSpec their options; returns a PlatformSpec, or an empty dict.

  Raises:
    ConfigError: if there is no such task.
  """
  names = [name for name, _ in tasks(spec)]
  for name in by_task:
    if name not in names:
      raise ConfigError(
        f'task_options names {format_value(name)}, which is not a task; there are {names}'
      )
  platform: dict[str, Any] = {}
  for name, task in tasks(spec):
    container = container_of(spec, task)
    if not container:
      continue
    options = by_task.get(name, TaskOptions()).over(everywhere)
    if policy := options.retry_policy(RETRIES if is_ours(container) else 0):
      task['retryPolicy'] = policy
    if resources := options.resources():
      container['resources'] = {**container.get('resources', {}), **resources}
    if environment := options.container_environment():
      container['env'] = [*container.get('env', []), *environment]
    if kubernetes := options.kubernetes():
      component = spec['components'][task['componentRef']['name']]
      platform[component['executorLabel']] = kubernetes
  if not platform:
    return {}
  return {'platforms': {'kubernetes': {'deploymentSpec': {'executors': platform}}}}


def container_of(spec: Mapping[str, Any], task: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the PipelineContainerSpec of a task; an empty dict where it has none."""
  return executor_of(spec, task).get('container', {})


def is_ours(container: Mapping[str, Any]) -> bool:
  """Returns whether a task runs an executor of this package."""
  arguments = container.get('args', [])
  return _EXECUTOR in arguments and arguments[arguments.index(_EXECUTOR) + 1].startswith(
    f'{__package__.partition(".")[0]}.'
  )
