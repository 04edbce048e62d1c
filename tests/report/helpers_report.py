"""Artifacts of runs with many classes, and classes with names that nobody wants to see."""

from __future__ import annotations

import copy
import functools
import json
import math
import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from tfx_balance.documents.balanced_input import FileSegment, InputPlan, PlanFile
from tfx_balance.documents.class_checks import (
  ClassChecks,
  ClassRow,
  CommonExample,
  CommonRecords,
  KeyedRecords,
  Leakage,
  RecordPlace,
)
from tfx_balance.documents.class_distribution import InputRecords
from tfx_balance.documents.descriptions import describe_balance, describe_split
from tfx_balance.documents.recall import ClassRecall, ModelRecall, RecallDocument
from tfx_balance.plan.balance_plan import BalanceRequest, plan_balance
from tfx_balance.plan.checks import Check
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.split_plan import plan_splits
from tfx_balance.plan.split_shares import SplitShares

from tests.helpers_counts import by_class, by_stratum

FILES = {'data_tfrecord-00000-of-00001.gz': 100}
SOURCE = InputRecords(0, 0, 1, '00ff')
NASTY = (
  b'<script>alert(1)</script>',
  b'</title><img src=x onerror=alert(2)>',
  b'"quotes" & \'apostrophes\' &amp; `ticks`',
  b'{{ 7 * 7 }} {% raw %}',
  '🐈\u200d⬛ cat, 犬 dog, Käse'.encode(),
  'قط'.encode(),
  '\u202egnp.exe'.encode(),
  b'$\\frac{1}{2}$ 100% _x_',
  b'\xff\xfe not UTF-8 \x00',
  b'a\nb\tc \x1b[31mred',
  b'',
  b'  ',
  b'x' * 300,
  b'prefix-' * 40 + b'left',
  b'prefix-' * 40 + b'right',
  b'url(#a) id="b" #0067a5 ]]> -->',
)


