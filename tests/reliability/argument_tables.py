"""What each argument of the components, the plan, Kubeflow and the report takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import tfx_balance
from tfx import types
from tfx import v1 as tfx
from tfx.types import standard_artifacts
from tfx_balance import inputs, kubeflow, report

from tests.inputs.helpers_inputs import write_artifact
from tests.reliability.argument_tables_compare import compare_apis
from tests.reliability.argument_tables_inputs import augment_apis, inputs_apis, selection_apis
from tests.reliability.arguments import (
  COUNT,
  EMPTY,
  FINAL_COUNTS,
  FINITE,
  FINITE_FROM_0,
  FLAG,
  INTEGERS,
  JSON_NONE,
  LABELS,
  NAMES,
  NONE,
  PATH,
  SEED,
  SHARE,
  SPLIT_NAME,
  TEXTS,
  Api,
  try_api,
  without,
)


def _channel(kind: Any) -> types.Channel:
  return types.Channel(type=kind)


def component_apis() -> Iterator[Api]:
  """Yields the components; a RuntimeParameter is tried by their own tests."""
  examples = {'examples': _channel(standard_artifacts.Examples)}
  reading = {
    'max_record_bytes': COUNT,
    'bad_records': frozenset(),
    'max_bad_records': COUNT | {'0'},
  }
  yield Api(
    'StratifiedSplitter',
    tfx_balance.StratifiedSplitter,
    examples,
    {
      'stratify_by': NAMES,
      'splits': JSON_NONE | {'{"x": 1}'},
      'counts': JSON_NONE | {'{}', '{"x": 1}'},
      'input_splits': EMPTY | NAMES,
      'output_files': JSON_NONE | INTEGERS | {'{}'},
      **dict.fromkeys(('order_by', 'split_by'), EMPTY | TEXTS),
      **dict.fromkeys(('group_by', 'key'), EMPTY | NAMES),
      'split_values': JSON_NONE,
      'folds': (INTEGERS - {'1'}) | {'0'},
      'rest': EMPTY,
      'embargo': frozenset({'0', '"0"'}),
      'embargo_records': frozenset({'0'}),
      'bins': JSON_NONE | (INTEGERS - {'1'}) | {'"[1]"', 'range'},
      'at_least': JSON_NONE | INTEGERS | {'0', '"0"', '10**9', '{}'},
      **reading,
    },
  )
  yield Api(
    'StratifiedSplitter, counts',
    tfx_balance.StratifiedSplitter,
    {**examples, 'counts': {'test': 3}},
    {'rest': EMPTY | SPLIT_NAME},
  )
  yield Api(
    'StratifiedSplitter, split_by',
    tfx_balance.StratifiedSplitter,
    {**examples, 'split_by': 'set'},
    {'split_by': EMPTY | TEXTS, 'split_values': JSON_NONE},
  )
  yield Api(
    'BalancedAugmenter',
    tfx_balance.BalancedAugmenter,
    examples,
    {
      'label': TEXTS,
      'sampling_strategy': frozenset({'1', '0.5', '1.0', 'np.float32', 'Fraction'})
      | FINAL_COUNTS
      | {'{0: 10**9}'},
      'factors': JSON_NONE | FINAL_COUNTS,
      'augment_fn': EMPTY,
      'augment_timeout': EMPTY | (FINITE_FROM_0 - {'0'}),
      'module_file': EMPTY,
      'splits': NAMES,
      'augmented_split': EMPTY | SPLIT_NAME,
      'max_copies': NONE | COUNT,
      **reading,
    },
  )
  yield Api(
    'BalancedInputGen',
    tfx_balance.BalancedInputGen,
    examples,
    {
      'label': NAMES,
      'train_splits': NAMES,
      **reading,
    },
  )
  ratio = JSON_NONE | COUNT | {'1.0', '1.5', '10**30', '{}', '{"x": 1}'}
  share = JSON_NONE | SHARE | {'"0"', '{}', '{"x": 1}'}
  distances = ('l_infinity', 'jensen_shannon', 'baseline_l_infinity', 'baseline_jensen_shannon')
  yield Api(
    'ClassDistributionValidator',
    tfx_balance.ClassDistributionValidator,
    {
      **examples,
      'statistics': _channel(standard_artifacts.ExampleStatistics),
      'check_leakage': 'records',
    },
    {
      'label': NAMES,
      'examples': frozenset(),
      'report_dir': EMPTY | PATH,
      **{f'max_{name}': share for name in distances},
      **dict.fromkeys(('max_share_ratio', 'max_baseline_share_ratio'), ratio),
      'compare': JSON_NONE | {'[]', '()'},
      'min_count': JSON_NONE | COUNT | {'0', '"0"', '{}', '{"x": 1}'},
      'min_share': share,
      'max_imbalance_ratio': ratio,
      'expected_shares': JSON_NONE | {'{}', '{"x": 1}', '{1: 1}', '{"x": {}}'},
      'share_tolerance': SHARE,
      'max_missing': share,
      'check_leakage': EMPTY | TEXTS,
      'identity': EMPTY,
      'leakage_pairs': JSON_NONE | {'[]', '()'},
      'max_leakage': share,
      'exclude_splits': EMPTY | NAMES | {'[]', '()'},
    },
  )
  yield Api(
    'ClassDistributionValidator, examples',
    tfx_balance.ClassDistributionValidator,
    {'statistics': _channel(standard_artifacts.ExampleStatistics)},
    {'examples': NONE},
  )


def plan_apis() -> Iterator[Api]:
  """Yields what needs NumPy alone."""
  labels = {'labels': ['a', 'a', 'b', 'b']}
  yield Api(
    'stratified_indices, labels',
    tfx_balance.stratified_indices,
    labels,
    {
      'labels': LABELS,
      'splits': NONE | {'{"x": 1}'},
      **dict.fromkeys(('mode', 'within'), frozenset()),
      'seed': SEED,
      'multilabel': FLAG,
      'counts': NONE | {'{}', '{"x": 1}'},
      'embargo': frozenset({'0'}),
      'embargo_records': frozenset({'0'}),
    },
    data=frozenset({'labels', 'multilabel'}),
  )
  yield Api(
    'stratified_indices, stratify_by',
    tfx_balance.stratified_indices,
    {'stratify_by': ['a', 'a', 'b', 'b']},
    {'stratify_by': LABELS, **dict.fromkeys(('group_by', 'order_by'), NONE)},
    data=frozenset({'stratify_by', 'group_by', 'order_by'}),
  )
  yield Api(
    'stratified_indices, counts',
    tfx_balance.stratified_indices,
    {**labels, 'counts': {'test': 1}},
    {'rest': NONE | SPLIT_NAME},
  )
  yield Api(
    'stratified_indices, extend',
    tfx_balance.stratified_indices,
    {**labels, 'key': [1, 2, 3, 4]},
    {'extend': NONE},
  )
  yield Api('Mixture', inputs.Mixture, {}, {'balanced': SHARE})
  steps = {'steps': COUNT, 'stages': COUNT}
  yield Api('progressive', inputs.progressive, {'steps': 9}, steps)
  yield Api('deferred', inputs.deferred, {'steps': 9}, {'steps': COUNT, 'q': FINITE})
  yield Api(
    'annealed',
    inputs.annealed,
    {'start': 1, 'end': 0, 'steps': 9},
    {**steps, 'start': FINITE, 'end': FINITE},
  )


def kubeflow_apis(folder: Path) -> Iterator[Api]:
  """Yields what asks the cluster for things."""
  name = frozenset({'np.str_', '"x"', '"0"', '"nan"', '"null"'})
  yield Api('SecretKey', kubeflow.SecretKey, {'name': 'a', 'key': 'b'}, {'name': name, 'key': name})
  amount = (FINITE_FROM_0 - {'0'}) | NONE
  yield Api(
    'TaskOptions',
    kubeflow.TaskOptions,
    {},
    {
      **dict.fromkeys(('cpu', 'cpu_limit', 'memory_gb', 'memory_limit_gb'), amount),
      'accelerator': NONE | name | {'"a/b"'},
      **dict.fromkeys(('accelerator_count', 'timeout'), NONE | COUNT),
      **dict.fromkeys(('retries', 'backoff'), NONE | COUNT | {'0'}),
      **dict.fromkeys(('environment', 'secrets', 'secret_files', 'pvcs'), frozenset({'{}'})),
      **dict.fromkeys(('ephemeral_storage_gb', 'node_selector', 'labels'), frozenset({'{}'})),
      'image_pull_secrets': frozenset({'[]', '()', '["x"]', '["x", "x"]'}),
      'storage_class': NONE | name,
      'tolerations': frozenset({'[]', '()'}),
    },
  )
  pipeline = tfx.dsl.Pipeline(
    'p', 'gs://bucket/root', components=[tfx.components.ImportExampleGen('gs://bucket/in')]
  )
  yield Api(
    'compile_pipeline',
    kubeflow.compile_pipeline,
    {'pipeline': pipeline, 'output': str(folder / 'out.yaml'), 'image': 'image'},
    {
      'image': TEXTS,
      'task_options': NONE | {'{}'},
    },
  )


def report_apis(folder: Path) -> Iterator[Api]:
  """Yields what reads a run; nothing is drawn or written."""
  run = {'uris': [str(folder)]}
  text = TEXTS
  page = mock.patch('tfx_balance.report.page.render_page', lambda view, title: title)
  files = mock.patch('tfx_balance.report.page.write_whole')

  yield Api('read_run', report.read_run, run, {'label': NONE | text})
  shown = {'uris': frozenset(), 'title': text | {'""'}, 'label': NONE | text}
  yield Api('render_html', without(report.render_html, page, files), run, shown)
  yield Api(
    'render_report',
    without(report.render_report, page, files),
    {**run, 'output_path': str(folder / 'report.html')},
    {**shown, 'output_path': PATH, 'pictures': frozenset({'[]', '()'})},
  )


def all_apis(folder: Path) -> Iterator[Api]:
  """Yields every public function; see `inputs_apis` for the folder."""
  yield from component_apis()
  yield from plan_apis()
  yield from inputs_apis(folder)
  yield from compare_apis()
  yield from selection_apis()
  yield from augment_apis()
  yield from kubeflow_apis(folder)
  yield from report_apis(folder)


def try_arguments(folder: Path, only: str = '') -> list[tuple[str, Counter[str], list[str]]]:
  """Returns, for each function, its name, how often what was seen, and a line for each fault.

  Args:
    folder: that is made, for an artifact to read.
    only: part of a function's name.
  """
  write_artifact(folder, [3, 2])
  apis = (api for api in all_apis(folder) if only.lower() in api.name.lower())
  return [(api.name, *try_api(api)) for api in apis]
