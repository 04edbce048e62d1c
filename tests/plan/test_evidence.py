"""Half-widths of intervals of a recall, and the records that these take."""

import pytest
from scipy.stats import binomtest
from tfx_balance.plan.evidence import half_widths, recall_half_width, records_for


@pytest.mark.parametrize(('right', 'n'), [(0, 1), (5, 10), (9, 10), (45, 50), (500, 1000)])
def test_the_half_width_is_that_of_wilsons_interval(right, n):
  interval = binomtest(right, n).proportion_ci(0.95, method='wilson')
  assert recall_half_width(n, right / n) == pytest.approx((interval.high - interval.low) / 2)


def test_without_a_record_anything_may_be():
  assert half_widths(0) == (0.5, 0.5)


@pytest.mark.parametrize('recall', [0, 0.1, 0.5, 0.9, 1])
@pytest.mark.parametrize('half_width', [0.01, 0.05, 0.1, 0.3, 0.49])
def test_one_record_fewer_does_not_do(half_width, recall):
  n = records_for(half_width, recall)
  assert recall_half_width(n, recall) <= half_width < recall_half_width(n - 1, recall)
