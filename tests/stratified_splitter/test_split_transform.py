"""The exact split: nothing lost, nothing twice, every cell within one of ideal, any order."""

import tempfile
from collections import Counter
from itertools import pairwise
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.util import assert_that
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_balance.sizes import SIZES, Sizes
from tfx_balance.stratified_splitter.transform import StratifiedSplit
from tfx_balance.writer import publish_outputs

from tests.helpers_checks import assert_conserved, assert_exact, read_sidecar
from tests.helpers_examples import (
  all_bytes,
  as_sets,
  cells,
  example,
  in_shards,
  labelled,
  reversed_features,
  value_of,
)
from tests.helpers_memory import kilobyte_records, peak_bytes
from tests.helpers_split import input_files, run_split, split_context
from tests.list_runner import run_on_lists

SPLITS = {'train': 8, 'eval': 1, 'test': 1}


@st.composite
def datasets(draw):
  """Draws records with few classes, some of them equal, in shards of any size."""
  rows = st.tuples(st.integers(0, 3), st.sampled_from([0, 0, 1, 2]) | st.integers(0, 1000))
  records = [example(label=a, id=b) for a, b in draw(st.lists(rows, min_size=1, max_size=40))]
  n = draw(st.integers(1, 4))
  edges = sorted(draw(st.lists(st.integers(0, len(records)), min_size=n - 1, max_size=n - 1)))
  return [records[low:high] for low, high in pairwise([0, *edges, len(records)])]


WEIGHTS = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(
  lambda weights: {f's{i}': weight for i, weight in enumerate(weights)}
)


@settings(max_examples=25)
@given(shards=datasets(), weights=WEIGHTS, seed=st.integers(0, 2**40))
def test_every_record_goes_to_one_split_and_every_cell_is_exact(shards, weights, seed):
  with tempfile.TemporaryDirectory() as folder:
    splits = run_split(Path(folder), shards, weights, seed=seed)
  assert_conserved(splits, (record for shard in shards for record in shard))
  assert_exact(splits, weights)


@settings(max_examples=12)
@given(data=st.data(), shards=datasets(), weights=WEIGHTS, seed=st.integers(0, 9))
def test_order_shards_and_files_do_not_matter(data, shards, weights, seed):
  records = [record for shard in shards for record in shard]
  again = in_shards(data.draw(st.permutations(records)), data.draw(st.integers(1, 5)))
  files = dict.fromkeys(weights, data.draw(st.integers(1, 5)))
  with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
    first = run_split(Path(one), shards, weights, seed=seed)
    second = run_split(Path(two), again, weights, seed=seed, output_files=files)
  assert as_sets(first) == as_sets(second)


def test_equal_records_are_cut_where_the_quota_is(tmp_path):
  same = example(label=1)
  splits = run_split(tmp_path, [[same] * 6, [same] * 14], SPLITS)
  assert {name: len(records) for name, records in splits.items()} == {
    'train': 16,
    'eval': 2,
    'test': 2,
  }


def test_equal_records_stay_together_where_the_quota_allows(tmp_path):
  # A record that is in train and in test too is a leak; only a cut may make one, at most one pair
  # of splits and class has.
  records = [record for record in labelled({0: 100, 1: 60}) for _ in range(3)]
  splits = run_split(tmp_path, in_shards(records, 4), SPLITS)
  parted = Counter(record for held in splits.values() for record in set(held))
  assert sum(n > 1 for n in parted.values()) <= 2 * 2  # classes times inner ends of splits


def test_the_seed_chooses_which_one_record_classes_are_held_out(tmp_path):
  shards = in_shards(labelled(dict.fromkeys(range(100), 1)), 2)
  chosen = []
  for seed in range(8):
    splits = run_split(tmp_path / str(seed), shards, SPLITS, seed=seed)
    chosen.append(frozenset(value_of(record) for record in splits['test']))
    assert len(chosen[-1]) == 10
  assert len(set(chosen)) == 8
  assert len(frozenset.union(*chosen)) > 40  # of 100: no class is always left out


def test_weights_that_change_a_little_move_few_records(tmp_path):
  shards = [labelled({0: 1000, 1: 100})]
  one = run_split(tmp_path / 'one', shards, {'train': 80, 'test': 20})
  two = run_split(tmp_path / 'two', shards, {'train': 81, 'test': 19})
  assert not set(one['train']) - set(two['train'])
  assert len(set(two['train']) - set(one['train'])) == 11


def test_plus_and_minus_zero_are_one_class(tmp_path):
  records = [example(label=(0.0, -0.0, 1.0)[i % 3], id=i) for i in range(30)]
  splits = run_split(tmp_path, in_shards(records, 2), {'train': 1, 'test': 1})
  assert cells(splits) == {(0.0, s): 10 for s in splits} | {(1.0, s): 5 for s in splits}


