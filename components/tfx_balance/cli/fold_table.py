"""Console output of a cross-validation: a table of each fold's scores, with mean and spread."""

import math
from collections.abc import Callable, Sequence

from rich import box
from rich.table import Table

from tfx_balance.cli.evaluation import Comparison, ModelScores, Spread

Score = Callable[[ModelScores], float]

SCORES: dict[str, Score] = {
  'macro recall': lambda scores: scores.macro_recall,
  'worst class': lambda scores: scores.worst,
  'accuracy': lambda scores: scores.accuracy,
}


def fold_table(models: Sequence[Comparison]) -> Table:
  """Returns the table of scores by fold and model, with the mean and the standard deviation."""
  table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
  table.add_column('fold')
  table.add_column('tested', justify='right', no_wrap=True)
  columns = []
  for name, score in SCORES.items():
    for comparison in models:
      title = f'{name} {comparison.model}' if len(models) > 1 else name
      # One word a line, so that the columns of two models fit a narrow screen.
      lines = title.replace(' ', '\n')
      table.add_column(lines, justify='right', no_wrap=True, vertical='bottom')
      columns.append([score(scores) for scores in comparison.trainings])
  tested = [scores.tested for scores in models[0].trainings]
  for fold, records in enumerate(tested):
    table.add_row(str(fold), f'{records:,}', *(f'{column[fold]:.3f}' for column in columns))
  table.add_section()
  spreads = [Spread.of(column, sum(tested)) for column in columns]
  table.add_row('mean', f'{sum(tested):,}', *(f'{s.mean:.3f}' for s in spreads), style='bold')
  table.add_row('std dev', '', *(f'{s.deviation:.3f}' for s in spreads))
  return table


def gain_lines(models: Sequence[Comparison]) -> list[str]:
  """Returns the note on the difference of two models over the folds; none for one model."""
  if len(models) != 2:
    return []
  first, second = models
  pairs = zip(first.trainings, second.trainings, strict=True)
  gains = [b.macro_recall - a.macro_recall for a, b in pairs]
  gains = [gain for gain in gains if not math.isnan(gain)]
  if not gains:
    return []
  spread = Spread.of(gains, min(first.tested, second.tested))
  higher = sum(gain > 0 for gain in gains)
  return [
    f'Macro recall, {second.model} less {first.model}: [bold]{spread.mean:+.3f}[/] ± '
    f'{spread.deviation:.3f}{spread.basis}; higher in {higher} of {len(gains)} folds'
  ]
