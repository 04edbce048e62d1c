"""The pictures: files that anybody opens, with every name as it is, and no state left behind."""

import warnings
from xml.etree import ElementTree

import matplotlib as mpl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report import pictures, read_run
from tfx_balance.report.class_pictures import furthest, rank_frequency
from tfx_balance.report.measures import class_name, short
from tfx_balance.report.page import pictures_of
from tfx_balance.report.pictures import LABEL_LENGTH, inline

from tests.report.helpers_report import NASTY, long_tail, write_run

SVG = '{http://www.w3.org/2000/svg}'


@pytest.fixture(scope='module')
def nasty(tmp_path_factory):
  root = tmp_path_factory.mktemp('nasty')
  return pictures_of(read_run(write_run(root, long_tail(len(NASTY), nasty=True))))


def texts(svg):
  return {element.text or '' for element in ElementTree.fromstring(svg).iter(f'{SVG}text')}


def test_every_picture_is_there(nasty):
  assert [picture.name for picture in nasty] == ['counts', 'ideal-split', 'recall']


@pytest.mark.parametrize('index', range(3), ids=['counts', 'ideal', 'recall'])
def test_names_are_in_the_pictures_as_they_are(nasty, index):
  found = texts(nasty[index].svg())
  assert {short(class_name(ClassValue('bytes', v)), LABEL_LENGTH) for v in NASTY} <= found
  assert r'$\frac{1}{2}$ 100% _x_' in found


@pytest.mark.parametrize('index', range(3), ids=['counts', 'ideal', 'recall'])
def test_names_are_in_the_page_as_they_are(nasty, index):
  picture = nasty[index]
  markup = inline(picture.svg(), 'here', picture.title, picture.description)
  root = ElementTree.fromstring(f'<div xmlns="http://www.w3.org/2000/svg">{markup}</div>')
  found = {element.text or '' for element in root.iter(f'{SVG}text')}
  assert 'url(#a) id="b" #0067a5 ]]> -->' in found
  assert found == texts(picture.svg())
  ids = [element.get('id') for element in root.iter() if element.get('id')]
  assert all(name.startswith('here-') for name in ids)
  used = [e.get('href') for e in root.iter(f'{SVG}use')]
  assert used
  assert all(link.startswith('#here-') and link[1:] in ids for link in used)


def test_a_picture_is_the_same_every_time_and_leaves_no_state(nasty, monkeypatch):
  first = nasty[0].svg()
  monkeypatch.setitem(mpl.rcParams, 'font.size', 33.0)
  before = dict(mpl.rcParams)
  assert nasty[0].svg() == first
  assert dict(mpl.rcParams) == before


def test_nothing_is_warned_of(nasty):
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    for picture in nasty:
      picture.svg()
      picture.png()


def test_a_png_opens(nasty, tmp_path):
  (tmp_path / 'a.png').write_bytes(nasty[0].png())
  with Image.open(tmp_path / 'a.png') as image:
    assert image.format == 'PNG'
    assert image.width > 1000
    assert len(image.getcolors(1 << 20)) > 20


def test_many_classes_are_curves_of_few_points(tmp_path):
  pictures = pictures_of(read_run(write_run(tmp_path, long_tail(1500, most=10**6))))
  assert [picture.name for picture in pictures] == ['counts', 'ideal-split', 'recall']
  counts, ideal, _ = (picture.svg() for picture in pictures)
  assert len(counts) < 120_000
  assert len(ideal) < 300_000


@given(st.lists(st.integers(0, 50), min_size=1))
def test_a_curve_goes_through_every_class(column):
  ranks, counts = rank_frequency(column)
  assert ranks == sorted(set(ranks))
  assert (ranks[0], ranks[-1]) == (1, len(column))
  drawn = dict(zip(ranks, counts, strict=True))
  ordered = sorted(column, reverse=True)
  assert all(ordered[rank - 1] == n for rank, n in drawn.items())
  assert set(counts) == set(column)


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=200), st.integers(1, 50))
def test_of_many_deviations_the_furthest_are_drawn(deviations, most):
  found = furthest(deviations, most)
  assert len(found) <= most
  assert all(deviations[rank - 1] == value for rank, value in found)
  assert max(map(abs, deviations)) == max(abs(value) for _, value in found)


def luminance(colour):
  channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
  linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
  light, dark = sorted((luminance(one), luminance(other)), reverse=True)
  return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize('ground', [pictures.GROUND, pictures.PANEL], ids=lambda c: c.name)
@pytest.mark.parametrize('side', ['light', 'dark'])
def test_colours_stand_out_as_much_as_wcag_asks_for(ground, side):
  behind = getattr(ground, side)
  for colour in (pictures.INK, pictures.SOFT, pictures.GOOD, pictures.BAD, pictures.WARN):
    assert contrast(getattr(colour, side), behind) >= 4.5, colour.name  # text
  for colour in pictures.SERIES:
    assert contrast(getattr(colour, side), behind) >= 3, colour.name  # pictures


def test_colours_are_told_apart_by_their_light_value():
  values = [colour.light for colour in pictures.COLOURS]
  assert len(values) == len(set(values))
