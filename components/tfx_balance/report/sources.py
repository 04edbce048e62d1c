"""What is at a URI, and a run read from several."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tfx.dsl.io import fileio

from tfx_balance.arguments import check_label, check_path, shown
from tfx_balance.documents.balanced_input import PLAN_NAME
from tfx_balance.documents.class_checks import CHECKS_NAME
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.documents.recall import RECALL_NAME
from tfx_balance.errors import ConfigError
from tfx_balance.report.findings import Findings, merge
from tfx_balance.report.read_json import findings_of
from tfx_balance.report.read_tfx import (
  EVALUATION_FILE,
  STATISTICS_FILE,
  read_evaluation,
  read_statistics,
  statistics_files,
)
from tfx_balance.report.run_view import RunView
from tfx_balance.report.text import clean

# A plan says more than the sidecar that may lie beside it.
JSON_NAMES = (PLAN_NAME, SIDECAR_NAME, CHECKS_NAME, RECALL_NAME)
STATISTICS_PATTERN = f'Split-*/{STATISTICS_FILE}'
_NAMED = re.compile(r'([^/:=]+)=(.+)', re.DOTALL)


@dataclass(frozen=True)
class Source:
  """One artifact, or a JSON file.

  Attributes:
    uri: where it is, without a slash at its end.
    title: what a person calls it; None to take a name from what is there.
  """

  uri: str
  title: str | None = None

  @classmethod
  def of(cls, text: str) -> Source:
    """Returns the source of a URI, or of NAME=URI, where no file has the whole as its name."""
    named = _NAMED.fullmatch(text)
    if named and not fileio.exists(text):
      return cls(_plain(named[2]), clean(named[1].strip()))
    return cls(_plain(text))

  @property
  def node(self) -> str | None:
    """The id of the pipeline's node, where the URI is one that TFX gave: root/node/key/number."""
    parts = self.uri.split('/')
    return parts[-3] if len(parts) > 3 and parts[-1].isdigit() else None

  def path(self, name: str) -> str:
    """Returns the path of a file at its root."""
    return posixpath.join(self.uri, name)


def read_run(uris: Sequence[str], label: str | None = None) -> RunView:
  """Returns what the artifacts of a run say of its classes.

  Args:
    uris: of artifacts, in the order of the pipeline: `Examples` of this package's components,
      `ExampleAnomalies` of its validator, stock `ExampleStatistics` and `ModelEvaluation`; or of a
      `recall.json`. Local or remote. NAME=URI gives one a name.
    label: the feature that holds the class; where None, the artifacts say it.

  Raises:
    ConfigError: if there is nothing that a report can show at a URI.
    DataError: if what is there is broken.
  """
  if not isinstance(uris, Sequence) or isinstance(uris, (str, bytes)):
    raise ConfigError(f'uris={shown(uris)} is no list; pass a list of URIs')
  if not uris:
    raise ConfigError('uris=[] names nothing to report on; pass the URI of one artifact or more')
  if label is not None:
    check_label(label)
  sources = [Source.of(check_path('uris: entry', uri)) for uri in uris]
  kinds = [kind_of(source) for source in sources]
  found = {}
  for i, (source, kind) in enumerate(zip(sources, kinds, strict=True)):
    if kind.endswith('.json') and kind != EVALUATION_FILE:
      found[i] = _read_json(source, kind)
  # What does not say which feature is the label comes second.
  label = label or next((f.label for f in found.values() if f.label), None)
  for i, (source, kind) in enumerate(zip(sources, kinds, strict=True)):
    if kind == EVALUATION_FILE:
      found[i] = read_evaluation(source.uri, label, source.title, source.node)
    elif kind == STATISTICS_PATTERN:
      title = source.title or source.node or 'Statistics'
      found[i] = read_statistics(source.uri, _known(label, source), title)
  return merge([found[i] for i in range(len(sources))], label)


def kind_of(source: Source) -> str:
  """Returns the name of the file, or the pattern of files, that tells what is at a URI.

  Raises:
    ConfigError: if nothing is there that a report can show.
  """
  if source.uri.endswith('.json') and fileio.exists(source.uri):
    return source.uri
  for name in (*JSON_NAMES, EVALUATION_FILE):
    if fileio.exists(source.path(name)):
      return name
  if statistics_files(source.uri):
    return STATISTICS_PATTERN
  there = 'is there, but none of these is in it' if fileio.exists(source.uri) else 'does not exist'
  raise ConfigError(
    f'{source.uri} {there}: {", ".join((*JSON_NAMES, EVALUATION_FILE, STATISTICS_PATTERN))}; give '
    f'the URI of an artifact that StratifiedSplitter, BalancedAugmenter, BalancedInputGen, '
    f'ClassDistributionValidator, StatisticsGen or Evaluator published'
  )


def _read_json(source: Source, kind: str) -> Findings:
  """Returns what a file says; a plan, what the sidecar beside it adds."""
  path = source.uri if kind == source.uri else source.path(kind)
  found = _read_file(source, kind, path)
  if kind != PLAN_NAME or not fileio.exists(source.path(SIDECAR_NAME)):
    return found
  (told,) = _read_file(source, SIDECAR_NAME, source.path(SIDECAR_NAME)).stages
  (stage,) = found.stages
  stage = replace(
    stage,
    parameters=told.parameters,
    warnings=told.warnings,
    passed_through=told.passed_through,
  )
  return replace(found, stages=(stage,))


def _read_file(source: Source, kind: str, path: str) -> Findings:
  with fileio.open(path, 'rb') as file:
    text = file.read()
  title = source.title or (source.node if kind == CHECKS_NAME else None)
  return findings_of(text, path, title)


def _known(label: str | None, source: Source) -> str:
  if label is None:
    raise ConfigError(
      f'label=None: of {source.uri} alone it is not known which feature holds the class; pass '
      f'label= (--label)'
    )
  return label


def _plain(uri: str) -> str:
  return uri.rstrip('/') or uri
