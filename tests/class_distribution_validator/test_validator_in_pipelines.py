"""The component between stock components, run by LocalDagRunner and compiled for others."""

from pathlib import Path

import pytest
import tfx.v1 as tfx
from tfx_balance import ClassDistributionValidator, StratifiedSplitter
from tfx_balance.report import read_run
from tfx_balance.report.page import render_page

from tests.class_distribution_validator.helpers_validate import (
  Validated,
  labelled_artifact,
  schema_artifact,
)
from tests.class_distribution_validator.stand_in import StandIn
from tests.helpers_examples import cells, labelled, read_splits
from tests.helpers_pipeline import importer, input_artifact, run_pipeline

SKEWED = {'train': {0: 300, 1: 300}, 'eval': {0: 10, 1: 90}}
EVEN = {'train': {0: 300, 1: 300}, 'eval': {0: 50, 1: 50}}


def as_words(splits):
  return {
    name: {{0: b'<cat>', 1: b'dog'}[label]: n for label, n in counts.items()}
    for name, counts in splits.items()
  }


def gated(folder, splits, **arguments):
  """Returns the components of a pipeline with a gate, the gate, and where its Trainer writes."""
  source = importer(labelled_artifact(folder / 'in', splits))
  examples = source.outputs['result']
  statistics_gen = tfx.components.StatisticsGen(examples=examples)
  validator = ClassDistributionValidator(
    statistics=statistics_gen.outputs['statistics'], examples=examples, **arguments
  )
  marker = folder / 'trained'
  trainer = StandIn(marker=str(marker)).with_id('Trainer')
  trainer.add_upstream_node(validator)
  return [source, statistics_gen, validator, trainer], marker


def test_a_rare_class_that_falls_to_a_fifth_stops_the_run(tmp_path):
  splits = {'train': {b'fair': 7920, b'fraud': 80}, 'eval': {b'fair': 1996, b'fraud': 4}}
  report = tmp_path / 'report'
  components, marker = gated(tmp_path, splits, report_dir=str(report))
  with pytest.raises(Exception, match='1 check of 5 failed: class fraud has 4 records') as failure:
    run_pipeline(tmp_path, components)
  assert not marker.exists()
  row = 'max_share_ratio  eval vs train  fraud  5         <= 2'
  assert row in str(failure.value)
  assert row in (report / 'violations.txt').read_text()
  assert Validated(report).checks['counts_from'] == 'records'
  anomaly = Validated(report).anomalies('eval').anomaly_info['label']
  assert anomaly.short_description == 'Drift of a class'
  assert '0.2 % of split' in anomaly.description
  page = render_page(read_run([str(report)]))
  assert 'max_share_ratio' in page
  assert '0.2 % of split' in page


def test_an_even_split_passes_and_is_blessed(tmp_path):
  components, marker = gated(tmp_path, as_words(EVEN))
  published = run_pipeline(tmp_path, components)
  assert marker.exists()
  (artifact,) = published.of_node('ClassDistributionValidator', 'ExampleAnomalies')
  blessed = artifact.custom_properties['blessed'].struct_value.fields
  assert {name: value.number_value for name, value in blessed.items()} == {'train': 1, 'eval': 1}
  assert artifact.custom_properties['all_blessed'].int_value == 1
  assert artifact.properties['split_names'].string_value == '["eval", "train"]'
  found = Validated(artifact.uri)
  assert found.broken() == []
  assert found.checks['blessed'] == 1
  recount = cells(read_splits(tmp_path / 'in'))
  assert recount == {
    (row['class']['value'].encode(), split): n
    for row in found.checks['counts']
    for split, n in row['splits'].items()
  }


def test_between_splitter_and_trainer_with_a_schema_and_its_own_sidecar(tmp_path):
  text = (
    'feature { name: "label" type: INT int_domain { min: 0 max: 2 is_categorical: true } '
    'presence { min_fraction: 1 min_count: 1 } }'
  )
  source = importer(input_artifact(tmp_path / 'in', {'all': [labelled({0: 600, 1: 90, 2: 3})]}))
  known = importer(schema_artifact(tmp_path / 'schema', text), 'Schema')
  schema = known.outputs['result']
  splitter = StratifiedSplitter(examples=source.outputs['result'])
  examples = splitter.outputs['examples']
  statistics_gen = tfx.components.StatisticsGen(examples=examples, schema=schema)
  statistics = statistics_gen.outputs['statistics']
  by_sidecar = ClassDistributionValidator(
    statistics=statistics, examples=examples, schema=schema, check_leakage='records'
  ).with_id('BySidecar')
  by_statistics = ClassDistributionValidator(
    statistics=statistics, baseline_statistics=statistics, schema=schema, max_l_infinity=0.02
  ).with_id('ByStatistics')
  nodes = [source, known, splitter, statistics_gen, by_sidecar, by_statistics]
  published = run_pipeline(tmp_path, nodes)
  found = {}
  for node in ('BySidecar', 'ByStatistics'):
    (artifact,) = published.of_node(node, 'ExampleAnomalies')
    found[node] = Validated(artifact.uri).checks
  assert found['BySidecar']['counts_from'] == 'sidecar'
  assert found['ByStatistics']['counts_from'] == 'statistics'
  assert all('baseline' in row for row in found['ByStatistics']['counts'])
  (output,) = published.of_node('StratifiedSplitter')
  splits = read_splits(output.uri)
  recount = cells(splits)
  compared = found['BySidecar']['leakage']['splits']
  assert {name: row['records'] for name, row in compared.items()} == {
    name: len(records) for name, records in splits.items()
  }
  for checks in found.values():
    counted = {
      (row['class']['value'], split): n
      for row in checks['counts']
      for split, n in row['splits'].items()
      if n
    }
    assert counted == dict(recount)


