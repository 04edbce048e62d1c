"""HTML report on the class distribution after each step of a run."""

import json
from pathlib import Path

from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.cli.summary import STEPS, Summary
from tfx_balance.documents.recall import RECALL_NAME, ClassRecall, ModelRecall, RecallDocument
from tfx_balance.report import render_report

INPUT = ('BalancedInputGen', 'examples')


def write_report(published: PublishedArtifacts, numbers: Summary, label: str, root: Path) -> Path:
  """Writes `report.html` and `recall.json` to the root's folder `report`; returns the former."""
  folder = root / 'report'
  folder.mkdir(parents=True, exist_ok=True)
  recall = folder / RECALL_NAME
  recall_data = describe_recall(numbers, label).to_json()
  recall.write_text(json.dumps(recall_data, indent=1), encoding='utf-8')
  uris = [published.uri(*step) for step in (*STEPS, INPUT) if published.has(*step)]
  path = folder / 'report.html'
  title = f'Classes of {label}: {root.name}'
  render_report([*uris, str(recall)], str(path), title=title, label=label)
  return path


def describe_recall(numbers: Summary, label: str) -> RecallDocument:
  """Returns the recall of each class by model over all trainings, in the format of the report."""
  models = []
  for comparison in numbers.models:
    found = [(value, comparison.recall(value)) for value in numbers.classes]
    rows = tuple(ClassRecall(value, of.share, of.tested) for value, of in found if of)
    models.append(ModelRecall(f'{comparison.model} batches', rows))
  return RecallDocument(tuple(models), label)
