"""Batches chosen by index from random-access data: by hand, by class, priority or difficulty."""

from tfx_balance.inputs.selection.keras_fit import prioritized_model, selection_dataset
from tfx_balance.inputs.selection.selectors import (
  ClassSelector,
  CurriculumSelector,
  PrioritySelector,
  Selected,
  UniformSelector,
)
from tfx_balance.inputs.selection.sum_tree import SumTree

__all__ = [
  'ClassSelector',
  'CurriculumSelector',
  'PrioritySelector',
  'Selected',
  'SumTree',
  'UniformSelector',
  'prioritized_model',
  'selection_dataset',
]
