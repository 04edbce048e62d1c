"""Pictures of a run, drawn by matplotlib without a display or any state of its own."""

from __future__ import annotations

import importlib
import io
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from tfx_balance.errors import ConfigError
from tfx_balance.report.measures import class_name, clean, short


@dataclass(frozen=True)
class Colour:
  """One colour by its use: the name of its variable in CSS, its values on light and dark ground."""

  name: str
  light: str
  dark: str


GROUND = Colour('ground', '#fdfdfc', '#16181c')
PANEL = Colour('panel', '#f3f3f0', '#20242a')
INK = Colour('ink', '#1c1e21', '#e8e8e6')
SOFT = Colour('soft', '#5c6066', '#a4a9b0')
LINE = Colour('line', '#d9dad6', '#3a3f47')
BAND = Colour('band', '#e6eef5', '#243340')
GOOD = Colour('good', '#00694d', '#4fd0a5')
BAD = Colour('bad', '#b3400a', '#ff9a66')
WARN = Colour('warn', '#7d5700', '#f0c05a')

SERIES = (
  Colour('series-1', '#0067a5', '#62b7ee'),
  Colour('series-2', '#d1600c', '#f6a05c'),
  Colour('series-3', '#008563', '#3fcb9f'),
  Colour('series-4', '#b0508e', '#e59cc9'),
  Colour('series-5', '#8a6d00', '#dcc25a'),
  Colour('series-6', '#4b5f7a', '#9fb4d0'),
)
"""Of splits and models, in order; after the last the first comes again, with another marker."""

MARKERS = ('o', 's', '^', 'D', 'v', 'P', 'X')
"""Of splits and models: more of them than colours, so that a pair of both comes again late."""

COLOURS = (GROUND, PANEL, INK, SOFT, LINE, BAND, GOOD, BAD, WARN, *SERIES)


def series(index: int) -> Colour:
  """Returns the colour of the split or model of that number."""
  return SERIES[index % len(SERIES)]


def marker(index: int) -> str:
  """Returns the marker of the split or model of that number."""
  return MARKERS[index % len(MARKERS)]


if TYPE_CHECKING:
  from matplotlib.axes import Axes
  from matplotlib.figure import Figure


FEW = 30
"""So many classes have a row each in a picture; more of them become a curve."""

PICTURE_KINDS = ('svg', 'png')

WIDTH = 9.0
NARROW_WIDTH = 4.4
"""Inches of a picture on a phone, where a wide one would be cut or its text too small to read."""
ROW = 0.27
FONT_SIZE = 9
DOTS_PER_INCH = 160
LABEL_LENGTH, NARROW_LABEL_LENGTH = 30, 16

Namer = Callable[[str], str]
"""Returns how the name of a class is written in a picture."""


@dataclass(frozen=True)
class Picture:
  """One picture.

  Attributes:
    name: Name of its file, without the suffix.
    title: Title of the picture.
    description: What it shows, for people who do not see it.
    draw: Function that makes it anew, given how to write the names of classes.
  """

  name: str
  title: str
  description: str
  draw: Callable[[Namer], Figure]

  def svg(self, narrow: bool = False) -> str:
    """Returns the picture as an SVG file, or a narrow one for a phone; always the same text."""
    width, length = (NARROW_WIDTH, NARROW_LABEL_LENGTH) if narrow else (WIDTH, LABEL_LENGTH)
    with _settings(self.name, width):
      figure = self.draw(lambda name: short(class_name(name), length))
      return clean(_saved(figure, 'svg', metadata={'Date': None}).decode('utf-8'))

  def png(self) -> bytes:
    """Returns the picture as a PNG file; characters that the font does not have are escaped."""
    with _settings(self.name):
      return _saved(self.draw(_png_name), 'png', dpi=DOTS_PER_INCH, metadata={'Software': None})


def _saved(figure: Figure, kind: str, **options: Any) -> bytes:
  buffer = io.BytesIO()
  with warnings.catch_warnings():
    # The viewer of an SVG has other fonts than the one that matplotlib measures with.
    warnings.filterwarnings('ignore', message='.*[Gg]lyph')
    figure.savefig(buffer, format=kind, **options)
  return buffer.getvalue()


def _png_name(name: str) -> str:
  """Returns a name in characters that matplotlib's own font has."""
  from matplotlib import font_manager

  font = font_manager.get_font(font_manager.findfont('DejaVu Sans'))
  glyphs = font.get_charmap()
  name = ''.join(
    c if ord(c) in glyphs else c.encode('unicode_escape').decode('ascii') for c in class_name(name)
  )
  return short(name, LABEL_LENGTH)


@contextmanager
def _settings(salt: str, width: float = WIDTH) -> Iterator[None]:
  """Sets the style of a picture while it is drawn and saved."""
  load('matplotlib')
  import matplotlib as mpl

  ink, soft, line = INK.light, SOFT.light, LINE.light
  settings: dict[Any, Any] = {
    'axes.axisbelow': True,
    'axes.edgecolor': line,
    'axes.facecolor': 'none',
    'axes.grid': True,
    'axes.grid.axis': 'x',
    'axes.labelcolor': soft,
    'axes.labelsize': FONT_SIZE,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'axes.titlecolor': ink,
    'axes.titlelocation': 'left',
    'axes.titlesize': FONT_SIZE + 1,
    'axes.titleweight': 'bold',
    'figure.facecolor': GROUND.light,
    'figure.figsize': (width, width),
    'font.family': ['DejaVu Sans'],
    'font.size': FONT_SIZE,
    'grid.color': line,
    'grid.linewidth': 0.6,
    'legend.frameon': False,
    'legend.labelcolor': ink,
    'legend.fontsize': FONT_SIZE,
    'svg.fonttype': 'none',
    'svg.hashsalt': salt,
    'text.color': ink,
    'text.parse_math': False,
    'xtick.color': line,
    'xtick.labelcolor': soft,
    'ytick.color': line,
    'ytick.labelcolor': ink,
  }
  with mpl.rc_context():
    mpl.rcdefaults()  # not what a person has set for pictures of their own
    mpl.rcParams.update(settings)
    yield


