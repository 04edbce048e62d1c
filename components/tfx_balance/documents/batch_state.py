"""The state of a run's batches as JSON: where it is, and what its batches are a function of."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import ClassVar

from tfx_balance.documents.json_document import Count, Document
from tfx_balance.plan.adjustable_shares import ShareChange


@dataclass(frozen=True)
class BatchState(Document):
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
  NAME: ClassVar[str] = 'state'

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
  shares: tuple[ShareChange, ...] = field(
    default=(),
    metadata={'null': (), 'write': lambda changes: [asdict(change) for change in changes]},
  )
