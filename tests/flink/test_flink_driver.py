"""The process that submits a pipeline to Flink holds no records, however many there are."""

from dataclasses import asdict

from benchmarks.harness import Piece, run_piece
from tests.flink.helpers_flink import PORTABLE, make_files

FEW, MANY = 20_000, 2_000_000


def test_the_drivers_memory_does_not_grow_with_the_records(flink, tmp_path):
  sources = [make_files(tmp_path / 'files', records, 4) for records in (FEW, MANY)]

  few, many = (
    run_piece(
      Piece('benchmarks.split:stratified_split'),
      data=asdict(files),
      root=str(tmp_path / f'run-{files.records}'),
      beam_args=[*PORTABLE, *flink.beam_args],
    )
    for files in sources
  )

  assert sum(many.counts.values()) == many.records == MANY
  # 250 MB of records. What the driver gets is how the job goes: the noise of a process, no more.
  assert many.peak_bytes - few.peak_bytes < sources[1].raw_bytes / 8
