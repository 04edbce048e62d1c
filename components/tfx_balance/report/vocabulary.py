"""Names of classes that Transform made ids, by the vocabulary whose names give the same counts."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tfx_balance.plan.class_value import ClassValue
from tfx_balance.report.run_view import Findings
from tfx_balance.tfrecord.storage import read_whole, storage_of

TRANSFORM_FILE = 'transform_fn/saved_model.pb'
_ASSETS = 'transform_fn/assets'
_Names = dict[ClassValue, ClassValue]


def read_vocabularies(uri: str) -> Findings:
  """Returns the vocabularies of a TransformGraph artifact, lines of text by the file's name."""
  folder = posixpath.join(uri, _ASSETS)
  storage = storage_of(uri)
  files = storage.names(folder) if storage.is_folder(folder) else []
  found = {name: read_whole(posixpath.join(folder, name)).splitlines() for name in files}
  return Findings(vocabularies=found)


def with_names(findings: Sequence[Findings]) -> list[Findings]:
  """Returns findings whose class ids are named, where a vocabulary names them.

  A vocabulary is that of a label if by its names the classes of a split, or of what a model was
  tested on, have the counts of a column in another artifact. Where the ids themselves have these
  counts, or two vocabularies do with different names, ids stay.
  """
  vocabularies = {k: lines for found in findings for k, lines in found.vocabularies.items()}
  if not vocabularies:
    return list(findings)
  named: dict[frozenset[ClassValue], _Names] = {}
  made: list[Findings] = []
  for found in findings:
    own = list(_columns(found))
    others = [column for other in findings if other is not found for column in _columns(other)]
    values = {str(value): value for column in others for value in column}
    by_vocabulary = {}
    for name, lines in vocabularies.items():
      texts = (str(ClassValue('bytes', line)) for line in lines)
      names = {ClassValue('int', i): values[t] for i, t in enumerate(texts) if t in values}
      if any(_renamed(column, names) in others for column in own if names.keys() >= column.keys()):
        ids = frozenset(value for column in own for value in column)
        by_vocabulary[name] = {i: value for i, value in names.items() if i in ids}
    if not by_vocabulary or any(column in others for column in own):
      made.append(found)
      continue
    listed = ', '.join(map(repr, by_vocabulary))
    names, *rest = by_vocabulary.values()
    note = (
      f'Class ids are named by the vocabulary {listed} of Transform, whose counts are the same.'
    )
    if any(other != names for other in rest):
      names = {}
      note = f'Vocabularies {listed} of Transform both fit the class ids, and none names them.'
    named[frozenset(names)] = names
    made.append(_with(found, names, note))
  return [_with_named_log(found, named) for found in made]


def _columns(findings: Findings) -> Iterator[dict[ClassValue, int]]:
  """Yields the counts of each split and model, without classes that have none."""
  stages = (*findings.stages, *findings.counted, *findings.inputs)
  columns: list[Mapping[ClassValue, int]] = [own.counts for of in stages for own in of.splits]
  columns += [model.tested for model in findings.models]
  for column in columns:
    if some := {value: n for value, n in column.items() if n}:
      yield some


def _renamed(column: Mapping[ClassValue, Any], names: _Names) -> dict[ClassValue, Any]:
  return {names.get(value, value): n for value, n in column.items()}


def _with(findings: Findings, names: _Names, note: str) -> Findings:
  """Returns the findings of an artifact by name."""
  stages: dict[str, Any] = {}
  for kind in ('stages', 'counted', 'inputs'):
    stages[kind] = tuple(
      replace(s, splits=tuple(replace(own, counts=_renamed(own.counts, names)) for own in s.splits))
      for s in getattr(findings, kind)
    )
  models = tuple(
    replace(m, recall=tuple(replace(r, value=names.get(r.value, r.value)) for r in m.recall))
    for m in findings.models
  )
  return replace(findings, **stages, models=models, notes=(*findings.notes, note))


def _with_named_log(findings: Findings, named: Mapping[frozenset[ClassValue], _Names]) -> Findings:
  """Returns a training log by the names of the plan that has its classes."""
  logs = []
  for title, log in findings.trainings:
    names = named.get(frozenset(log.classes), {})
    logs.append((title, replace(log, classes=tuple(names.get(v, v) for v in log.classes))))
  return replace(findings, trainings=tuple(logs))
