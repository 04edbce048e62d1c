"""Pools: the first records of each class by rank, over all files, for functions that need others.

files, plan, shapes ── Thresholds: which records are in a pool ── Collect ── ClassPools

A pool is the same for any order, sharding and runner, to the last bit of what is summed over it:
its records are in the order of their ranks, and those of equal rank in the order of their values.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.augment.contract import check_column
from tfx_balance.balanced_augmenter.examples import FeatureShape, FeatureShapes, decode
from tfx_balance.balanced_augmenter.output_plan import AugmentOutputPlan
from tfx_balance.beam.steps import summed
from tfx_balance.errors import ConfigError
from tfx_balance.plan.pool_plan import PoolPlan, PoolRequest, plan_pools
from tfx_balance.plan.ranks import Ints, Thresholds, UInts
from tfx_balance.scan.scan import ScannedFile
from tfx_balance.shuffle.select import FileAssigner, Selection, find_file_thresholds
from tfx_balance.sizes import Workspace

_NUMBER_BYTES = {'int': 8, 'float': 4}
_OBJECT_BYTES = 48
"""Bytes of a bytes value besides its own: an object, and the pointer to it."""
_RECORD_BYTES = 16
"""Bytes of a record's row and rank."""


@dataclass(frozen=True)
class ClassPools:
  """Records of several classes, m of them.

  Attributes:
    rows: Rows of the plan, one for each class: int64 [m].
    ranks: Ranks of the records: uint64 [m].
    columns: Arrays by feature, [m] or [m, k]: int64, float32, or object for bytes.
  """

  rows: Ints
  ranks: UInts
  columns: Mapping[str, npt.NDArray[Any]]

  def of(self, row: int) -> dict[str, npt.NDArray[Any]]:
    """Returns the pool of a class, once the records are in order: feature to [p] or [p, k]."""
    low, high = np.searchsorted(self.rows, [row, row + 1])
    return {name: column[low:high] for name, column in self.columns.items()}

  def in_order(self) -> ClassPools:
    """Returns the records by row, rank and values."""
    order = np.lexsort((self.ranks, self.rows))
    rows, ranks = self.rows[order], self.ranks[order]
    new = np.ones(len(order) + 1, bool)
    new[1:-1] = (rows[1:] != rows[:-1]) | (ranks[1:] != ranks[:-1])
    edges = np.flatnonzero(new)
    for i in np.flatnonzero(np.diff(edges) > 1):  # few, or the same record several times
      equal = slice(edges[i], edges[i + 1])
      order[equal] = sorted(order[equal], key=self._values)
    columns = {name: column[order] for name, column in self.columns.items()}
    return ClassPools(rows, ranks, columns)

  def _values(self, at: int) -> list[Any]:
    """Returns the sort key of a record among those of equal rank."""
    cells = (self.columns[name][at : at + 1] for name in sorted(self.columns))
    return [cell.ravel().tolist() if cell.dtype == object else cell.tobytes() for cell in cells]


NO_POOLS = ClassPools(np.empty(0, np.int64), np.empty(0, np.uint64), {})


def join_pools(several: Iterable[ClassPools]) -> ClassPools:
  """Returns the records of all of them, one after another."""
  filled = [pools for pools in several if len(pools.rows)]
  if not filled:
    return NO_POOLS
  return ClassPools(
    np.concatenate([pools.rows for pools in filled]),
    np.concatenate([pools.ranks for pools in filled]),
    {name: np.concatenate([pools.columns[name] for pools in filled]) for name in filled[0].columns},
  )


def pool_shapes(shapes: FeatureShapes, request: PoolRequest) -> dict[str, FeatureShape]:
  """Returns the shapes of the features that pools hold, each of a fixed number of values.

  Raises:
    ConfigError: if one that the function names is not there, or not with that.
  """
  fixed = {name: shape for name, shape in shapes.items() if shape.is_fixed}
  if request.features is None:
    return {name: shape for name, shape in fixed.items() if shape.kind != 'bytes'}
  for name in request.features:
    if name in shapes and name not in fixed:
      shape = shapes[name]
      raise ConfigError(
        f'{request.owner}: feature {name!r} has {shape.fewest} to {shape.most} values in a record; '
        f'give every record as many, or leave it out'
      )
    check_column(fixed, name, request.owner)
  return {name: fixed[name] for name in request.features}


