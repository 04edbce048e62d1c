"""A picture of matplotlib's as a part of a page."""

from __future__ import annotations

import re
from html import escape

from tfx_balance.report.palette import COLOURS

_HEX = {colour.light.lower(): colour.name for colour in COLOURS}
_COLOUR = re.compile(r'#[0-9a-fA-F]{6}\b')


def inline(svg: str, name: str, title: str, description: str) -> str:
  """Returns a picture's `<svg>` element for a page: in its colours and its font.

  Args:
    svg: a file that matplotlib wrote, in the light colours.
    name: unique in the page; goes before every id.
    title: what the picture is.
    description: what it shows, for people who do not see it.
  """
  body = svg[svg.index('<svg') :].strip()
  body = re.sub(r'<metadata>.*?</metadata>\s*', '', body, flags=re.DOTALL)
  opening, rest = body.split('>', 1)
  box = re.search(r'viewBox="[^"]+"', opening)
  assert box is not None  # matplotlib writes it
  rest = re.sub(r'<style type="text/css">.*?</style>', '', rest, flags=re.DOTALL)
  head = (
    f'<svg class="picture" {box[0]} role="img" aria-labelledby="{name}-title {name}-text">'
    f'<title id="{name}-title">{escape(title)}</title>'
    f'<desc id="{name}-text">{escape(description)}</desc>'
  )
  # Tags alone are changed: the text between them may be the name of a class.
  return head + re.sub(r'<[^>]*>', lambda tag: _adapted(tag[0], name), rest)


def _adapted(tag: str, name: str) -> str:
  """Returns a tag with its ids made unique and our colours as variables of the page."""
  tag = re.sub(r'\bid="', f'id="{name}-', tag)
  tag = re.sub(r'(href="#|url\(#)', rf'\g<1>{name}-', tag).replace('xlink:href', 'href')
  return _COLOUR.sub(_variable, tag)


def _variable(found: re.Match[str]) -> str:
  name = _HEX.get(found[0].lower())
  return f'var(--{name})' if name else found[0]
