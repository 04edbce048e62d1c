"""Runtime parameters that nobody set have their defaults, whatever runs the pipeline."""

import builtins
import json

import pytest
from tfx import v1 as tfx
from tfx.orchestration.experimental.interactive.interactive_context import InteractiveContext
from tfx_balance import ClassDistributionValidator, StratifiedSplitter
from tfx_balance.errors import ConfigError
from tfx_balance.kubeflow.compile import compile_spec

from tests.helpers_examples import cells, labelled, read_splits
from tests.helpers_pipeline import importer, input_artifact


def parameter(name, default=None, ptype=str):
  return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)


def run_in_notebook(tmp_path, monkeypatch, **arguments):
  """Runs a splitter by InteractiveContext; returns the folder of its output."""
  monkeypatch.setattr(builtins, '__IPYTHON__', True, raising=False)
  artifact = input_artifact(tmp_path / 'in', {'all': [labelled({0: 20, 1: 20}, 'y')]})
  context = InteractiveContext(pipeline_root=str(tmp_path / 'root'))
  source = importer(artifact)
  context.run(source)
  splitter = StratifiedSplitter(examples=source.outputs['result'], **arguments)
  context.run(splitter, beam_pipeline_args=['--runner=FnApiRunner'])
  return splitter.outputs['examples'].get()[0].uri


def test_a_notebook_takes_the_defaults(tmp_path, monkeypatch):
  out = run_in_notebook(
    tmp_path,
    monkeypatch,
    seed=parameter('seed', 3, int),
    stratify_by=parameter('label', 'y'),
    splits=parameter('splits', '{"a": 3, "b": 1}'),
  )
  assert cells(read_splits(out), 'y') == {(0, 'a'): 15, (1, 'a'): 15, (0, 'b'): 5, (1, 'b'): 5}
  with open(f'{out}/class_distribution.json') as file:
    assert json.load(file)['parameters']['seed'] == 3


def test_a_notebook_names_a_parameter_without_a_default(tmp_path, monkeypatch):
  fault = "^seed= is the RuntimeParameter 'number', which has neither a value here nor a default; "
  with pytest.raises(ConfigError, match=fault):
    run_in_notebook(tmp_path, monkeypatch, stratify_by='y', seed=parameter('number', ptype=int))


def compiled(**arguments):
  gen = tfx.components.ImportExampleGen(input_base='gs://bucket/data')
  splitter = StratifiedSplitter(examples=gen.outputs['examples'], **arguments)
  statistics = tfx.components.StatisticsGen(examples=splitter.outputs['examples'])
  validator = ClassDistributionValidator(
    statistics=statistics.outputs['statistics'], label=parameter('label', 'y')
  )
  nodes = [gen, splitter, statistics, validator]
  spec = compile_spec(tfx.dsl.Pipeline('p', 'gs://bucket/root', components=nodes), 'image')
  return spec['root']['inputDefinitions']['parameters']


def test_a_compiled_pipeline_keeps_the_defaults():
  assert compiled(
    seed=parameter('seed', 0, int),
    splits=parameter('splits', '{"a": 3, "b": 1}'),
    stratify_by=parameter('label', 'y'),
    missing_label=parameter('missing'),
  ) == {
    'label': {'parameterType': 'STRING', 'defaultValue': 'y', 'isOptional': True},
    'missing': {'parameterType': 'STRING'},
    'seed': {'parameterType': 'NUMBER_INTEGER', 'defaultValue': 0, 'isOptional': True},
    'splits': {
      'parameterType': 'STRING',
      'defaultValue': '{"a": 3, "b": 1}',
      'isOptional': True,
    },
  }


def test_one_parameter_of_two_defaults_is_refused():
  fault = "^RuntimeParameter 'label' has the defaults 'x' and 'y'; give it one, or two names$"
  with pytest.raises(ConfigError, match=fault):
    compiled(stratify_by=parameter('label', 'x'))
