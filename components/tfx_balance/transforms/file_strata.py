"""The strata of one file as columns of values, for there may be thousands in each of many files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfx_balance.plan.class_value import MISSING, ClassValue, Kind, Stratum

Value = int | float | bytes | None


@dataclass(frozen=True)
class FileStrata:
  """Strata, made when they are asked for.

  As objects that stay they would have Python's collector of garbage search the whole heap, TFX and
  TensorFlow included, over and over: half of all the time where a file has 10,000 classes.

  Attributes:
    kinds: of the values of each feature; 'missing' where none is known.
    columns: the values of each feature, one for each stratum; None is a missing one.
  """

  kinds: tuple[Kind, ...]
  columns: tuple[tuple[Value, ...], ...]

  def __len__(self) -> int:
    return len(self.columns[0])

  def __getitem__(self, code: int) -> Stratum:
    return self._stratum([column[code] for column in self.columns])

  def __iter__(self) -> Iterator[Stratum]:
    return map(self._stratum, zip(*self.columns, strict=True))

  def _stratum(self, values: Iterable[Value]) -> Stratum:
    return tuple(
      MISSING if value is None else ClassValue(kind, value)
      for kind, value in zip(self.kinds, values, strict=True)
    )
