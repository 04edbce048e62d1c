"""Measures how the cost of StratifiedSplitter per record scales from 0.5 to 50 million records.

Each case is a pipeline of this component in its own process, on gzip files. The number of records,
classes and files is varied one at a time. core-us: core-microseconds per record; read, written: MB
of file I/O including work files, as counted by the system; shuffled: MB of elements between stages
of the Beam pipeline. Targets: a record costs at most a fifth more in 50 million than in half a
million, and memory does not grow.

The last case sums counts that the files of a terabyte could have, with each class in 20 of them, as
Beam sums them, and plans a split and a balance from the sums. Targets: a minute, and 2 GB.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import psutil
import pyarrow as pa

from benchmarks.data import DataFiles, DataSpec
from benchmarks.harness import Case, Piece, Result, Work
from benchmarks.report import series

SPECS = {
  'full': 'small:500000:64:100 small:5000000:64:100 small:5000000:64:10 small:5000000:64:1000 '
  'small:5000000:64:10000 small:5000000:8:100 small:5000000:512:100 4k:50000:8:100 '
  '4k:500000:64:100 small:50000000:64:100',
  'small': 'small:50000:8:10 small:500000:8:10 small:500000:64:10 small:500000:8:1000',
  'tiny': 'small:1000:2:10 small:20000:2:10',
}
# Numbers of classes and of files.
PLANS = {'full': (1_000_000, 50_000), 'small': (100_000, 5_000), 'tiny': (1_000, 600)}
_COLOURS = {'records': '#1b6ca8', 'classes': '#c8553d', 'shards': '#588157'}


def cases(size: str, specs: Sequence[DataSpec] = ()) -> list[Case]:
  """Returns the cases of a size, or those of the given input files."""
  plans = () if specs else (plan_case(*PLANS[size]),)
  return [*map(case_of, specs or map(DataSpec.parse, SPECS[size].split())), *plans]


def case_of(spec: DataSpec) -> Case:
  """Returns the case that splits the specified files."""
  return Case(
    name=f'{spec.records:,} {spec.kind}, {spec.classes:,} classes, {spec.shards} shards',
    records=spec.records,
    make=Piece('benchmarks.data:make', {'spec': asdict(spec)}),
    floor=Piece('benchmarks.floor:recode', {'libraries': ['isal']}),
    sides={'ours': Piece('benchmarks.scale:split')},
    peers=(),
    ours=('ours',),
    shape=asdict(spec),
  )


def plan_case(classes: int, files: int) -> Case:
  """Returns the case that plans for so many classes and files."""
  side = Piece('benchmarks.scale:plan', {'classes': classes, 'files': files})
  name = f'plans of {classes:,} classes, {files:,} files'
  return Case(name, 40 * classes, sides={'ours': side}, peers=(), ours=('ours',))


def plan(classes: int, files: int, data: Any, root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of summing synthetic counts of files, and of planning from the sums."""
  from tfx_balance.plan.balance_plan import BalanceRequest, plan_balance
  from tfx_balance.plan.split_plan import plan_splits
  from tfx_balance.plan.split_shares import SplitShares
  from tfx_balance.scan.stratum_counts import StratumColumns, StratumCounts
  from tfx_balance.scan.totals import SumBySplit, Totals
  from tfx_balance.sizes import SIZES

  def counted(file_number: int) -> dict[str, Totals]:
    n = 20 * classes // files
    values = (file_number * n + np.arange(n)) * 1_000_003 % classes
    records = np.random.default_rng(file_number).geometric(0.5, n)
    strata = StratumColumns(('int',), (pa.array(values),))
    return {'': Totals(n_files=1, counts=[StratumCounts(strata, records, 1000 * records)])}

  def run() -> tuple[Any, Any]:
    groups = np.array_split(np.arange(files), -(-files // SIZES.fan_in))
    add_up = SumBySplit()
    sums = (add_up.compact(add_up.merge_accumulators(map(counted, group))) for group in groups)
    counts = add_up.merge_accumulators(sums)[''].strata()
    balanced = plan_balance(counts.strata.classes, counts.records, BalanceRequest())
    return plan_splits(counts.strata, counts.records, SplitShares.parse()), balanced

  def check(plans: tuple[Any, Any]) -> dict[str, Any]:
    counts = dict(zip(plans[0].splits, plans[0].totals(), strict=True))
    return {'records': sum(counts.values()), 'counts': counts}

  return Work(run, check)


def split(data: dict[str, Any], root: str, beam_args: Sequence[str]) -> Work:
  """Returns the work of splitting files, which also measures the transferred bytes."""
  from benchmarks.split import stratified_split

  files, work = DataFiles.from_json(data), stratified_split(data, root, beam_args)

  def run() -> dict[str, float]:
    before = _file_bytes()
    with shuffled_bytes() as shuffled:
      work.run()
    moved = {name: n - before[name] for name, n in _file_bytes().items()}
    return {name: n / 1e6 for name, n in {**moved, 'shuffled MB': shuffled['bytes']}.items()}

  def check(figures: dict[str, float]) -> dict[str, Any]:
    counts = count_records(Path(root))
    if sum(counts.values()) != files.records:
      raise RuntimeError(
        f'{files.records} input records gave {counts} output records; fix the splitter'
      )
    return {'records': files.records, 'counts': counts, 'figures': figures}

  return Work(run, check, work.fresh_bytes)


def _file_bytes() -> dict[str, int]:
  """Returns the bytes that this process has read and written."""
  used = psutil.Process().io_counters()
  return {'read MB': used.read_chars, 'written MB': used.write_chars}


@contextlib.contextmanager
def shuffled_bytes() -> Iterator[Counter[str]]:
  """Counts the bytes that Beam's local runner stores between stages within the context."""
  from apache_beam.runners.portability.fn_api_runner import execution

  counter: Counter[str] = Counter()

  def counting(append: Any) -> Any:
    def append_counting(buffer: Any, elements: bytes) -> None:
      counter['bytes'] += len(elements)
      append(buffer, elements)

    return append_counting

  with contextlib.ExitStack() as stack:
    for kind in (execution.ListBuffer, execution.GroupingBuffer):
      stack.enter_context(mock.patch.object(kind, 'append', counting(kind.append)))
    yield counter


def count_records(root: Path) -> dict[str, int]:
  """Returns the number of records of each split; TensorFlow's reader would take minutes."""
  from tfx_balance.tfrecord.files import read_frames

  records: Counter[str] = Counter()
  for path in sorted(root.glob('StratifiedSplitter/examples/*/Split-*/*')):
    records[path.parent.name.removeprefix('Split-')] += sum(map(len, read_frames(str(path))))
  return dict(records)


def draw(results: Sequence[Result], path: Path) -> None:
  """Plots cost per record and peak memory for the longest series of each size."""
  import matplotlib

  matplotlib.use('Agg')
  from matplotlib import pyplot

  longest = [
    max((one for one in series(results) if one.what == what), key=lambda one: len(one.results))
    for what in dict.fromkeys(one.what for one in series(results))
  ]
  figure, rows = pyplot.subplots(
    2, len(longest), figsize=(11, 5.4), sharey='row', layout='constrained', squeeze=False
  )
  for column, one in zip(rows.T, longest, strict=True):
    x = [result.case.shape[one.what] for result in one.results]
    cost = [(r.core_seconds('ours') or 0) / r.case.records * 1e6 for r in one.results]
    memory = [(r.peak_bytes('ours') or 0) / 1e9 for r in one.results]
    for axes, values in zip(column, (cost, memory), strict=True):
      axes.plot(x, values, marker='o', color=_COLOURS[one.what])
      axes.set_xscale('log')
      axes.set_xticks(x, [f'{n:,}' for n in x])
      axes.minorticks_off()
      axes.grid(alpha=0.25)
    column[1].set_xlabel(f'{one.what} ({one.fixed})')
  for axes, label in zip(rows[:, 0], ('core-µs per record', 'peak memory, GB'), strict=True):
    axes.set_ylabel(label)
    axes.set_ylim(bottom=0)
  figure.suptitle('StratifiedSplitter: cost per record and peak memory')
  figure.savefig(path, dpi=110)
  pyplot.close(figure)
