"""HTML report on the class distribution after each step of a run."""

import json
from pathlib import Path

from tfx_balance.cli.published import PublishedArtifacts
from tfx_balance.cli.summary import Summary
from tfx_balance.documents.recall import RECALL_NAME, ClassRecall, ModelRecall, RecallDocument
from tfx_balance.report import render_report

FOLDER = 'report'  # subfolder of the pipeline root
# Outputs that the report shows as stages, in pipeline order.
STEPS = (
  ('StratifiedSplitter', 'examples'),
  ('ClassDistributionValidator', 'anomalies'),
  ('BalancedAugmenter', 'examples'),
  ('BalanceValidator', 'anomalies'),
  ('BalancedInputGen', 'examples'),
)


def write_report(
  published: PublishedArtifacts, numbers: Summary, label: str, name: str, folder: Path
) -> Path:
  """Writes `report.html` and `recall.json` to the folder; returns the path of the report."""
  folder.mkdir(parents=True, exist_ok=True)
  recall = folder / RECALL_NAME
  recall_data = describe_recall(numbers, label).to_json()
  recall.write_text(json.dumps(recall_data, indent=1), encoding='utf-8')
  uris = [published.uri(*step) for step in STEPS if published.has(*step)]
  path = folder / 'report.html'
  render_report([*uris, str(recall)], str(path), title=f'Classes of {label}: {name}', label=label)
  return path


def describe_recall(numbers: Summary, label: str) -> RecallDocument:
  """Returns the recall of each class by model over all trainings, in the format of the report."""
  models = []
  for comparison in numbers.models:
    found = [(result.value, comparison.recall(result.value)) for result in numbers.classes]
    rows = tuple(ClassRecall(value, of.share, of.tested) for value, of in found if of)
    models.append(ModelRecall(f'{comparison.model} batches', rows))
  return RecallDocument(tuple(models), label)
