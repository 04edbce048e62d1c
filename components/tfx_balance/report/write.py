"""A run's report, written: one HTML file, and its pictures beside it on request."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import Any

from tfx.dsl.io import fileio

from tfx_balance.arguments import check_path, check_text, shown
from tfx_balance.errors import ConfigError
from tfx_balance.report.extra import load
from tfx_balance.report.page import DEFAULT_TITLE, pictures_of, render_page
from tfx_balance.report.pictures import PICTURE_KINDS
from tfx_balance.report.sources import read_run


def render_report(
  uris: Sequence[str],
  output_path: str,
  *,
  title: str = DEFAULT_TITLE,
  label: str | None = None,
  pictures: Sequence[str] = (),
) -> list[str]:
  """Returns the paths of what it writes: the report, and its pictures.

  Args:
    uris: what `read_run` takes: of artifacts, in the order of the pipeline.
    output_path: of the HTML file, local or remote; its folder is made.
    title: of the page.
    label: the feature that holds the class; where None, the artifacts say it.
    pictures: 'svg', 'png' or both, to have the pictures as files beside the page too.

  Raises:
    ConfigError: if an argument breaks a rule, or jinja2 or matplotlib is not installed.
    DataError: if an artifact is broken.
  """
  for package in ('jinja2', 'matplotlib'):
    load(package)
  listed = isinstance(pictures, Sequence) and not isinstance(pictures, (str, bytes))
  if not listed or any(kind not in PICTURE_KINDS for kind in pictures):
    raise ConfigError(
      f'pictures={shown(pictures)} must be a list of kinds of {list(PICTURE_KINDS)}, such as '
      f"pictures=['png']"
    )
  output_path = check_path('output_path', output_path)
  _check_title(title)
  if output_path.endswith('/') or fileio.isdir(output_path):
    raise ConfigError(f'output_path={output_path!r} is a folder; name a file, such as report.html')
  view = read_run(uris, label)
  files: dict[str, bytes] = {output_path: render_page(view, title).encode('utf-8')}
  stem = posixpath.splitext(output_path)[0]
  for picture in pictures_of(view) if pictures else ():
    for kind in pictures:
      data = picture.svg().encode('utf-8') if kind == 'svg' else picture.png()
      files[f'{stem}-{picture.name}.{kind}'] = data
  folder = posixpath.dirname(output_path)
  if folder:
    fileio.makedirs(folder)
  for path, data in files.items():
    with fileio.open(path, 'wb') as file:
      file.write(data)
  return list(files)


def render_html(
  uris: Sequence[str], *, title: str = DEFAULT_TITLE, label: str | None = None
) -> str:
  """Returns the report as the text of an HTML page; arguments as in `render_report`."""
  _check_title(title)
  return render_page(read_run(uris, label), title)


def _check_title(title: Any) -> None:
  if not isinstance(title, str) or title:
    check_text('title', title, 'the title of the page')
