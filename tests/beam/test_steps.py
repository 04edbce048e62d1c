"""Few-step forms of Beam's composites."""

import operator

import apache_beam as beam
import pytest
from apache_beam.testing.test_pipeline import TestPipeline
from apache_beam.testing.util import assert_that, equal_to
from tfx_balance.beam.steps import MergeRows, create, spread, summed
from tfx_balance.sizes import Sizes, Workspace


@pytest.mark.parametrize('values', [[], [3], [1, 2, 2]], ids=['none', 'one', 'equal ones'])
def test_created_values_are_elements(values):
  with TestPipeline() as pipeline:
    assert_that(create(pipeline, 'Create', values), equal_to(values))


def test_spread_elements_are_the_same_also_where_keys_are():
  with TestPipeline() as pipeline:
    made = create(pipeline, 'Create', [1, 2, 3, 4])
    assert_that(spread(made, 'Spread', lambda n: n % 2), equal_to([1, 2, 3, 4]))


def test_every_element_and_the_side_input_are_summed():
  with TestPipeline() as pipeline:
    factor = beam.pvalue.AsSingleton(create(pipeline, 'Factor', [10]))
    made = create(pipeline, 'Create', [1, 2, 3])
    total = summed(made, 'Sum', operator.mul, sum, operator.sub, factor)
    assert_that(total, equal_to([60 - 10]))


def sorted_rows(lists):
  return sorted(row for rows in lists for row in rows)


@pytest.mark.parametrize('n', [3, 7, 30])
def test_rows_of_many_elements_are_merged_in_a_tree(n):
  lists = [[i, 100 - i] for i in range(n)]
  with TestPipeline() as pipeline:
    made = create(pipeline, 'Create', lists)
    work = Workspace(work_dir='', n_files=n, sizes=Sizes(fan_in=3))
    merge, file_number = MergeRows(sorted_rows, batch_rows=2), operator.itemgetter(0)
    merged = summed(made, 'Merge', list, merge, list, file_number=file_number, work=work)
    assert_that(merged, equal_to([sorted_rows(lists)]))


def test_what_is_merged_is_merged_again_once_as_much_has_come():
  sizes = []

  def merge(parts):
    sizes.append(len(parts))
    return [row for rows in parts for row in rows]

  step = MergeRows(merge, batch_rows=1)
  parts = step.create_accumulator()
  for i in range(1000):
    parts = step.add_input(parts, [i])
  assert step.extract_output(parts) == [*range(1000)]
  assert len(sizes) < 12  # as many as there are doublings


def test_of_none_comes_nothing():
  with TestPipeline() as pipeline:
    assert_that(summed(create(pipeline, 'None', []), 'Sum', int, sum, int), equal_to([]))
