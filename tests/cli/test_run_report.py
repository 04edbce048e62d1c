from tfx_balance.cli.evaluation import compare
from tfx_balance.cli.run_report import describe_recall

from tests.cli.helpers_summary import make_scores, make_sidecar, summarize


def test_recall_is_that_of_all_seeds_by_model():
  scores = [
    make_scores('natural', {'a': (10, 10), 'b': (0, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (1, 2)}),
    make_scores('natural', {'a': (8, 10), 'b': (1, 2)}),
    make_scores('balanced', {'a': (9, 10), 'b': (2, 2)}),
  ]
  sidecar = make_sidecar({'b': (8, 1, 2), 'a': (80, 10, 10), 'c': (1, 0, 0)})
  data = describe_recall(summarize(sidecar, compare(scores)), 'kind').to_json()
  assert data['label'] == 'kind'
  assert [model['name'] for model in data['models']] == ['natural batches', 'balanced batches']
  natural, balanced = (
    {row['name']: (row['recall'], row['tested']) for row in model['recall']}
    for model in data['models']
  )
  assert natural == {'a': (0.9, 20), 'b': (0.25, 4)}  # c was not tested
  assert balanced == {'a': (0.9, 20), 'b': (0.75, 4)}
