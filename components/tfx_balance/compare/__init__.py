"""Comparison of remedies for unequal classes. Names are loaded when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

if TYPE_CHECKING:
  from tfx_balance.compare.answer import Answer as Answer
  from tfx_balance.compare.comparing import compare as compare
  from tfx_balance.compare.fitted import Classifier as Classifier
  from tfx_balance.compare.metrics import precision_at_recall as precision_at_recall
  from tfx_balance.compare.metrics import recall_at_precision as recall_at_precision
  from tfx_balance.compare.remedy import Remedy as Remedy
  from tfx_balance.compare.tuner import compare_tuner as compare_tuner

_HOME = {
  'Answer': 'tfx_balance.compare.answer',
  'Classifier': 'tfx_balance.compare.fitted',
  'Remedy': 'tfx_balance.compare.remedy',
  'compare': 'tfx_balance.compare.comparing',
  'compare_tuner': 'tfx_balance.compare.tuner',
  'precision_at_recall': 'tfx_balance.compare.metrics',
  'recall_at_precision': 'tfx_balance.compare.metrics',
}

__all__ = list(_HOME)

__getattr__, __dir__ = lazy_names(globals(), _HOME)
