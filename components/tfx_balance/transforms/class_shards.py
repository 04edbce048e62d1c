"""Records laid out by class as a Beam transform: count, plan, deal out, write.

files ── ScanFile ──┬── Totals of each split ── ShardJob
                    └── DealByClass ── spills ── GatherFile ── publish, with plan and sidecar
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import apache_beam as beam
import numpy as np
import numpy.typing as npt

from tfx_balance.plan.apportion import tie_break
from tfx_balance.plan.input_plan import PLAN_NAME
from tfx_balance.plan.sidecar import SIDECAR_NAME, input_sidecar
from tfx_balance.transforms.class_shards_job import ShardJob, ShardRequest, plan_shards
from tfx_balance.transforms.count import InputFile, ScannedFile, scan_files
from tfx_balance.transforms.publish import check_records, file_sizes
from tfx_balance.transforms.select import sum_arrays
from tfx_balance.transforms.shuffle import Scatterer, Spill, gather_files
from tfx_balance.transforms.steps import same, summed
from tfx_balance.transforms.totals import SumGroups
from tfx_balance.transforms.work_files import WorkFile, json_text, publish, write_document

HYPERPARAMETERS_NAME = 'best_hyperparameters.txt'
"""As the stock Tuner names it; the Trainer takes whatever single file there is."""

Ints = npt.NDArray[np.int64]


class DealByClass(beam.DoFn):
  """Turns a `ScannedFile` into spills by output file, and the records of each class in it."""

  COUNTS = 'counts'

  def process(
    self, scanned: ScannedFile, job: ShardJob
  ) -> Iterator[tuple[str, Spill] | beam.pvalue.TaggedOutput]:
    request, outputs = job.request, job.outputs(scanned)
    key = tie_break(request.seed, 'order in classes')
    counts = np.zeros(len(job.classes) + 1, np.int64)  # the first is of dropped records
    with Scatterer(job.layouts, scanned.file.rank, job.n_files, key, request.work_dir) as scatterer:
      for index, frames in scanned.frames():
        chosen = outputs[np.minimum(index['code'], len(outputs) - 1)]
        scatterer.add(frames, chosen)
        counts += np.bincount(chosen + 1, minlength=len(counts))
      yield from scatterer.spills()
    yield beam.pvalue.TaggedOutput(self.COUNTS, counts[1:])


@dataclass
class ClassShards(beam.PTransform):
  """Turns input files into files by class, which wait to be published.

  Input: `InputFile`, whose group is its split. Output: (job, counts, files): `ShardJob` and int64
  [classes], one of each, and `WorkFile`, one a file.
  """

  request: ShardRequest

  def expand(
    self, files: beam.PCollection[InputFile]
  ) -> tuple[beam.PCollection, beam.PCollection, beam.PCollection]:
    r = self.request
    scanned = scan_files(files, [r.label], r.payload, r.missing, r.work_dir, r.reading)
    job = summed(scanned, 'Total', same, SumGroups(), partial(plan_shards, request=r))
    dealt = scanned | 'DealByClass' >> beam.ParDo(
      DealByClass(), beam.pvalue.AsSingleton(job)
    ).with_outputs(DealByClass.COUNTS, main='spills')
    counts = summed(dealt[DealByClass.COUNTS], 'Counts', same, sum_arrays, same)
    return job, counts, gather_files(dealt.spills, job, r.work_dir)


def publish_shards(
  passed_through: Sequence[str], job: ShardJob, counts: Ints, files: Sequence[WorkFile]
) -> None:
  """Moves all the files to where they belong, then the plan, twice, and the sidecar.

  Raises:
    RuntimeError: if that is not what was planned: a fault of this package, or changed data.
  """
  if counts.tolist() != list(job.written):
    raise RuntimeError(f'dealt out {counts.tolist()} records by class, planned {job.written}')
  check_records(job, files)
  plan, request = job.plan(files), job.request
  sizes = file_sizes(files)
  sidecar = input_sidecar(plan, request.parameters, job.sources, sizes, passed_through)
  documents = {
    f'{request.hyperparameters_uri}/{HYPERPARAMETERS_NAME}': plan.dumps(),
    f'{request.output_uri}/{PLAN_NAME}': plan.dumps(),
    f'{request.output_uri}/{SIDECAR_NAME}': json_text(sidecar),
  }
  described = [write_document(request.work_dir, path, text) for path, text in documents.items()]
  publish(files)
  for document in described:  # the sidecar last, as the mark that all is there
    publish([document])
