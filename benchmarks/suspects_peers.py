"""The records that cleanlab suspects, the most suspect first, for those that have it.

It runs in the environment of the peers of 'quality', which has nothing of this package:
python -m benchmarks.suspects_peers IN.npz OUT.npz
"""

from __future__ import annotations

import sys

import numpy as np

RANKED, ISSUES = 'cleanlab, all ranked', 'cleanlab, issues'


def main(source: str, output: str) -> None:
  """Writes the rows that are suspected, of labels [n] and probabilities [n, n_classes] in a file.

  One list is of all records by their label quality, with probabilities adjusted by class; the other
  of those alone that are taken for wrong.
  """
  from cleanlab.filter import find_label_issues
  from cleanlab.rank import get_label_quality_scores

  given = np.load(source)
  labels, p = given['labels'], given['p']
  quality = get_label_quality_scores(labels, p, adjust_pred_probs=True)
  by = 'normalized_margin'  # its default, where it ranks
  issues = find_label_issues(labels, p, return_indices_ranked_by=by, n_jobs=1)
  np.savez(output, **{RANKED: np.argsort(quality, kind='stable'), ISSUES: issues})


if __name__ == '__main__':
  main(*sys.argv[1:])
