"""Which remedy for unequal classes helps, if any. Names are loaded when first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

if TYPE_CHECKING:
  from tfx_balance.compare.answer import Answer as Answer
  from tfx_balance.compare.comparing import compare as compare
  from tfx_balance.compare.remedy import Remedy as Remedy
  from tfx_balance.compare.tuner import compare_tuner as compare_tuner

_HOME = {
  'Answer': 'tfx_balance.compare.answer',
  'Remedy': 'tfx_balance.compare.remedy',
  'compare': 'tfx_balance.compare.comparing',
  'compare_tuner': 'tfx_balance.compare.tuner',
}

__all__ = ['Answer', 'Remedy', 'compare', 'compare_tuner']

__getattr__, __dir__ = lazy_names(globals(), _HOME)
