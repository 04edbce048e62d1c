"""The report in a browser: no error in the console, no request to anywhere, nothing too wide.

`make test-browser` runs these, and sees to it that there is a Chromium.
"""

import io

import pytest
from PIL import Image
from tfx_balance.compare.answer_html import answer_html
from tfx_balance.report import render_report

from tests.compare.helpers_answer import document
from tests.report.chromium import chromium
from tests.report.helpers_report import long_tail, write_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope='module')
def browser():
  with chromium() as running:
    yield running


@pytest.fixture(scope='module', params=[10, 100, 1000], ids=lambda n: f'{n} classes')
def report(request, tmp_path_factory):
  """Returns the path of the report of a run with odd names, half of its checks broken."""
  root = tmp_path_factory.mktemp('run')
  uris = write_run(root, long_tail(request.param, nasty=True), blessed=False)
  (path,) = render_report(uris, str(root / 'out' / 'report.html'), title='<i>Title</i> & more')
  return path


@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
def test_the_report_opens_without_error_and_without_a_request(browser, report, dark):
  found = browser.visit(report, dark=dark, screenshot=True)
  assert found.console == ()
  assert found.exceptions == ()
  assert found.requests == ()
  assert found.title == '<i>Title</i> & more'
  assert found.screenshot.startswith(b'\x89PNG')


@pytest.mark.parametrize('width', [360, 1100])
def test_the_report_is_no_wider_than_the_window(browser, report, width):
  found = browser.visit(report, width=width)
  assert found.width == width


# Opens every fold, and returns which texts are out of sight with nothing to scroll, and the places
# of what is to be scrolled to see a text, after scrolling it to its end on request.
CUT_TEXTS = """(scrolled => {
  document.querySelectorAll('details').forEach(fold => { fold.open = true; });
  const lost = [], regions = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode, range = document.createRange();
    range.selectNodeContents(text);
    const box = range.getBoundingClientRect();
    let parent = text.parentElement;
    if (!text.data.trim() || !box.width || parent.closest('style, details caption')) continue;
    for (; parent; parent = parent.parentElement) {
      const overflow = getComputedStyle(parent).overflowX;
      if (overflow === 'visible') continue;
      const clip = parent.getBoundingClientRect();
      const cut = box.right > clip.right + 1 || box.left < clip.left - 1;
      if (cut && overflow !== 'auto') lost.push(text.data);
      if (cut && overflow === 'auto') regions.add(parent);
      if (overflow === 'auto') break;
    }
    if (!parent && (box.right > innerWidth + 1 || box.left < -1)) lost.push(text.data);
  }
  return {lost, regions: [...regions].map(region => {
    if (scrolled) region.scrollLeft = region.scrollWidth;
    const box = region.getBoundingClientRect();
    return [box.left, box.top + scrollY, box.right, box.bottom + scrollY].map(Math.round);
  })};
})"""


def shaded(screenshot, box):
  """Returns whether most of the left edge, and of the right edge of a box is not of the ground."""
  image = Image.open(io.BytesIO(screenshot)).convert('RGB')
  left, top, right, bottom = box
  ground = image.getpixel((2, top))
  edges = [[image.getpixel((x, y)) for y in range(top, bottom)] for x in (left + 1, right - 2)]
  return tuple(sum(pixel != ground for pixel in edge) > 0.9 * len(edge) for edge in edges)


@pytest.mark.parametrize('report', [10, 100], ids=lambda n: f'{n} classes', indirect=True)
@pytest.mark.parametrize('dark', [False, True], ids=['light', 'dark'])
def test_on_a_phone_nothing_is_cut_without_a_sign_of_it(browser, report, dark):
  for scrolled in ('false', 'true'):
    script = f'{CUT_TEXTS}({scrolled})'
    found = browser.visit(report, dark=dark, width=400, screenshot=True, script=script)
    assert found.value['lost'] == []
    assert len(found.value['regions']) > 5
    sides = {shaded(found.screenshot, box) for box in found.value['regions']}
    assert sides == {(True, False) if scrolled == 'true' else (False, True)}


