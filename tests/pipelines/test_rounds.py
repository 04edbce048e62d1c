import json

import pytest
from tfx_balance.errors import ConfigError

from pipelines.model_nodes import TABULAR_MODEL
from pipelines.pipeline import DIGITS_AUGMENT, create_pipeline
from pipelines.rounds import make_rounds


def of_kind(pipeline, kind):
  return [node for node in pipeline.components if type(node).__name__ == kind]


def make_pipeline(**options):
  return create_pipeline(
    'p', 'root', 'in', TABULAR_MODEL, 'kind', augment_fn=DIGITS_AUGMENT, **options
  )


@pytest.mark.parametrize('folds', [2, 3, 12])
def test_each_fold_is_tested_once_by_a_model_that_all_others_trained(folds):
  rounds = make_rounds(folds)
  tested = [each.test for each in rounds]
  assert sorted(tested) == sorted(f'fold-{i}' for i in range(folds))
  for each in rounds:
    assert each.eval == each.test
    assert {*each.train, each.test} == set(tested)
    assert each.test not in each.train


def test_without_folds_there_is_one_round():
  (only,) = make_rounds()
  assert (only.train, only.eval, only.test, only.suffix) == (('train',), 'eval', 'test', '')
  (transform,) = of_kind(make_pipeline(), 'Transform')
  assert transform.exec_properties['splits_config'] is None  # all splits are transformed


def test_nothing_that_learns_sees_the_fold_to_test_on():
  pipeline = make_pipeline(folds=3, compare=True)
  transforms, input_gens = of_kind(pipeline, 'Transform'), of_kind(pipeline, 'BalancedInputGen')
  trainers, evaluators = of_kind(pipeline, 'Trainer'), of_kind(pipeline, 'Evaluator')
  assert [len(nodes) for nodes in (transforms, input_gens, evaluators)] == [3, 3, 3]
  assert len(trainers) == 6
  assert not of_kind(pipeline, 'BalancedAugmenter')
  for i in range(3):
    fold = f'fold-{i}'
    splits = json.loads(transforms[i].exec_properties['splits_config'])
    assert fold not in splits['analyze']
    assert set(splits['transform']) == {'fold-0', 'fold-1', 'fold-2'}
    assert fold not in json.loads(input_gens[i].exec_properties['train_splits'])
    assert json.loads(evaluators[i].exec_properties['example_splits']) == [fold]
  for trainer in trainers:
    fold = 'fold-' + trainer.id[-1]
    assert fold not in json.loads(trainer.exec_properties['train_args'])['splits']
    assert json.loads(trainer.exec_properties['eval_args'])['splits'] == [fold]
    assert json.loads(trainer.exec_properties['custom_config'])['tune'] is False  # it is tested


def test_a_balanced_model_takes_the_natural_shares_from_the_natural_one():
  for options in ({'n_models': 2}, {'folds': 2}):
    trainers = {t.id: t for t in of_kind(make_pipeline(compare=True, **options), 'Trainer')}
    natural = [name for name in trainers if name.startswith('Natural')]
    assert len(natural) == 2
    for name in natural:
      assert 'base_model' not in trainers[name].inputs
      base = trainers[name.removeprefix('Natural')].inputs['base_model']
      assert base.producer_component_id == name
  (alone,) = of_kind(make_pipeline(), 'Trainer')
  assert 'base_model' not in alone.inputs


def test_several_models_per_fold_are_refused():
  with pytest.raises(ConfigError, match='n_models=2 does not combine with folds=3'):
    make_pipeline(folds=3, n_models=2)
