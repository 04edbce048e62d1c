"""A compared remedy's decisions on each class, as the cells of a table."""

from __future__ import annotations

from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument
from tfx_balance.plan.evidence import recall_interval

MOST_CLASSES = 10
"""Classes that a table shows."""
DECISION_COLUMNS: tuple[str, ...] = (
  'records',
  'found',
  'recall',
  'precision',
  'wrongly, per 1,000',
)


def decided_arms(comparison: ComparisonDocument) -> list[ComparedArm]:
  """Returns natural batches and the recommended remedy, where their decisions are known."""
  return [arm for arm in comparison.arms if arm.tested]


def decided_classes(comparison: ComparisonDocument) -> list[int]:
  """Returns the indices of the classes that a table shows.

  These are all, or those of which the recommended remedy finds the least share, the least first.
  """
  n = len(comparison.classes)
  if n <= MOST_CLASSES:
    return list(range(n))
  arms = decided_arms(comparison)
  own = next((arm for arm in arms if arm.name == comparison.recommended), arms[0])
  recalls = [right / max(tested, 1) for right, tested in zip(own.right, own.tested, strict=True)]
  return sorted(range(n), key=recalls.__getitem__)[:MOST_CLASSES]


def decision_cells(arm: ComparedArm, i: int) -> tuple[str, ...]:
  """Returns the text of each of DECISION_COLUMNS for a class.

  These are its records, those that are put into it, recall, precision, and of 1,000 records of
  other classes those that are put into it.
  """
  own, taken, hits = arm.tested[i], arm.assigned[i], arm.right[i]
  wrong = 1000 * (taken - hits) / max(sum(arm.tested) - own, 1)
  return f'{own:,.0f}', f'{hits:,.1f}', _share(hits, own), _share(hits, taken), f'{wrong:,.1f}'


def more_classes(comparison: ComparisonDocument) -> str:
  """Returns the number of classes that a table leaves out; '' for none."""
  more = len(comparison.classes) - MOST_CLASSES
  return (
    f'and {more:,} more classes, of higher recall with {comparison.recommended}' if more > 0 else ''
  )


def _share(part: float, whole: float) -> str:
  """Returns a share with its 95 % interval."""
  if not whole:
    return '-'
  low, high = recall_interval(whole, part / whole)
  return f'{part / whole:.3f} [{low:.2f}, {high:.2f}]'
