"""The report in a browser: no error in the console, no request to anywhere, nothing too wide.

`make test-browser` runs these, and sees to it that there is a Chromium.
"""

import pytest
from tfx_balance.report import render_report

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


# --- the test can fail


def visit(browser, tmp_path, body):
  path = tmp_path / 'page.html'
  path.write_text(f'<!DOCTYPE html><meta charset="utf-8"><title>t</title>{body}', 'utf-8')
  return browser.visit(path)


def test_what_is_wrong_is_caught(browser, tmp_path):
  found = visit(browser, tmp_path, '<p>fine</p>')
  assert (found.console, found.exceptions, found.requests) == ((), (), ())
  (fault,) = visit(browser, tmp_path, '<script>nonsense()</script>').exceptions
  assert 'nonsense is not defined' in fault
  logged = visit(browser, tmp_path, '<script>console.warn("odd", 7)</script>')
  assert logged.console == ('warning: odd 7',)
  assert visit(browser, tmp_path, '<div style="width: 3000px">wide</div>').width >= 3000


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
