"""Rounds of training and evaluation: one, or one per fold of a cross-validation."""

from dataclasses import dataclass

from tfx_balance import fold_splits

TRAIN, EVAL, TEST = 'train', 'eval', 'test'


@dataclass(frozen=True)
class Round:
  """Splits of one round of training and evaluation.

  Attributes:
    train: Names of the splits to train on.
    eval: Name of the split whose scores the Trainer logs.
    test: Name of the split that the Evaluator reads.
    suffix: Suffix of the ids of the round's nodes.
  """

  train: tuple[str, ...]
  eval: str
  test: str
  suffix: str = ''


def make_rounds(folds: int = 0) -> list[Round]:
  """Returns one round for no folds, or one per fold, which leaves the split 'test' untouched.

  >>> make_rounds(3)[0]
  Round(train=('fold-1', 'fold-2'), eval='fold-0', test='fold-0', suffix='_0')
  """
  if not folds:
    return [Round((TRAIN,), EVAL, TEST)]
  splits = [fold_splits(fold, folds) for fold in range(folds)]
  return [Round(s.train, *s.eval, *s.eval, f'_{fold}') for fold, s in enumerate(splits)]
