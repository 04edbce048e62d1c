"""The sentences of an answer, of its HTML and of the report's card, for each arm and verdict."""

import re
from dataclasses import replace

import numpy as np
import pytest
from tfx_balance.compare.advice import notes, reason
from tfx_balance.compare.answer_html import answer_html
from tfx_balance.compare.answer_text import answer_text
from tfx_balance.compare.arms import ARMS, NATURAL
from tfx_balance.compare.judging import Judged
from tfx_balance.compare.metrics import Measures
from tfx_balance.report.comparison_pictures import comparison_pictures, comparison_section

from tests.compare.helpers_answer import VERDICTS, document

WRONG = re.compile(
  r"""\b(?: (?:weights | batches | losses | means | models | arms) \s
        (?: does | is | has | was | helps | harms | needs | gives)
      | (?:an?) \s (?:\w+ \s)? (?:weights | batches | losses | means)
      | It \s (?: are | help | harm) \b | the \s the | None | nan )\b | \.\. | -0\.000""",
  re.VERBOSE,
)


def sentences(name, verdict):
  """Returns all texts that are shown where an arm is recommended."""
  found = document(recommended=name)
  arms = [
    replace(arm, verdict=None if arm.name == NATURAL else verdict, difference=arm.difference)
    for arm in found.arms
  ]
  best = next(arm for arm in arms if arm.name == name)
  why = reason(best, arms, found.metric_words, True)
  square = np.array([[90.0, 0], [10, 0]])
  judged = {
    arm: Judged({'log_loss': 0.3 + 0.2 * (arm == name)}, np.zeros(5), np.empty(0), None, square)
    for arm in ARMS
  }
  said = notes(judged, name, 10, Measures.of(np.array([90, 10])), 'macro_recall')
  found = replace(found, arms=tuple(arms), reason=why, notes=tuple(said))
  card = comparison_section(found, 0, 'Which remedy')
  drawn = [picture.description for picture in comparison_pictures(found, 0)]
  return found, [found.sentence, *found.notes, *card['sentences'], card['reason'], *drawn]


@pytest.mark.parametrize('verdict', VERDICTS)
@pytest.mark.parametrize('name', ARMS)
def test_sentences_are_english_and_alike(name, verdict):
  found, said = sentences(name, verdict)
  text = answer_text(found).replace('\n', ' ')
  html = re.sub(r'<style>.*?</style>|<[^>]*>', ' ', answer_html(found), flags=re.DOTALL)
  for words in (*said, text, html):
    assert not WRONG.search(words), words
  assert found.sentence.startswith(f'Use {name} ({ARMS[name].words}). ')
  assert found.sentence in text
  assert found.sentence in ' '.join(html.split())
  assert comparison_section(found, 0, '')['sentences'][0] == found.sentence
  assert len(found.notes) == 3 - (name == NATURAL)


@pytest.mark.parametrize(
  'words',
  [
    'the class weights does nothing',
    'balanced batches is the best',
    'Use a class weights.',
    'It are worse.',
    'log loss None',
  ],
)
def test_wrong_words_are_caught(words):
  assert WRONG.search(words)
