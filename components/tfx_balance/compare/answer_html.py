"""Results of a comparison as HTML for notebooks, light or dark: it needs nothing of their page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from tfx_balance.compare.answer_text import gain_rows, metric_rows, summary
from tfx_balance.documents.comparison import ComparedArm, ComparisonDocument
from tfx_balance.documents.decisions import (
  decided_arms,
  decided_classes,
  decision_cells,
  more_classes,
)
from tfx_balance.documents.sentences import short, signed_difference

_WIDE, _HIGH, _MARGIN = 220, 18, 6
"""Pixels of the picture of one interval; a marker takes the margin."""
_MARKERS = {
  'helps': ('#0b8a63', 'M-5,4 H5 L0,-5 Z'),
  'harms': ('#d1560c', 'M-5,-4 H5 L0,5 Z'),
  'no practical difference': ('#808080', 'M-4,-4 H4 V4 H-4 Z'),
  'cannot tell': ('#a87a00', 'M-4,0 A4,4 0 1 1 4,0 A4,4 0 1 1 -4,0 Z'),
}
"""Colour and shape by verdict; the colours are seen on light and on dark ground."""
_STYLE = """
.tfx-answer { max-width: 64rem; font-size: 13px; line-height: 1.5; }
.tfx-answer .scroll { overflow-x: auto; margin: 0.7em 0; }
.tfx-answer table { border-collapse: collapse; margin: 0; border: 0; font-size: 12px; }
.tfx-answer th, .tfx-answer td { padding: 0.2em 1em 0.2em 0; border: 0; text-align: right;
  border-bottom: 1px solid rgba(128, 128, 128, 0.35); font-weight: normal; white-space: nowrap;
  font-variant-numeric: tabular-nums; color: inherit; background: none; vertical-align: middle; }
.tfx-answer th:first-child { text-align: left; }
.tfx-answer thead, .tfx-answer .soft { opacity: 0.75; }
.tfx-answer .ends { display: flex; justify-content: space-between; }
.tfx-answer svg { display: block; }
"""


def answer_html(comparison: ComparisonDocument) -> str:
  """Returns the recommendation, the gains with a picture of each interval, decisions and notes."""
  head, *metrics = metric_rows(comparison)
  notes = ''.join(f'<li>{escape(note)}</li>' for note in comparison.notes)
  return (
    f'<div class="tfx-answer"><style>{_STYLE}</style>'
    f'<p><b>{escape(comparison.sentence)}</b></p><p class="soft">{escape(summary(comparison))}</p>'
    f'{_gains(comparison)}<p class="soft">Vertical lines mark no gain; in the grey band, up to '
    f'{comparison.equivalence:.3g}, a difference does not matter in practice.</p>'
    f'{_decisions(comparison)}'
    f'<details><summary>All other metrics</summary>{_table(head, metrics)}</details>'
    f'<ul>{notes}</ul></div>'
  )


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table of cells that are HTML, the first of each row its name."""
  head = ''.join(f'<th scope="col">{cell}</th>' for cell in heads)
  body = ''.join(
    f'<tr><th scope="row">{name}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    for name, *cells in rows
  )
  return (
    f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
  )


def _gains(comparison: ComparisonDocument) -> str:
  """Returns the table of the gains, each with the picture of its interval."""
  head, *rows = gain_rows(comparison)
  ends = [comparison.equivalence, -comparison.equivalence]
  for arm in comparison.arms:
    ends += [end for end in (arm.difference, arm.low, arm.high) if end is not None]
  low, high = min(ends), max(ends)
  pictures = [_picture(comparison, arm, low, high - low or 1.0) for arm in comparison.arms]
  spans = ''.join(f'<span>{signed_difference(end)}</span>' for end in (low, high))
  cells = [
    (f'<b>{row[0]}</b>' if row[0] == comparison.recommended else row[0], *row[1:], picture)
    for row, picture in zip(rows, pictures, strict=True)
  ]
  return _table([*head, f'<div class="ends">{spans}</div>'], cells)


def _picture(comparison: ComparisonDocument, arm: ComparedArm, least: float, span: float) -> str:
  """Returns a gain with its interval and, behind, the region of equivalence."""

  def place(gain: float) -> str:
    return f'{_MARGIN + (gain - least) / span * (_WIDE - 2 * _MARGIN):.1f}'

  middle, near = _HIGH // 2, comparison.equivalence
  drawn = (
    f'<path d="M{place(-near)},{middle} H{place(near)}" stroke="#808080" stroke-opacity="0.25" '
    f'stroke-width="{_HIGH}"/><path d="M{place(0)},0 V{_HIGH}" stroke="currentColor"/>'
  )
  if arm.difference is not None:
    colour, shape = _MARKERS.get(arm.verdict or '', _MARKERS['cannot tell'])
    low, high = (arm.difference if end is None else end for end in (arm.low, arm.high))
    drawn += (
      f'<path d="M{place(low)},{middle} H{place(high)}" stroke="{colour}" stroke-width="2"/>'
      f'<path d="{shape}" transform="translate({place(arm.difference)},{middle})" fill="{colour}"/>'
    )
  return f'<svg width="{_WIDE}" height="{_HIGH}" aria-hidden="true">{drawn}</svg>'


def _decisions(comparison: ComparisonDocument) -> str:
  """Returns recall and precision of each class under natural batches and the recommended remedy."""
  arms = decided_arms(comparison)
  if not arms:
    return ''
  heads = [f'{what}, {arm.name}' for what in ('recall', 'precision') for arm in arms]
  rows = []
  for i in decided_classes(comparison):
    (records, *_), *_ = cells = [decision_cells(arm, i) for arm in arms]
    shares = [own[column] for column in (2, 3) for own in cells]
    rows.append((escape(short(str(comparison.classes[i]))), records, *shares))
  return (
    f'{_table(["class", "records", *heads], rows)}<p class="soft">{more_classes(comparison)}</p>'
  )
