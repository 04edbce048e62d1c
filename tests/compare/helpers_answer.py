"""Documents of comparisons with every arm and verdict, without a training."""

import numpy as np
from tfx_balance.compare.arms import ARMS, NATURAL
from tfx_balance.compare.comparing import decisions_of
from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument, Gap
from tfx_balance.plan.class_value import ClassValue

VERDICTS = ('helps', 'harms', 'no practical difference', 'cannot tell')
METRICS = ('macro_recall', 'worst_class', 'average_precision', 'macro_f1', 'log_loss', 'brier')


def document(n_classes=3, recommended='weights_correction', name='class {}', **changes):
  """Returns what might be found for classes of falling numbers of records."""
  rng = np.random.default_rng(0)
  records = np.maximum(20_000 * 0.9 ** np.arange(n_classes), 12).astype(int)
  arms = []
  for k, (arm, is_of) in enumerate(ARMS.items()):
    difference, half = -0.03 + 0.01 * k, 0.02 + 0.003 * k
    gain = {
      'difference': difference,
      'low': difference - half,
      'high': difference + half,
      'verdict': VERDICTS[k % len(VERDICTS)],
    }
    both = (NATURAL, recommended)
    arms.append(
      ComparedArm(
        arm,
        is_of.words,
        {metric: 0.6 + difference for metric in (*METRICS, 'cost')},
        **({} if arm == NATURAL else gain),
        to_recommended=None if arm in both or recommended == NATURAL else Gap(-0.01, -0.04, 0.02),
        **decisions_of(_confusion(records, rng)) if arm in both else {},
      )
    )
  found = {
    'metric': 'macro_recall',
    'metric_words': 'macro recall',
    'classes': tuple(ClassValue('bytes', name.format(i).encode()) for i in range(n_classes)),
    'records': tuple(records.tolist()),
    'equivalence': 0.02,
    'confidence': 0.95,
    'folds': 25,
    'steps': 400,
    'batch_size': 64,
    'seed': 0,
    'seconds': 123.4,
    'arms': tuple(arms),
    'recommended': recommended,
    'reason': 'It helps: macro recall is 0.064 higher than with natural batches.',
    'notes': ('Its probabilities are worse: log loss 0.5, 0.4 with natural batches.',),
  }
  return ComparisonDocument(**{**found, **changes})


def _confusion(records, rng):
  recall = rng.uniform(0.2, 0.95, len(records))
  square = np.outer(records * (1 - recall), np.ones(len(records))) / max(len(records) - 1, 1)
  np.fill_diagonal(square, records * recall)
  return square
