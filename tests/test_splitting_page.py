"""docs/splitting.md shows splits as they are, and names arguments that there are."""

import inspect
import itertools
import re
from pathlib import Path

import draw_splits
import pytest
from tfx.types import channel_utils, standard_artifacts
from tfx_balance import StratifiedSplitter, stratified_indices
from tfx_balance.errors import ConfigError

DOCS = Path(__file__).parent.parent / 'docs'
PAGE = (DOCS / 'splitting.md').read_text(encoding='utf-8')


@pytest.mark.parametrize('name', draw_splits.PICTURES)
def test_a_picture_is_what_the_code_splits(name):
  drawn = draw_splits.draw(draw_splits.PICTURES[name]())
  assert (DOCS / 'splits' / f'{name}.svg').read_text(encoding='utf-8') == drawn
  assert f'](splits/{name}.svg)' in PAGE


def test_all_pictures_are_drawn():
  shown = re.findall(r'\]\(splits/(\w+)\.svg\)', PAGE)
  assert sorted(shown) == sorted(draw_splits.PICTURES)
  assert {path.stem for path in (DOCS / 'splits').iterdir()} == set(shown)


def test_the_table_names_arguments():
  rows = re.findall(r'^\| \[.*?\]\(#(.*?)\) \| (.*?) \|', PAGE, re.MULTILINE)
  assert rows
  takers = (StratifiedSplitter.__init__, stratified_indices)
  known = {name for taker in takers for name in inspect.signature(taker).parameters}
  headings = {line.lower().replace(' ', '-') for line in re.findall(r'^## (.*)$', PAGE, re.M)}
  for anchor, arguments in rows:
    assert anchor in headings
    assert {re.match(r'\w+', name)[0] for name in re.findall(r'`(.*?)`', arguments)} <= known


CHANNEL = channel_utils.as_channel([standard_artifacts.Examples()])
ASKED = {
  'at_least': {'at_least': 1},
  'extend': {'extend': CHANNEL},
  'multilabel': {'multilabel': True},
  'group_by': {'group_by': 'patient'},
  'bins': {'bins': 3},
  'identity': {'identity': 'values'},
  'key': {'key': 'id'},
  'mode': {'mode': 'stable'},
  'order_by': {'order_by': 'time'},
  'within': {'order_by': 'time', 'within': 'strata'},
  'embargo_records': {'order_by': 'time', 'embargo_records': 5},
  'counts': {'counts': {'test': 1}},
  'split_by': {'split_by': 'set'},
}
"""Arguments of the splitter that ask for a mode."""


def test_the_page_names_the_pairs_that_are_refused():
  pairs = {frozenset(pair) for pair in re.findall(r'^\| `(\w+)`, `(\w+)` \|', PAGE, re.MULTILINE)}
  assert pairs == {frozenset(pair) for pair in itertools.combinations(ASKED, 2) if _refusal(*pair)}


def _refusal(one, other):
  try:
    StratifiedSplitter(CHANNEL, **{**ASKED[one], **ASKED[other]})
  except ConfigError as error:
    message = str(error)
    return 'not combine' in message and f'{one}=' in message and f'{other}=' in message
  return False