def test_the_report_prints_on_paper(browser, report):
  found = browser.visit(report, width=700, media='print')
  assert (found.console, found.exceptions, found.requests) == ((), (), ())
  assert found.width == 700


@pytest.mark.parametrize('media', ['print', ''], ids=['paper is white', 'a screen follows'])
def test_colours_follow_what_the_person_likes_on_a_screen(browser, report, media):
  light, dark = (
    browser.visit(report, dark=dark, width=700, screenshot=True, media=media)
    for dark in (False, True)
  )
  assert (light.screenshot == dark.screenshot) == (media == 'print')


def test_a_file_of_the_pictures_opens_too(browser, tmp_path):
  uris = write_run(tmp_path / 'run', long_tail(16, nasty=True))
  output = str(tmp_path / 'report.html')
  paths = render_report(uris, output, pictures=['svg', 'png'])
  pictures = [path for path in paths if path.endswith('.svg')]
  assert len(pictures) == 3
  for path in pictures:
    found = browser.visit(path)
    assert (found.console, found.exceptions, found.requests) == ((), (), ())


@pytest.mark.parametrize('width', [400, 1100])
def test_an_answer_of_compare_is_no_wider_than_its_notebook(browser, tmp_path, width):
  answer = answer_html(document(100, name='a class {} ' + 'of a long name ' * 5))
  found = visit(browser, tmp_path, answer, width=width)
  assert (found.console, found.exceptions, found.requests) == ((), (), ())
  assert found.width == width


# --- the test can fail


def visit(browser, tmp_path, body, **options):
  path = tmp_path / 'page.html'
  path.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title>t</title>{body}', 'utf-8')
  return browser.visit(path, **options)


def test_what_is_wrong_is_caught(browser, tmp_path):
  found = visit(browser, tmp_path, '<p>fine</p>')
  assert (found.console, found.exceptions, found.requests) == ((), (), ())
  (fault,) = visit(browser, tmp_path, '<script>nonsense()</script>').exceptions
  assert 'nonsense is not defined' in fault
  logged = visit(browser, tmp_path, '<script>console.warn("odd", 7)</script>')
  assert logged.console == ('warning: odd 7',)
  assert visit(browser, tmp_path, '<div style="width: 3000px">wide</div>').width >= 3000


@pytest.mark.parametrize(
  'style', ['width: 90px; overflow: hidden', 'position: relative; left: 1000px']
)
def test_a_text_out_of_sight_is_caught(browser, tmp_path, style):
  body = f'<div style="{style}; white-space: nowrap">a text that is too long for its place</div>'
  found = visit(browser, tmp_path, body, script=f'{CUT_TEXTS}(false)')
  assert found.value == {'lost': ['a text that is too long for its place'], 'regions': []}


def test_what_scrolls_without_a_sign_is_caught(browser, tmp_path):
  body = (
    '<div style="width: 90px; overflow: auto; white-space: nowrap">a text that is too long</div>'
  )
  found = visit(browser, tmp_path, body, script=f'{CUT_TEXTS}(false)', screenshot=True)
  assert found.value['lost'] == []
  (box,) = found.value['regions']
  assert shaded(found.screenshot, box) == (False, False)


@pytest.mark.parametrize(
  'body',
  [
    pytest.param('<img src="https://example.com/a">', id='image'),
    pytest.param('<link rel="stylesheet" href="https://example.com/a">', id='style'),
    pytest.param('<script src="https://example.com/a"></script>', id='script'),
    pytest.param(
      '<style>p { background: url(https://example.com/a) }</style><p>p', id='in a style'
    ),
    pytest.param(
      '<style>@font-face { font-family: f; src: url(https://example.com/a) } p { font-family: f }'
      '</style><p>text',
      id='font',
    ),
    pytest.param('<svg><image href="https://example.com/a"/></svg>', id='in a picture'),
    pytest.param('<script>fetch("https://example.com/a").catch(() => {})</script>', id='fetch'),
  ],
)
def test_a_request_is_caught(browser, tmp_path, body):
  found = visit(browser, tmp_path, body)
  assert found.requests == ('https://example.com/a',)
