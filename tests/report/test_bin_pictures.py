"""A number that was put into bins: the report has its bins in ascending order, and draws them."""

import pytest
from tfx_balance import StratifiedSplitter
from tfx_balance.plan.number_bins import bin_names
from tfx_balance.report import read_run, render_html
from tfx_balance.report.bin_pictures import bins_picture

from tests.helpers_examples import example, in_shards
from tests.helpers_pipeline import execute, input_artifact

EDGES = [-5, 2, 10, 100]
NAMES = bin_names(EDGES)


def split(root, **arguments):
  """Returns the run of a split whose middle bin is the largest, and whose second is empty in b."""
  prices = [-9, *[0] * 20, *[3] * 60, *[11] * 12, *[1000] * 7]
  records = [
    example(price=price, site='b' if price in (-9, 3) else 'a', id=i)
    for i, price in enumerate(prices)
  ]
  source = input_artifact(root / 'in', {'all': in_shards(records, 2)})
  found = execute(
    StratifiedSplitter,
    [source],
    root / 'out',
    **{'stratify_by': 'price', 'bins': EDGES, 'splits': {'train': 3, 'test': 1}, **arguments},
  )
  return read_run([found.uri])


def test_bins_are_in_ascending_order_whatever_their_size(tmp_path):
  view = split(tmp_path)
  assert [str(value) for value in view.classes] == NAMES
  assert sum(view.stages[0].total.values()) == 100
  page = render_html([str(tmp_path / 'out')])
  places = [page.index(f'>{name}<') for name in NAMES]
  assert places == sorted(places)
  assert 'id="report-bins-title"' in page


@pytest.mark.parametrize(
  'arguments',
  [{}, {'stratify_by': ['site', 'price'], 'bins': {'price': EDGES}}],
  ids=['the class', 'of joint strata'],
)
def test_the_picture_has_the_records_in_each_bin_of_each_split(tmp_path, arguments):
  view = split(tmp_path, **arguments)
  picture = bins_picture(view)
  (stage,) = [stage for stage in view.stages if stage.bins]
  assert stage.bins.feature == 'price'
  sums = [sum(column) for column in zip(*stage.bins.counts.values(), strict=True)]
  assert sums == [1, 20, 60, 12, 7]
  assert sum(stage.bins.counts['train']) == 75
  assert picture.title == 'Distribution of price in each split'
  assert 'train: 5 bins, each with' in picture.description
  svg = picture.svg()
  assert svg == picture.svg()
  for edge in EDGES:
    assert f'>{edge}<' in svg.replace('\u2212', '-')


def test_joint_strata_keep_their_classes_by_size(tmp_path):
  view = split(tmp_path, stratify_by=['site', 'price'], bins={'price': EDGES})
  assert [str(value) for value in view.classes] == ['b', 'a']


def test_a_split_by_class_has_no_such_picture(tmp_path):
  assert bins_picture(split(tmp_path, stratify_by='site', bins=None)) is None
