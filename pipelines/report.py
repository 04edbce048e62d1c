"""HTML report on the class distribution after each step of a run."""

import json
from pathlib import Path

from tfx_balance.report import render_report

from pipelines.artifacts import PublishedArtifacts
from pipelines.summary import Summary

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
  recall = folder / 'recall.json'
  recall.write_text(json.dumps(recall_data(numbers, label), indent=1), encoding='utf-8')
  uris = [published.uri(*step) for step in STEPS if published.has(*step)]
  path = folder / 'report.html'
  render_report([*uris, str(recall)], str(path), title=f'Classes of {label}: {name}', label=label)
  return path


def recall_data(numbers: Summary, label: str) -> dict:
  """Returns the recall of each class by model over all seeds, in the format of the report."""
  models = []
  for comparison in numbers.models:
    rows = []
    for result in numbers.classes:
      recall = comparison.recall(result.value)
      if recall:
        scores = {'recall': recall.share, 'tested': recall.tested}
        rows.append({'class': result.value.to_json(), 'name': result.name, **scores})
    models.append({'name': f'{comparison.model} batches', 'recall': rows})
  return {'label': label, 'models': models}
