"""The state of a run's batches as JSON: where it is, and what its batches are a function of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from tfx_balance.documents.json_document import Count, document_text, read_document, sealed
from tfx_balance.plan.set_shares import ShareChange


@dataclass(frozen=True)
class BatchState:
  """Where a run is, before the batch at `step`, whatever the number of its hosts.

  In version 1 classes of fewer than 256 records were drawn in another order: a run that continues
  from one may repeat records of these, or leave some out, until their present pass ends.

  Attributes:
    step: Batches before.
    batch_size: Records of a global batch.
    strategy: One of BATCH_STRATEGIES.
    seed: Seed of the draws.
    epoch_steps: Batches of an epoch.
    class_records: Records of a class that are together in a batch of 'classes_per_batch'.
    records: Records of each class.
    windows: Hash of the sizes of the runs of records that are shuffled together.
    weights: Weight of each class at `step`.
    lag: See `tfx_balance.plan.batch_draws.DrawState`, as the following two.
    drawn: Records drawn of each class.
    epoch_start: Records drawn of each class when the present epoch began.
    shares: History of shares that are set while training; none for other schedules.
  """

  FORMAT: ClassVar[str] = 'tfx_balance.batch_state'
  VERSION: ClassVar[int] = 2

  step: Count
  batch_size: Count
  strategy: str
  seed: int
  epoch_steps: Count
  class_records: Count
  records: tuple[Count, ...]
  windows: str
  weights: tuple[Count, ...]
  lag: tuple[int, ...]
  drawn: tuple[Count, ...]
  epoch_start: tuple[Count, ...]
  shares: tuple[ShareChange, ...] = ()

  def dumps(self) -> str:
    """Returns the state as JSON, a line a field; equal states give equal text."""
    return document_text(sealed({'format': self.FORMAT, 'version': self.VERSION, **asdict(self)}))

  @classmethod
  def from_json(cls, data: Any, source: str = 'state') -> BatchState:
    """Returns the state that JSON data, or its text, is.

    Raises:
      DataError: if it is none, of a newer version, or not whole.
    """
    return read_document(data, source, cls)
