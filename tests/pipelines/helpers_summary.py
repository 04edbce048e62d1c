"""What a run's components write, as far as the summary reads it."""

from types import SimpleNamespace

from tfx_balance.plan.class_value import ClassValue

from pipelines.evaluation import Comparison, ModelScores, Recall, compare


def as_json(value: int | str) -> dict:
  return {'type': 'bytes' if isinstance(value, str) else 'int', 'value': value}


def make_sidecar(counts: dict, warnings: tuple[str, ...] = ()) -> dict:
  """What StratifiedSplitter writes."""
  names = ('train', 'eval', 'test')
  strata = [
    {
      'stratum': [as_json(value)],
      'name': str(value),
      'splits': {split: {'records': n} for split, n in zip(names, row, strict=True)},
    }
    for value, row in counts.items()
  ]
  return {'splits': {split: {} for split in names}, 'strata': strata, 'warnings': list(warnings)}


def make_balanced_sidecar(counts: dict, warnings: tuple[str, ...] = ()) -> dict:
  """What BalancedAugmenter writes of a split that it balances in place."""
  strata = [
    {
      'stratum': [as_json(value)],
      'splits': {'train': {'records': after, 'records_before': before, 'target': after}},
    }
    for value, (before, after) in counts.items()
  ]
  return {'strata': strata, 'warnings': list(warnings)}


def make_result(overall: dict, by_class: dict, label: str = 'kind') -> SimpleNamespace:
  """What tfma.load_eval_result returns."""

  def scores(values: dict) -> dict:
    return {'': {'': {name: {'doubleValue': value} for name, value in values.items()}}}

  slices = [((), scores(overall))]
  slices += [(((label, value),), scores(values)) for value, values in by_class.items()]
  return SimpleNamespace(slicing_metrics=slices)


def make_models(
  *seeds: dict[int | str, tuple[int, int]], model: str = 'balanced'
) -> list[Comparison]:
  """Scores of a model for each seed, from hits and tests by class."""
  return compare(make_scores(model, of_seed) for of_seed in seeds)


def make_scores(model: str, hits: dict[int | str, tuple[int, int]]) -> ModelScores:
  """Scores of one model, from hits and tests by class."""
  recalls = {ClassValue.from_json(as_json(value)): Recall(*pair) for value, pair in hits.items()}
  tested = sum(recall.tested for recall in recalls.values())
  return ModelScores(model, sum(r.hits for r in recalls.values()) / tested, recalls)