def long_tail(n: int, most: int = 40_000, nasty: bool = False) -> dict[ClassValue, int]:
  """Returns the records of n classes, the k-th of which has about most / k, and one or more."""
  names: list[bytes] = list(NASTY[:n]) if nasty else []
  names += [f'species {k:04d}'.encode() for k in range(n - len(names))]
  # The odd names are spread over the classes, so that some are among the largest and the smallest.
  step = max(len(names) // max(len(NASTY), 1), 1)
  order = sorted(range(len(names)), key=lambda i: (i % step, i)) if nasty else range(len(names))
  return {
    ClassValue('bytes', names[i]): max(round(most / (k + 1) ** 1.3), 1) for k, i in enumerate(order)
  }


DELETED = object()


def places_of(data: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
  """Yields the keys and indices that lead to each part of JSON data."""
  items = data.items() if isinstance(data, dict) else ()
  for key, inner in enumerate(data) if isinstance(data, list) else items:
    yield (*place, key)
    yield from places_of(inner, (*place, key))


def changed(data: Any, place: tuple[Any, ...], value: Any) -> Any:
  """Returns JSON data with another value in a place, or none for DELETED."""
  found = copy.deepcopy(data)
  inner = functools.reduce(operator.getitem, place[:-1], found)
  if value is DELETED:
    del inner[place[-1]]
  else:
    inner[place[-1]] = value
  return found


def write(folder: Path, name: str, data: Any) -> str:
  """Writes JSON into a folder, and returns the folder as a URI."""
  folder.mkdir(parents=True, exist_ok=True)
  (folder / name).write_text(json.dumps(data, ensure_ascii=False, allow_nan=False), 'utf-8')
  return str(folder)


def write_run(
  root: Path, counts: Mapping[ClassValue, int], blessed: bool = True, models: int = 2
) -> list[str]:
  """Writes what a run over such classes publishes, and returns the URIs in order."""
  split = split_data(counts)
  train = {
    ClassValue.from_json(row['stratum'][0]): row['splits']['train']['records']
    for row in split['strata']
  }
  train = {value: n for value, n in train.items() if n}
  balanced = balance_data(train)
  fed = {
    ClassValue.from_json(row['stratum'][0]): row['splits']['train']['records']
    for row in balanced['strata']
  }
  return [
    write(root / 'StratifiedSplitter/examples/1', 'class_distribution.json', split),
    write(
      root / 'ClassDistributionValidator/anomalies/2',
      'class_checks.json',
      checks_data(split, blessed),
    ),
    write(root / 'BalancedAugmenter/examples/3', 'class_distribution.json', balanced),
    write(root / 'BalancedInputGen/examples/4', 'balanced_input.json', plan_data(fed)),
    write(root / 'recall', 'recall.json', recall_data(counts, models)),
  ]


def split_data(counts: Mapping[ClassValue, int], **parameters: Any) -> dict[str, Any]:
  """Returns the sidecar of StratifiedSplitter."""
  plan = plan_splits(
    *by_stratum({(value,): n for value, n in counts.items()}), SplitShares.parse(), 0
  )
  given = {'stratify_by': ['species'], 'splits': {'train': 8, 'eval': 1, 'test': 1}, 'seed': 0}
  source = replace(SOURCE, records=sum(counts.values()))
  files = dict.fromkeys(plan.splits, FILES)
  return describe_split(plan, {**given, **parameters}, source, files, ()).to_json()


def balance_data(
  train: Mapping[ClassValue, int], augmented_split: str | None = None, **request: Any
) -> dict[str, Any]:
  """Returns the sidecar of BalancedAugmenter; 'eval' and 'test' pass through."""
  plan = plan_balance(*by_class(train), BalanceRequest('power:0.5', **request))
  given = {
    'label': 'species',
    'sampling_strategy': 'power:0.5',
    'splits': ['train'],
    'max_copies': request.get('max_copies', 0),
    'seed': 0,
  }
  if augmented_split:
    given['augmented_split'] = augmented_split
  source = replace(SOURCE, records=sum(train.values()))
  made = {augmented_split: FILES} if augmented_split else {}
  return describe_balance(
    {'train': plan},
    augmented_split,
    given,
    {'train': source},
    {'train': FILES, **made},
    ('eval', 'test'),
  ).to_json()


def plan_data(fed: Mapping[ClassValue, int]) -> dict[str, Any]:
  """Returns the plan of BalancedInputGen."""
  classes = sorted(fed)
  files = tuple(
    PlanFile(f'Split-train/data_tfrecord-{i:05d}', (FileSegment(i, n),), n_bytes=n)
    for i, n in enumerate(map(fed.__getitem__, classes))
  )
  natural = {'train': tuple(fed[value] for value in classes)}
  return InputPlan('species', tuple(classes), natural, files).to_json()


def checks_data(split: Mapping[str, Any], blessed: bool) -> dict[str, Any]:
  """Returns what a validator found in a split artifact; or that some classes are too small."""
  checks = [
    Check('l_infinity', name, other, None, measured, 0.01, True, 'the shares are alike')
    for name, other, measured in (
      ('train', 'eval', 0.0002),
      ('train', 'test', 0.0003),
      ('train', 'baseline:train', 0.004),
    )
  ]
  rows = []
  for row in split['strata']:
    value = ClassValue.from_json(row['stratum'][0])
    counts = {name: cell['records'] for name, cell in row['splits'].items()}
    rows.append(ClassRow(value, counts))
    n, passed = counts['eval'], blessed or counts['eval'] > 12
    message = f'class {row["name"]} has {n} records in eval; 13 or more are asked for'
    checks.append(Check('min_records', 'eval', None, value, n, 13, passed, message))
  place = RecordPlace('Split-test/data_tfrecord-00000-of-00001.gz', 7)
  examples = tuple(CommonExample(text, place, place) for text in ('<b>id 7</b>', 'x' * 200))
  found = (0, 0, 0.0, 0, 0.0, ()) if blessed else (17, 17, 17 / 12345, 18, 0.02, examples)
  pairs = (CommonRecords('test', 'train', *found),)
  document = ClassChecks(
    label='species',
    counts_from='sidecar',
    counts=tuple(rows),
    missing=dict.fromkeys(('train', 'eval', 'test'), 0),
    checks=tuple(checks),
    leakage=Leakage('records', {'train': KeyedRecords(900, 0)}, pairs),
    blessed=blessed,
  )
  return {**json.loads(document.dumps()), 'version': 1, 'checksum': None}


def recall_data(counts: Mapping[ClassValue, int], models: int) -> dict[str, Any]:
  """Returns the recall of models, the later of which know small classes better."""
  names = ['natural', 'balanced', 'class weights', 'focal loss', 'mixup', 'bagging', 'boosting']
  rows = [
    ModelRecall(
      names[m],
      tuple(
        ClassRecall(value, hits_of(n, m) / max(n // 10, 1), max(n // 10, 1))
        for value, n in counts.items()
      ),
    )
    for m in range(models)
  ]
  return RecallDocument('species', tuple(rows)).to_json()


def hits_of(n: int, model: int) -> int:
  """Returns how many of the tested records of a class of n records a model gets right."""
  wave = 0.1 * math.sin(n * (model + 1) * 1.7)
  share = 1 - 0.8 / (1 + 0.25 * (model + 1)) / n ** (0.2 + 0.1 * model) + wave
  return round(min(max(share, 0.0), 1.0) * max(n // 10, 1))


class Page(HTMLParser):
  """What a browser would find in a page: its text, tables, links and tags.

  Attributes:
    tables: id to rows of texts, the head first.
    titles: what the cells' title attributes say.
    tags: names of all the elements.
    links: what any attribute points to, outside the page.
    ids: of all the elements.
    text: of the whole page, styles left out.
  """

  def __init__(self, html: str) -> None:
    super().__init__()
    self.tables: dict[str, list[list[str]]] = {}
    self.titles: list[str] = []
    self.tags: list[str] = []
    self.links: list[str] = []
    self.ids: list[str] = []
    self.text = ''
    self._open: list[str] = []
    self._rows: list[list[str]] | None = None
    self.feed(html)
    self.close()
    for name, rows in self.tables.items():
      assert {len(row) for row in rows} == {len(rows[0])}, f'{name} has rows of several widths'

  def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
    found = dict(attributes)
    self.tags.append(tag)
    self._open.append(tag)
    self.links += [
      value or '' for name, value in attributes if name in ('src', 'href', 'xlink:href', 'data')
    ]
    if 'title' in found:
      self.titles.append(found['title'] or '')
    if found.get('id'):
      self.ids.append(found['id'] or '')
    if tag == 'table':
      self._rows = self.tables.setdefault(found['id'] or '', [])
    elif tag == 'tr' and self._rows is not None:
      self._rows.append([])
    elif tag in ('td', 'th') and self._rows:
      self._rows[-1].append('')

  def handle_endtag(self, tag: str) -> None:
    while self._open and self._open.pop() != tag:
      pass
    if tag == 'table':
      self._rows = None

  def handle_data(self, data: str) -> None:
    if 'style' in self._open:
      return
    self.text += data
    if self._rows and self._rows[-1] and {'td', 'th'} & set(self._open):
      self._rows[-1][-1] += data
