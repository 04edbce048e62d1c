"""The split's steps in their order, without a runner: milliseconds, where Beam takes a second."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tfx_balance.plan.group_table import GroupTable
from tfx_balance.plan.group_times import GroupMarks, NearGroups
from tfx_balance.plan.number_bins import NumberBins
from tfx_balance.plan.ranks import Candidates, Thresholds
from tfx_balance.plan.sparse_counts import SparseCounts
from tfx_balance.plan.split_shares import DEFAULT_SPLITS, SplitShares
from tfx_balance.plan.stable_splits import stable_thresholds
from tfx_balance.scan.scan import InputFile, ScannedFile
from tfx_balance.scan.totals import Totals
from tfx_balance.shuffle.bin_search import bin_file, select_numbers
from tfx_balance.shuffle.ranges import BatchKey, GatherRanges, all_files
from tfx_balance.shuffle.select import (
  Selection,
  collect_candidates,
  count_ranks,
  join_thresholds,
  plan_search,
  set_thresholds,
)
from tfx_balance.shuffle.time_search import TimeSelection, count_times, cut_times
from tfx_balance.stratified_splitter import grouped, grouped_in_time, transform
from tfx_balance.stratified_splitter.extension import plan_extension
from tfx_balance.stratified_splitter.held_records import find_held, hash_columns, leave_out
from tfx_balance.stratified_splitter.job import SplitJob, SplitRequest, new_scan
from tfx_balance.stratified_splitter.parameters import SplitterParameters
from tfx_balance.tfrecord.reading import READ_DEFAULTS
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import Job, publish_outputs

from tests.helpers_examples import Shards, read_splits, write_tfrecords


def input_files(folder: Path, shards: Shards, suffix: str = '') -> list[InputFile]:
  """Writes shards of records, and returns the files in order."""
  paths = [write_tfrecords(folder / f'in-{i}{suffix}', shard) for i, shard in enumerate(shards)]
  return [InputFile(path, rank) for rank, path in enumerate(paths)]


def request_target(folder: Path, arguments: dict[str, Any]) -> dict[str, Any]:
  """Returns the attributes of a `Request` but its parameters, those among arguments taken out."""
  (folder / 'work').mkdir(parents=True, exist_ok=True)
  defaults = {
    'payload': 'FORMAT_TF_EXAMPLE',
    'output_uri': str(folder / 'out'),
    'suffix': '',
    'work_dir': str(folder / 'work'),
    'n_files': 1,
  }
  return {name: arguments.pop(name, value) for name, value in defaults.items()}


def split_request(
  folder: Path, splits: Mapping[str, Any] | None = None, **arguments: Any
) -> SplitRequest:
  """Returns a request whose output and work files are in a folder."""
  counts, rest = arguments.pop('counts', None), arguments.pop('rest', None)
  defaults = {
    'features': ('label',),
    'shares': SplitShares.parse(DEFAULT_SPLITS if splits is None else splits, counts, rest),
    'predefined': None,
    'key': (),
    'seed': 0,
    'missing': 'error',
    'reading': READ_DEFAULTS,
    'output_files': {},
    'mode': 'exact',
    'by_values': False,
    'order': None,
    'labels': (),
    'extends': False,
    'groups': None,
    'bins': None,
    'input_splits': None,
  }
  target = request_target(folder, arguments)
  return SplitRequest(SplitterParameters(**{**defaults, **arguments}), **target)


def totals_of(scanned: Iterable[ScannedFile]) -> Totals:
  """Returns what some files hold together."""
  return functools.reduce(Totals.merge, map(Totals.of, scanned), Totals()).sum_up()


def thresholds_of(scanned: Sequence[ScannedFile], selection: Selection) -> Thresholds:
  """Returns the thresholds of a selection, range by range of its rows."""

  def merged(found: Iterable[tuple[int, Any]], merge: Callable[[list[Any]], Any]) -> list[Any]:
    by_range = defaultdict(list)
    for number, part in found:
      by_range[number].append(part)
    return [(number, merge(parts)) for number, parts in by_range.items()]

  counted = (found for file in scanned for found in count_ranks(file, selection, len(scanned)))
  histograms = merged(counted, SparseCounts.merge)
  searches = [plan_search(number, counts, selection) for number, counts in histograms]
  near = (found for file in scanned for found in collect_candidates(file, selection, searches))
  return join_thresholds(
    set_thresholds(number, candidates, selection, searches)
    for number, candidates in merged(near, Candidates.merge)
  )


def split_without_runner(
  files: Sequence[InputFile], request: SplitRequest
) -> tuple[SplitJob, np.ndarray, list[WorkFile]]:
  """Returns what `StratifiedSplit` puts out: the job, the counts assigned, and the files."""
  scan = new_scan(request)
  scanned = [found for file in files for found in scan.process(file)]
  given = request.parameters
  if given.bins:
    scanned = binned(scanned, given.bins, given.features.index(given.bins.feature))
  if given.groups:
    return split_groups_without_runner(scanned, request)
  if given.extends:
    scanned = without_held(scanned, request)
    groups = {name: totals_of(held) for name, held in _by_group(scanned).items()}
    job = plan_extension(groups, request)
  else:
    job = transform.planner(given)(totals_of(scanned), request)
  if given.order:
    told = ties_of(scanned, job.selection)
  elif given.mode == 'stable':
    told = [stable_thresholds(job.plan)]
  else:
    told = [thresholds_of(scanned, job.selection)]
  assign = transform.AssignSplits()
  counts, written = gather(job, [assign.process(found, job, *told) for found in scanned])
  planned = given.mode == 'exact' and not given.order
  return job if planned else job.with_counts(counts), counts, written


def split_groups_without_runner(
  scanned: Sequence[ScannedFile], request: SplitRequest
) -> tuple[SplitJob, np.ndarray, list[WorkFile]]:
  """Returns the same where groups are split."""
  given = request.parameters
  frame = transform.planner(given)(totals_of(scanned), request)
  parts = defaultdict(list)
  for file in scanned:
    for part, column in grouped.count_file(file, frame):
      parts[part].append(column)
  if given.order:
    marks = GroupMarks.merge([grouped_in_time.mark_part(part, frame) for part in parts.items()])
    job, around = grouped_in_time.find_ends(marks, frame)
    near = [grouped_in_time.take_near(part, frame, around) for part in parts.items()]
    plan = grouped_in_time.cut_groups(NearGroups.merge(near), frame, around)
  else:
    table = GroupTable.merge([grouped.tabulate_part(part, frame) for part in parts.items()])
    placed = SparseCounts.merge([grouped.place_part(part, frame, table) for part in parts.items()])
    job, plan = grouped.plan_parts(placed, frame, table)
  split_part = grouped_in_time.split_part_in_time if given.order else grouped.split_part
  by_file = defaultdict(list)
  for part in sorted(parts.items()):
    for rank, column in split_part(part, frame, plan):
      by_file[rank].append(column)
  assign = transform.AssignGroups()
  assigned = [assign.process((file, by_file[file.file.rank]), job) for file in scanned]
  counts, written = gather(job, assigned)
  return job.with_counts(counts) if given.order else job, counts, written


def binned(scanned: Sequence[ScannedFile], bins: NumberBins, place: int) -> list[ScannedFile]:
  """Returns the files with bins for the classes of a feature."""
  if not bins.n:
    return [bin_file(file, bins, place) for file in scanned]
  selection = select_numbers(totals_of(scanned), bins, place)
  found = thresholds_of(scanned, selection)
  return [bin_file(file, bins, place, selection, found) for file in scanned]


def ties_of(scanned: Sequence[ScannedFile], selection: TimeSelection) -> list[Any]:
  """Returns the ties of the cuts in time, and the thresholds of their ranks."""
  found = thresholds_of(scanned, selection.behind_ends)
  counted = SparseCounts.merge([count_times(file, selection, found) for file in scanned])
  ties = cut_times(counted, selection, found)
  return [ties, thresholds_of(scanned, ties)]


def _by_group(scanned: Iterable[ScannedFile]) -> dict[str, list[ScannedFile]]:
  groups: dict[str, list[ScannedFile]] = {}
  for file in scanned:
    groups.setdefault(file.file.group, []).append(file)
  return groups


def without_held(scanned: Sequence[ScannedFile], request: SplitRequest) -> list[ScannedFile]:
  """Returns the files, the new ones without the records that the others have."""
  parts, held = defaultdict(list), defaultdict(list)
  for file in scanned:
    for part, column in hash_columns(file):
      parts[part].append(column)
  for columns in parts.values():
    for rank, hashes in find_held(columns):
      held[rank].append(hashes)
  return [leave_out(file, held[file.file.rank], request) for file in scanned]


def gather(
  job: Job, assigned: Sequence[Iterable[Any]], **options: Any
) -> tuple[np.ndarray, list[WorkFile]]:
  """Returns the counts and the files, given what was assigned of each input file.

  Args:
    job: Plan of the run.
    assigned: What was assigned of each file.
    **options: Options of `GatherRanges`.
  """
  counts: Any = 0
  ranges: dict[BatchKey, list[Any]] = {key: [nothing] for key, nothing in all_files(job.groups)}
  for of_file in assigned:
    for found in of_file:
      if isinstance(found, tuple):
        ranges[found[0]].append(found[1])
      else:
        counts = counts + found.value[1].dense()
  step = GatherRanges(job.request.work_dir, job.request.parameters.seed, **options)
  return counts, [file for item in ranges.items() for file in step.process(item)]


def run_split(
  folder: Path, shards: Shards, splits: Mapping[str, Any] | None = None, **arguments: Any
) -> dict[str, list[bytes]]:
  """Returns the records of each split that some shards make."""
  suffix = arguments.pop('input_suffix', '')
  request = split_request(folder, splits, **arguments)
  files = input_files(folder, shards, suffix)
  publish_outputs(*split_without_runner(files, request))
  return read_splits(request.output_uri)
