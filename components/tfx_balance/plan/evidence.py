"""Precision of a recall measured on some records: its interval, and the records for a width."""

from __future__ import annotations

import math

RECALLS = (0.5, 0.9)
"""Recalls at which the precision is given: the widest interval, and that of a good model."""
HALF_WIDTH = 0.1
"""Half-width that people commonly ask for."""
_Z = 1.959963984540054  # of 95 %, both sides


def recall_half_width(n: float, recall: float) -> float:
  """Returns half the width of the 95 % interval of a recall that n records of a class measured.

  By Wilson 1927, "Probable inference, the law of succession, and statistical inference":
  z sqrt(n p (1 - p) + z^2 / 4) / (n + z^2), which is 0.5 without a record.

  >>> [round(recall_half_width(n, 0.5), 3) for n in (0, 1, 10, 100)]
  [0.5, 0.445, 0.263, 0.096]

  Args:
    n: Number of records of the class, 0 or more.
    recall: Measured share of them that the model got right, 0 to 1.
  """
  return _Z * math.sqrt(n * recall * (1 - recall) + _Z**2 / 4) / (n + _Z**2)


def recall_interval(n: float, recall: float) -> tuple[float, float]:
  """Returns the 95 % interval of a recall that n records of a class measured; see above.

  >>> [round(end, 3) for end in recall_interval(10, 0.9)]
  [0.596, 0.982]
  """
  centre = (n * recall + _Z**2 / 2) / (n + _Z**2)
  half = recall_half_width(n, recall)
  return max(centre - half, 0.0), min(centre + half, 1.0)


def half_widths(n: int) -> tuple[float, ...]:
  """Returns `recall_half_width` at each of RECALLS, in thousandths."""
  return tuple(round(recall_half_width(n, recall), 3) for recall in RECALLS)


def records_for(half_width: float, recall: float) -> int:
  """Returns the least number of records of a class that measure a recall to +- `half_width`.

  >>> [records_for(0.1, recall) for recall in RECALLS]
  [93, 37]

  Args:
    half_width: Half-width of the 95 % interval, above 0, below 0.5.
    recall: Recall, 0 to 1.
  """
  # The root of half_width^2 (n + z^2)^2 = z^2 (n p (1 - p) + z^2 / 4).
  ratio = (_Z / half_width) ** 2
  b = 2 * _Z**2 - ratio * recall * (1 - recall)
  c = _Z**4 - ratio * _Z**2 / 4
  return math.ceil((-b + math.sqrt(b * b - 4 * c)) / 2)