@pytest.mark.parametrize('many', [False, True], ids=['few files', 'a tree and ranges of strata'])
def test_beam_gives_what_the_list_runner_gives(tmp_path, many):
  # The other tests here go without Beam's runner; this one shows that it gives the same.
  shards = in_shards(labelled({0: 200, 1: 31, 2: 1}), 3)
  files = input_files(tmp_path, [*shards, []], '.gz')
  arguments = {'splits': {'train': 7, 'test': 3}, 'seed': 5, 'output_files': {'train': 2}}
  context = split_context(tmp_path, **arguments)
  output_plan, counts, written = run_on_lists(StratifiedSplit(context), files)
  plan, dealt = output_plan.plan, counts.tolist()
  assert dealt == output_plan.selection.quotas.tolist()
  expected = sorted((Path(file.final_path).name, file.records) for file in written)
  publish_outputs(output_plan, counts, written)

  def same_job(found):
    assert [each.plan.quotas.tolist() for each in found] == [plan.quotas.tolist()]

  def same_counts(found):
    assert [each.tolist() for each in found] == [dealt]

  def same_files(found):
    assert sorted((Path(file.final_path).name, file.records) for file in found) == expected

  sizes = Sizes(fan_in=2, range_rows=1) if many else SIZES
  options = PipelineOptions(['--direct_running_mode=in_memory', '--direct_num_workers=1'])
  again = split_context(tmp_path / 'beam', n_files=len(files), sizes=sizes, **arguments)
  with beam.Pipeline(options=options) as pipeline:
    found = pipeline | beam.Create(files) | StratifiedSplit(again)
    for part, check in zip(found, (same_job, same_counts, same_files), strict=True):
      assert_that(part, check, label=check.__name__)
    _ = (
      pipeline
      | 'Once' >> beam.Create([None])
      | beam.Map(
        lambda _, *done: publish_outputs(*done),
        beam.pvalue.AsSingleton(found[0]),
        beam.pvalue.AsSingleton(found[1]),
        beam.pvalue.AsList(found[2]),
      )
    )
  assert all_bytes(again.output_uri) == all_bytes(context.output_uri)


def test_memory_is_flat(tmp_path):
  sizes = Sizes(gather_bytes=256 << 10, block_bytes=256 << 10, chunk_bytes=256 << 10)

  def peak(n):
    files = input_files(tmp_path / str(n), [kilobyte_records(n)])
    context = split_context(tmp_path / str(n), sizes=sizes)
    return peak_bytes(lambda: run_on_lists(StratifiedSplit(context), files))

  small, large = peak(4000), peak(32_000)
  assert small < 4 << 20
  assert large < small * 1.5  # for eight times the data: 32 MB


@pytest.mark.parametrize('identity', [{'identity': 'values'}, {'key': 'id'}])
def test_features_in_another_order_are_the_same_record(tmp_path, identity):
  records = labelled({0: 60, 1: 20})
  other = [reversed_features(record) for record in records]
  assert [value_of(r, 'id') for r in other] == [value_of(r, 'id') for r in records]
  assert not set(other) & set(records)
  ids = [
    {name: {value_of(r, 'id') for r in held} for name, held in splits.items()}
    for splits in (
      run_split(tmp_path / 'one', [records], **identity),
      run_split(tmp_path / 'two', [other], **identity),
    )
  ]
  assert ids[0] == ids[1]


@pytest.mark.parametrize(
  ('n_features', 'n_classes'), [(33, 3), (23, 7)], ids=['33 of 3', '23 of 7']
)
def test_many_features_are_told_as_they_are_and_the_class_is_exact(tmp_path, n_features, n_classes):
  rng = np.random.default_rng(0)
  others = rng.integers(0, n_classes, (40, n_features - 1)).tolist()
  classes = rng.choice(n_classes, 1000, p=[0.9, *[0.1 / (n_classes - 1)] * (n_classes - 1)])
  rows = [(value, *others[i % 40]) for i, value in enumerate(classes.tolist())]
  names = [f'f{i:02}' for i in range(n_features)]
  records = [example(**dict(zip(names, row, strict=True))) for row in rows]
  splits = run_split(tmp_path, in_shards(records, 2), SPLITS, stratify_by=names)
  assert_conserved(splits, records)
  assert_exact(splits, SPLITS, 'f00')
  described = {
    tuple(value['value'] for value in row['stratum']): row['records']
    for row in read_sidecar(tmp_path / 'out')['strata']
  }
  assert described == Counter(rows)
