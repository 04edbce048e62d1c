"""Shares that raise the classes whose recall lags."""

from __future__ import annotations

from collections.abc import Sequence


def raised_ratios(recall: Sequence[float | None], gain: float) -> list[float]:
  """Returns a ratio for each class: 1 + gain times what its recall lacks to the mean recall.

  A class at the mean or above has the ratio 1, and so has one whose recall is not known. Ratios
  depend on the present recall alone, so a class that has caught up goes back to 1. The idea, with
  F1 scores, is that of Pouyanfar et al. 2018, "Dynamic sampling in convolutional neural networks
  for imbalanced data classification". They are rounded to thousandths, so that hosts agree.

  >>> raised_ratios([1.0, 0.5, None, 0.0], gain=4)
  [1.0, 1.0, 1.0, 3.0]

  Args:
    recall: Recall of each class, 0 to 1; None where it is not known.
    gain: Gain, above 0.
  """
  measured = [value for value in recall if value is not None]
  mean = sum(measured) / len(measured) if measured else 0.0
  lacking = [0.0 if value is None else max(mean - value, 0.0) for value in recall]
  return [round(1 + gain * lack, 3) for lack in lacking]
