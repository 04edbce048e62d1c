"""Every side of every case does the work that it is timed for, by the command line, at the smallest
size; the checks after the clock can fail."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import pytest

from benchmarks import batches, checks, files
from benchmarks.__main__ import BENCHMARKS, LOCAL_BEAM, main, read_results
from benchmarks.data import DataSpec, find_or_write, lay_out
from benchmarks.harness import run_here

CLASS_COUNTS = [300, 125, 50, 20, 5]  # of 500 records


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
  return tmp_path_factory.mktemp('cache')


def run(name, cache, *arguments):
  """Returns the results of a benchmark, whose sides ran in this process."""
  path = cache / f'{name}.json'
  given = [name, '--tiny', '--json', str(path), '--cache', str(cache), *arguments]
  assert main(given, run_here) == 0
  return read_results(path)


def counts(result):
  return {side: measured.counts for side, (measured,) in result.runs.items()}


def test_both_split_all_the_records(cache, capsys):
  (result,) = run('split', cache)

  found = counts(result)
  assert found['ours'] == {'train': 400, 'eval': 50, 'test': 50}
  assert set(found['stock']) == set(found['ours'])
  assert sum(found['stock'].values()) == 500
  assert set(result.floor) == {'zlib D', 'zlib D+C', 'isal D', 'isal D+C'}
  printed = capsys.readouterr().out
  assert 'ours  stock' in printed
  assert 'ours, fixed' in printed
  assert f'zlib D {result.floor["zlib D"]:.3f}' in printed


@pytest.mark.parametrize('size', ['full', 'small', 'tiny'])
@pytest.mark.parametrize('benchmark', ['augment', 'input', 'scale', 'split'])
def test_every_class_of_a_case_has_records(benchmark, size):
  made = [case.make.arguments for case in BENCHMARKS[benchmark].cases(size) if case.make]
  counts = [DataSpec(**arguments['spec']).class_counts() for arguments in made]

  assert counts
  assert all(min(of_case) > 0 for of_case in counts)


def test_files_are_split_with_all_their_records(cache):
  for result, n in zip(run('files', cache), (1_000, 1_000, 100), strict=True):
    found = counts(result)['ours']
    assert sum(found.values()) == n
    for split, share in (('train', 0.8), ('eval', 0.1), ('test', 0.1)):
      totals = {key: sum(v for k, v in found.items() if key in k) for key in files.NAMES}
      for name, total in totals.items():
        assert abs(found.get(f'{split} {name}', 0) - share * total) < 1


def test_all_sides_augment_alike(cache):
  plain, images, few, pools = run('augment', cache)

  found = counts(plain)
  assert found['component'] == found['transform'] == {str(i): 300 for i in range(5)}
  for peer in ('peer', 'lean peer'):
    # 300 / 125 is 2.4, which chance decides; the other counts divide 300.
    assert {**found[peer], '1': 300} == found['component']
    assert 250 <= found[peer]['1'] <= 375
  assert plain.floor['isal D+C'] > plain.floor['isal D']
  tenfold = {'0': 600, '1': 250, '2': 100, '3': 40, '4': 10}
  assert counts(images) == dict.fromkeys(('peer', 'component', 'transform'), tenfold)
  assert images.floor_seconds == pytest.approx(sum(list(images.floor.values())[:3]))
  assert few.runs['component'][0].records == few.runs['empty component'][0].records == 200
  whole, half = (pools.runs[side][0].figures for side in ('whole class', 'pool of 500'))
  assert (whole['recall'], whole['distance']) == (1, 1)
  assert 0.45 < half['recall'] < 0.55  # 2,500 neighbours, within five standard deviations
  assert 1 < half['distance'] < 2


def test_every_component_is_divided_by_its_floor(cache, capsys):
  same, copies = run('floor', cache)

  assert counts(same)['BalancedInputGen'] == {str(i): n for i, n in enumerate(CLASS_COUNTS)}
  assert sum(counts(same)['StratifiedSplitter'].values()) == 500
  assert counts(copies)['BalancedAugmenter'] == {str(i): 300 for i in range(5)}
  printed = capsys.readouterr().out
  assert 'times floor' in printed
  for result, side in ((same, 'StratifiedSplitter'), (copies, 'BalancedAugmenter')):
    (measured,) = result.runs[side]
    figures = measured.figures
    assert measured.records == result.case.records
    net = measured.core_seconds - figures['fixed']
    assert figures['times floor'] == pytest.approx(net / figures['floor'])  # of the only round
    assert f'{figures["cold"]:,.5g}' in printed


@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_all_sides_feed_the_classes_that_they_say(cache):
  (few,) = run('input', cache, '--only', 'small, 5 classes')
  (augmented,) = run('input', cache, '--only', 'augmented')
  (priority,) = run('input', cache, '--only', 'priority')

  for side, (measured,) in few.runs.items():
    got = {name: n / measured.records for name, n in measured.counts.items()}
    figures = measured.figures
    assert measured.records == 256 * figures['batches'], side
    if side == 'group_by_window':
      assert figures['classes'] == 1
    elif side in ('plain', 'tf_dataset_factory') or side.startswith('natural'):
      assert got['0'] == pytest.approx(0.6, abs=0.1), side
    elif side.startswith('exact'):
      assert figures['top %'] == pytest.approx(100 * 52 / 256), side
    else:
      assert max(got.values()) < 0.4, side
  assert len(augmented.runs) == 4
  assert augmented.runs['exact, augmented'][0].figures['top %'] == pytest.approx(100 * 13 / 64)
  assert all(run.records for runs in priority.runs.values() for run in runs)


@pytest.mark.filterwarnings('ignore:streaming the classes')
def test_batches_of_ours_are_exact_and_go_on(cache):
  sides, path = (batches.OURS, batches.STREAMED, 'sample_from_datasets'), cache / 'batches.json'
  known = ['batches', '--tiny', '--sides', ';'.join(sides), '--json', str(path)]
  assert main([*known, '--cache', str(cache)], run_here) == 0
  in_memory, from_files = read_results(path)

  assert set(in_memory.runs) == {batches.OURS}
  assert set(from_files.runs) == set(sides)
  for result in (in_memory, from_files):
    for side, (measured,) in result.runs.items():
      figures = measured.figures
      assert measured.records == 256 * figures['batches'], side
      assert figures['same seed'] == figures['resumed'] == 1, side
      exact = side != 'sample_from_datasets'
      assert (figures['batch off'] < 1, figures['epoch off'] < 1) == (exact, exact), side


def test_files_by_class_hold_their_class(cache):
  spec = DataSpec('small', 2_000, 8)
  lay_out(asdict(spec), str(cache), [LOCAL_BEAM]).run()
  files = find_or_write(spec, cache)
  for label, path in enumerate(files.class_paths()):
    assert checks.count_classes(path, 5) == [
      n if i == label else 0 for i, n in enumerate((1200, 500, 200, 80, 20))
    ]


def test_the_scale_benchmark_counts_bytes_and_draws(cache, capsys):
  small, large, plans = run('scale', cache)

  for result, n in ((small, 1_000), (large, 20_000)):
    (measured,) = result.runs['ours']
    assert sum(measured.counts.values()) == measured.records == n
    assert measured.figures['read MB'] > sum(result.sizes.values()) / 1e6
    assert measured.figures['written MB'] > result.sizes['raw_bytes'] / 1e6
  (planned,) = plans.runs['ours']
  assert sum(planned.counts.values()) == planned.records > 20_000
  assert planned.counts['eval'] == pytest.approx(planned.records / 10, abs=1)
  # 20 times the records: counters and ranks near a threshold grow with the square root.
  moved = [result.runs['ours'][0].figures['shuffled MB'] for result in (small, large)]
  assert 0 < moved[0] < moved[1] < 5 * moved[0]
  assert 'ours, from 1,000 to 20,000 records (small, 10 classes, 2 shards): cost per record' in (
    capsys.readouterr().out
  )
  # What is known is not run again: the runner would fail.
  path, picture = cache / 'scale.json', cache / 'scale.png'
  before = json.loads(path.read_text())['results']
  known = ['scale', '--tiny', '--json', str(path), '--resume', '--picture', str(picture)]
  assert main([*known, '--cache', str(cache)], None) == 0
  assert json.loads(path.read_text())['results'] == before
  assert picture.stat().st_size > 10_000


def test_every_mode_splits_all_the_records(cache, capsys):
  grouped, labelled = run('modes', cache)

  assert set(counts(grouped)) == {'plain', 'groups', 'order', 'bins'}
  assert set(counts(labelled)) == {'plain', 'multi-label'}
  for result in (grouped, labelled):
    for side, found in counts(result).items():
      assert found == {'train': 400, 'eval': 50, 'test': 50}, side
  assert 'multi-label  plain' in capsys.readouterr().out


@pytest.fixture(scope='module')
def records(cache):
  return find_or_write(DataSpec('small', 500, 2), cache)


def test_a_lost_record_is_refused(records):
  pattern = f'{records.split_folder}/*'
  assert checks.check_balanced(pattern, CLASS_COUNTS)['records'] == 500
  with pytest.raises(RuntimeError, match=r'expected \[.*\] records by class, found'):
    checks.check_balanced(pattern, [301, *CLASS_COUNTS[1:]])
  with pytest.raises(RuntimeError, match='expected about 300 records of each class'):
    checks.check_about_balanced(pattern, CLASS_COUNTS)
  with pytest.raises(RuntimeError, match='no file matches'):
    checks.check_balanced(f'{records.folder}/nothing*', CLASS_COUNTS)


def test_copies_that_were_not_augmented_are_refused(cache, tmp_path):
  files = find_or_write(DataSpec('png12x12x1', 100, 2), cache)
  targets = files.spec.class_counts()
  assert checks.check_images(f'{files.split_folder}/*', targets, 12)['records'] == 100
  with pytest.raises(RuntimeError, match='not 13 x 13 pixels'):
    checks.check_images(f'{files.split_folder}/*', targets, 13)
  for i in range(2):
    for j, path in enumerate(files.paths()):
      shutil.copy(path, tmp_path / f'{i}-{j}.gz')
  with pytest.raises(RuntimeError, match='100 of 200 images differ'):
    checks.check_images(f'{tmp_path}/*', [2 * n for n in targets], 12)


@pytest.fixture(scope='module')
def split_output(tmp_path_factory):
  """Returns a component's folder in a pipeline's root, with 30 records in train and 10 in eval."""
  root = tmp_path_factory.mktemp('pipeline')
  for name, n in {'train': 30, 'eval': 10}.items():
    files = find_or_write(DataSpec('small', n, 2), root / 'cache')
    shutil.copytree(files.split_folder, root / 'Splitter' / 'examples' / '1' / f'Split-{name}')
  return root / 'Splitter'


def test_a_whole_split_is_counted(split_output):
  found = checks.check_split(split_output, 40, ['train', 'eval'])
  assert found == {'records': 40, 'counts': {'train': 30, 'eval': 10}}


@pytest.mark.parametrize(
  ('n_records', 'splits'),
  [(41, ['train', 'eval']), (39, ['train', 'eval']), (40, ['train']), (40, ['train', 'test'])],
  ids=['lost', 'doubled', 'one too many', 'another name'],
)
def test_a_split_that_is_not_whole_is_refused(split_output, n_records, splits):
  with pytest.raises(RuntimeError, match=f'^{n_records} input records for splits'):
    checks.check_split(split_output, n_records, splits)