def with_pools(
  output_plan: AugmentOutputPlan, shapes: FeatureShapes, request: PoolRequest
) -> AugmentOutputPlan:
  """Adds the plan of the pools to the plan of the run.

  Raises:
    ConfigError: if the records lack a feature that the function names.
  """
  needed = pool_shapes(shapes, request).values()
  fixed = sum(_NUMBER_BYTES.get(shape.kind, _OBJECT_BYTES) * shape.most for shape in needed)
  has_bytes = any(shape.kind == 'bytes' for shape in needed)
  copied = np.any((output_plan.copies > 1) & (output_plan.selection.quotas > 0), axis=1)
  counts = [output_plan.totals[split].strata() for split in output_plan.plans]
  n = np.concatenate([of_split.records for of_split in counts])
  # Bytes are as long as they are: a record of the class has no more, on average.
  longest = -(-np.concatenate([of_split.n_bytes for of_split in counts]) // n)
  record_bytes = _RECORD_BYTES + fixed + (longest if has_bytes else np.zeros_like(n))
  records = np.where(copied, n, 0).tolist()
  return dataclasses.replace(output_plan, pools=plan_pools(records, record_bytes.tolist(), request))


def pool_selection(output_plan: AugmentOutputPlan) -> Selection:
  """Returns the selection whose part 0 is what the pools hold."""
  sizes = np.array(_planned(output_plan).sizes, np.int64)
  quotas = np.stack([sizes, output_plan.selection.quotas.sum(axis=1) - sizes], axis=1)
  return dataclasses.replace(output_plan.selection, quotas=quotas)


def collect_pool(
  scanned: ScannedFile,
  output_plan: AugmentOutputPlan,
  thresholds: Thresholds,
  shapes: FeatureShapes,
) -> ClassPools:
  """Returns the records of a file that are in a pool, in any order."""
  selection = pool_selection(output_plan)
  if not selection.quotas[selection.rows_of(scanned), 0].any():
    return NO_POOLS
  wanted = pool_shapes(shapes, _planned(output_plan).request)
  assigner, strata = FileAssigner(selection, thresholds, scanned), selection.strata_of(scanned)
  parts = []
  for index, frames in scanned.spill.frames('hash', 'content', 'code', 'size'):
    chosen = np.flatnonzero(assigner.assign(index) == 0)
    records = frames.take(chosen).payloads()
    columns = decode(records, wanted, scanned.file.path) if wanted else {}
    arrays = {name: lists.flatten().to_numpy(False) for name, lists in columns.items()}
    for name, shape in wanted.items():
      if shape.most > 1:
        arrays[name] = arrays[name].reshape(len(chosen), shape.most)
    parts.append(ClassPools(strata[index['code'][chosen]], selection.ranks(index[chosen]), arrays))
  return join_pools(parts)


def _planned(output_plan: AugmentOutputPlan) -> PoolPlan:
  assert output_plan.pools is not None
  return output_plan.pools


@dataclass
class FindPools(beam.PTransform):
  """Finds the records of the pools, and gives them to whoever makes copies.

  Input: (scanned, output plan, shapes): `ScannedFile`, one `AugmentOutputPlan` with pools, one
  `FeatureShapes`. Output: `ClassPools`, one.

  Attributes:
    work: Where work files are, and how many files were scanned.
  """

  work: Workspace

  def expand(self, inputs: tuple[beam.PCollection, ...]) -> beam.PCollection:
    scanned, output_plan, shapes = inputs
    selection = output_plan | 'Selection' >> beam.Map(pool_selection)
    thresholds = find_file_thresholds(scanned, selection, self.work)
    return summed(
      scanned,
      'Collect',
      collect_pool,
      join_pools,
      lambda pools, *_: pools.in_order(),
      beam.pvalue.AsSingleton(output_plan),
      beam.pvalue.AsSingleton(thresholds),
      beam.pvalue.AsSingleton(shapes),
    )
