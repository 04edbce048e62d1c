"""What a run's components write, as far as the summary reads it."""

from collections.abc import Sequence
from types import SimpleNamespace

from tfx_balance.cli.evaluation import Comparison, ModelScores, Recall, compare
from tfx_balance.cli.summary import Summary
from tfx_balance.documents.class_distribution import (
  CellRecords,
  ClassDistribution,
  InputRecords,
  SplitRecords,
  StratumRecords,
)
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.run_view import CheckSet, Findings, merge
from tfx_balance.report.sources import findings_of


def as_json(value: int | str) -> dict:
  return {'type': 'bytes' if isinstance(value, str) else 'int', 'value': value}


def class_of(value: int | str) -> ClassValue:
  return ClassValue.from_json(as_json(value))


def make_sidecar(
  counts: dict,
  warnings: tuple[str, ...] = (),
  names: tuple[str, ...] = ('train', 'eval', 'test'),
) -> ClassDistribution:
  """What StratifiedSplitter writes."""
  strata = tuple(
    StratumRecords(
      (class_of(value),),
      sum(row),
      {split: CellRecords(n) for split, n in zip(names, row, strict=True)},
    )
    for value, row in counts.items()
  )
  splits = {
    split: SplitRecords(sum(row[i] for row in counts.values())) for i, split in enumerate(names)
  }
  return ClassDistribution(
    'StratifiedSplitter', {}, InputRecords(0, 0), splits, strata, (), warnings
  )


def make_balanced_sidecar(counts: dict, warnings: tuple[str, ...] = ()) -> ClassDistribution:
  """What BalancedAugmenter writes of a split that it balances in place."""
  strata = tuple(
    StratumRecords(
      (class_of(value),),
      before,
      {'train': CellRecords(after, records_before=before, target=after)},
    )
    for value, (before, after) in counts.items()
  )
  splits = {'train': SplitRecords(sum(after for _, after in counts.values()))}
  return ClassDistribution('BalancedAugmenter', {}, {}, splits, strata, (), warnings)


def summarize(sidecar, models=(), anomalies=(), balanced=None, checks=(), folds=0) -> Summary:
  """The summary of a run whose components wrote these."""
  sidecars = [found for found in (sidecar, balanced) if found]
  findings = [findings_of(found.to_json(), f'{i}.json') for i, found in enumerate(sidecars)]
  check_set = CheckSet('Validator', SimpleNamespace(checks=list(checks)))
  view = merge([*findings, Findings('kind', check_sets=(check_set,))])
  return Summary(view, tuple(models), tuple(anomalies), folds)


def make_result(
  overall: dict, by_class: dict, label: str = 'kind', plots: Sequence = ()
) -> SimpleNamespace:
  """What tfma.load_eval_result returns."""

  def scores(values: dict) -> dict:
    return {'': {'': {name: {'doubleValue': value} for name, value in values.items()}}}

  slices = [((), scores(overall))]
  slices += [(((label, value),), scores(values)) for value, values in by_class.items()]
  return SimpleNamespace(slicing_metrics=slices, plots=plots)


def make_models(
  *seeds: dict[int | str, tuple[int, int]], model: str = 'balanced'
) -> list[Comparison]:
  """Scores of a model for each seed, from hits and tests by class."""
  return compare(make_scores(model, of_seed) for of_seed in seeds)


def make_scores(model: str, hits: dict[int | str, tuple[int, int]]) -> ModelScores:
  """Scores of one model, from hits and tests by class."""
  recalls = {class_of(value): Recall(*pair) for value, pair in hits.items()}
  tested = sum(recall.tested for recall in recalls.values())
  return ModelScores(model, sum(r.hits for r in recalls.values()) / tested, recalls)