def new_figure(height: float) -> Figure:
  """Returns an empty figure as wide as the page; its height is in inches."""
  import matplotlib as mpl
  from matplotlib.figure import Figure

  return Figure(figsize=(mpl.rcParams['figure.figsize'][0], height), layout='constrained')


def new_panels(
  height: float, n: int, direction: Literal['right', 'down'] = 'right', sharex: bool = False
) -> tuple[Figure, Any]:
  """Returns an empty figure, and its n panels, an array of `Axes`, with one vertical axis."""
  figure = new_figure(height)
  shape = (1, n) if direction == 'right' else (n, 1)
  return figure, figure.subplots(*shape, sharex=sharex, sharey=True, squeeze=False).ravel()


def label_x(figure: Figure, text: str) -> None:
  """Writes the common label of the horizontal axes of all panels."""
  figure.supxlabel(text, fontsize='medium', color=SOFT.light)


def class_rows(axes: Sequence[Axes], names: Sequence[str], namer: Namer) -> None:
  """Gives panels a row a class, the first on top, with the names beside the first panel."""
  for i, ax in enumerate(axes):
    ax.set_ylim(len(names) - 0.4, -0.6)
    if i == 0:  # the others share its axis
      ax.set_yticks(range(len(names)), [namer(name) for name in names])
    ax.tick_params(length=0, labelleft=i == 0)
    ax.grid(True, axis='y', linewidth=0.4)


def count_scale(ax: Axes, side: Literal['x', 'y'], most: int, least: int, ticks: int = 8) -> None:
  """Has an axis show counts on a log scale, from 0 or, where none is small, from a power of ten."""
  from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

  axis = ax.xaxis if side == 'x' else ax.yaxis
  (ax.set_xscale if side == 'x' else ax.set_yscale)('symlog', linthresh=1, linscale=0.5)
  low = 10 ** (len(str(least)) - 1) if least >= 10 else 0
  high = max(most, low, 1)
  limits = (low * 0.8 if low else -0.3), high * 1.6
  (ax.set_xlim if side == 'x' else ax.set_ylim)(*limits)
  powers = [10**i for i in range(20) if low <= 10**i <= high]
  shown = powers[:: 1 + len(powers) // ticks]
  axis.set_major_locator(FixedLocator(shown if low else [0, *shown]))
  axis.set_minor_locator(NullLocator())
  axis.set_major_formatter(FuncFormatter(lambda value, _: short_count(value)))


def short_count(value: float) -> str:
  """Returns a round count as an axis shows it.

  >>> short_count(0), short_count(100), short_count(10_000), short_count(1_000_000)
  ('0', '100', '10k', '1M')
  """
  for size, letter in ((10**12, 'T'), (10**9, 'G'), (10**6, 'M'), (10**3, 'k')):
    if value >= size:
      return f'{value / size:g}{letter}'
  return f'{value:g}'


INSTALL = 'pip install "tfx-balance[report]"'


def load(name: str) -> ModuleType:
  """Returns a package that may not be installed.

  Raises:
    ConfigError: if it is not.
  """
  try:
    return importlib.import_module(name)
  except ModuleNotFoundError as error:
    raise ConfigError(
      f'{name} is not installed, and the report is made with it; {INSTALL}'
    ) from error


_VARIABLES = {colour.light.lower(): f'var(--{colour.name})' for colour in COLOURS}
_COLOUR = re.compile(r'#[0-9a-fA-F]{6}\b')


def inline(svg: str, name: str, title: str, description: str) -> str:
  """Returns a picture's `<svg>` element for a page: in its colours and its font.

  Args:
    svg: Text of a file that matplotlib wrote, in the light colours.
    name: Name, unique in the page, that goes before every id.
    title: Title of the picture.
    description: What it shows, for people who do not see it.
  """
  body = svg[svg.index('<svg') :].strip()
  body = re.sub(r'<metadata>.*?</metadata>\s*', '', body, flags=re.DOTALL)
  opening, rest = body.split('>', 1)
  box = re.search(r'viewBox="[^"]+"', opening)
  assert box is not None  # matplotlib writes it
  rest = re.sub(r'<style type="text/css">.*?</style>', '', rest, flags=re.DOTALL)
  head = (
    f'<svg class="picture" {box[0]} role="img" aria-labelledby="{name}-title {name}-text">'
    f'<title id="{name}-title">{escape(clean(title))}</title>'
    f'<desc id="{name}-text">{escape(clean(description))}</desc>'
  )
  # Tags alone are changed: the text between them may be the name of a class.
  return head + re.sub(r'<[^>]*>', lambda tag: _adapted(tag[0], name), rest)


def _adapted(tag: str, name: str) -> str:
  """Returns a tag with its ids made unique and our colours as variables of the page."""
  tag = re.sub(r'\bid="', f'id="{name}-', tag)
  tag = re.sub(r'(href="#|url\(#)', rf'\g<1>{name}-', tag).replace('xlink:href', 'href')
  return _COLOUR.sub(lambda found: _VARIABLES.get(found[0].lower(), found[0]), tag)
