"""What is measured is the work alone."""

from benchmarks.measure import Work, measure


def test_memory_that_is_touched_before_the_clock_starts_is_in_no_figure():
  found = measure(Work(lambda: 3, fresh_bytes=1 << 28))
  assert found.result == 3
  assert found.peak_bytes - found.start_bytes < 1 << 24
  assert found.cpu_seconds < 0.05
