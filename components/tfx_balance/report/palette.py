"""The colours: told apart by people who do not see red and green, on light and on dark ground.

Okabe and Ito 2008, darker or lighter where the contrast with the ground asks for it. A picture is
drawn in the light colours; in the page each becomes a variable that has a dark value too.
"""

from __future__ import annotations

from dataclasses import dataclass


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