def test_runtime_parameters_and_a_baseline_that_is_not_there_yet(tmp_path):
  source = importer(labelled_artifact(tmp_path / 'in', SKEWED))
  examples = source.outputs['result']
  statistics_gen = tfx.components.StatisticsGen(examples=examples)
  earlier = tfx.dsl.Resolver(
    strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
    statistics=tfx.dsl.Channel(
      type=tfx.types.standard_artifacts.ExampleStatistics, producer_component_id='Earlier'
    ),
  )

  def later(name, ptype, default):
    return tfx.dsl.experimental.RuntimeParameter(name=name, ptype=ptype, default=default)

  validator = ClassDistributionValidator(
    statistics=statistics_gen.outputs['statistics'],
    examples=examples,
    baseline_statistics=earlier.outputs['statistics'],
    label=later('label', str, 'label'),
    max_l_infinity=later('distance', str, '0.41'),
    max_share_ratio=later('ratio', str, '5'),
    min_count=later('least', str, '{"eval": 11}'),
    share_tolerance=later('tolerance', float, 0.5),
    on_violation=later('then', str, 'warn'),
    missing_classes=later('absent', str, 'forbid'),
    check_leakage=later('key', str, 'id'),
  )
  published = run_pipeline(tmp_path, [source, statistics_gen, earlier, validator])
  (artifact,) = published.of_node('ClassDistributionValidator', 'ExampleAnomalies')
  found = Validated(artifact.uri)
  assert [(c['rule'], c['split'], c['other']) for c in found.broken()] == [
    ('min_count', 'eval', None),
    ('max_leakage', 'eval', 'train'),
  ]
  assert found.checks['leakage']['key'] == 'id'
  assert Path(artifact.uri, 'Split-eval', 'SchemaDiff.pb').exists()


def test_cond_reads_the_verdict_as_the_docs_say(tmp_path):
  ran = {}
  for name, splits in (('even', EVEN), ('skewed', SKEWED)):
    folder = tmp_path / name
    source = importer(labelled_artifact(folder / 'in', splits))
    validator = ClassDistributionValidator(examples=source.outputs['result'], on_violation='warn')
    marker = folder / 'trained'
    future = validator.outputs['anomalies'].future()[0]
    with tfx.dsl.Cond(future.custom_property('all_blessed') == 1):
      trainer = StandIn(marker=str(marker)).with_id('Trainer')
    run_pipeline(folder, [source, validator, trainer])
    ran[name] = marker.exists()
  assert ran == {'even': True, 'skewed': False}


def test_each_run_is_compared_with_the_one_before_as_the_docs_say(tmp_path):
  for run, counts in enumerate(({0: 900, 1: 100}, {0: 920, 1: 80}, {0: 985, 1: 15})):
    source = importer(input_artifact(tmp_path / f'in{run}', {'all': [labelled(counts)]}))
    earlier = tfx.dsl.Resolver(
      strategy_class=tfx.dsl.experimental.LatestArtifactStrategy,
      examples=tfx.dsl.Channel(
        type=tfx.types.standard_artifacts.Examples, producer_component_id='StratifiedSplitter'
      ),
    ).with_id('earlier')
    splitter = StratifiedSplitter(examples=source.outputs['result'])
    splitter.add_upstream_node(earlier)
    gate = ClassDistributionValidator(
      examples=splitter.outputs['examples'],
      baseline_examples=earlier.outputs['examples'],
      on_violation='warn',
    )
    published = run_pipeline(tmp_path, [source, earlier, splitter, gate])
    artifacts = published.of_node('ClassDistributionValidator', 'ExampleAnomalies')
    found = Validated(max(artifacts, key=lambda artifact: artifact.id).uri)
    assert ('baseline' in found.checks['counts'][0]) == (run > 0)
    broken = {(check['rule'], check['other']) for check in found.broken()}
    assert broken == ({('max_baseline_share_ratio', 'baseline:train')} if run == 2 else set())
