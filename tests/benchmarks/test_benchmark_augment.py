"""Every side of the augmentation benchmark does the work that it is timed for, and the checks after
the clock can fail."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from benchmarks import augment
from benchmarks.augment_images import ImageFiles, find_or_write
from benchmarks.augment_results import Case, CaseResult
from benchmarks.data import DataSpec
from benchmarks.data import find_or_write as find_or_write_records
from benchmarks.measure import Measured

BEAM = ['--direct_running_mode=in_memory']
SPEC = DataSpec('small', 500, 2)
SIDE = 12


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  return find_or_write_records(SPEC, tmp_path_factory.mktemp('records'))


@pytest.fixture(scope='module')
def images(tmp_path_factory):
  folder = tmp_path_factory.mktemp('images') / 'files'
  return find_or_write(ImageFiles(str(folder), 100, SIDE, 1))


def result_of(work):
  return work.check(work.run())


@pytest.mark.parametrize('side', ['duplicate_component', 'duplicate_transform'])
def test_our_sides_bring_each_class_up_to_the_largest(records, tmp_path, side):
  from benchmarks import augment_ours

  work = getattr(augment_ours, side)(asdict(records), asdict(SPEC), str(tmp_path / 'root'), BEAM)

  assert result_of(work) == {str(k): 300 for k in range(5)}


@pytest.mark.parametrize('side', ['sample', 'sample_lean'])
def test_the_peers_bring_each_class_up_to_about_the_largest(records, tmp_path, side):
  from benchmarks import augment_sampler

  work = getattr(augment_sampler, side)(asdict(records), asdict(SPEC), str(tmp_path), BEAM)

  found = result_of(work)
  # 300 / 125 is 2.4, which chance decides; the other counts divide 300.
  assert {**found, '1': 300} == {str(k): 300 for k in range(5)}
  assert 250 <= found['1'] <= 375


@pytest.mark.parametrize(
  ('module', 'side'),
  [
    ('augment_tfdata', 'augment'),
    ('augment_ours', 'image_component'),
    ('augment_ours', 'image_transform'),
  ],
)
def test_all_sides_write_augmented_images_alike(images, tmp_path, module, side):
  import importlib

  piece = getattr(importlib.import_module(f'benchmarks.{module}'), side)

  found = result_of(piece(asdict(images), 3, str(tmp_path / 'root'), BEAM))

  assert found == {'0': 180, '1': 75, '2': 30, '3': 12, '4': 3}


def test_images_differ_and_have_the_stated_classes(images):
  from benchmarks.augment_check import check_images

  pattern = f'{images.split_folder}/*'
  assert check_images(pattern, images.class_counts, SIDE) == {
    str(i): n for i, n in enumerate((60, 25, 10, 4, 1))
  }
  with pytest.raises(RuntimeError, match='not of 13 x 13 pixels'):
    check_images(pattern, images.class_counts, 13)


def test_copies_that_were_not_augmented_are_refused(images, tmp_path):
  import shutil

  from benchmarks.augment_check import check_images

  for i in range(2):
    for j, path in enumerate(images.paths):
      shutil.copy(path, tmp_path / f'{i}-{j}.gz')
  with pytest.raises(RuntimeError, match='100 of 200 images differ'):
    check_images(f'{tmp_path}/*', [2 * n for n in images.class_counts], SIDE)


def test_a_lost_record_is_refused(records):
  from benchmarks.augment_check import check_about_balanced, check_balanced

  pattern = f'{records.split_folder}/*'
  counts = list(SPEC.class_counts())
  assert check_balanced(pattern, counts) == {str(i): n for i, n in enumerate(counts)}
  with pytest.raises(RuntimeError, match='records were to come out, by class'):
    check_balanced(pattern, [counts[0] + 1, *counts[1:]])
  with pytest.raises(RuntimeError, match='about 300 records of each class'):
    check_about_balanced(pattern, counts)
  with pytest.raises(RuntimeError, match='no file is there'):
    check_balanced(f'{records.folder}/nothing*', counts)


@pytest.mark.parametrize(('before', 'times'), [(300, {1}), (100, {3}), (125, {2, 3})])
def test_the_sampler_copies_as_documented(before, times):
  from benchmarks.augment_sampler import copies

  assert {len(list(copies((0, b'x'), {0: before}, 300))) for _ in range(200)} == times


def run(records: int, seconds: float) -> Measured:
  return Measured(seconds, seconds, 1_000, 0, 0.5, {'0': records})


def test_ratios_are_of_records_a_second():
  pieces = dict.fromkeys(('peer', 'lean peer', 'component', 'transform'), '')
  case = Case('name', '', {}, pieces, {}, 20)
  runs = {'peer': [run(300, 30)], 'lean peer': [run(330, 11)], 'component': [run(300, 1)]}

  result = CaseResult(case, {**runs, 'transform': []}, [])

  assert result.ratio('component') == 30
  assert result.ratio('component', 'lean peer') == 10
  assert result.ratio('transform') is None
  assert result.to_json()['ratios'] == {'peer': 30, 'lean peer': 10}
  assert result.other_cores == 0.5


def test_small_and_full_runs_have_the_same_cases(tmp_path):
  small = augment.parse_arguments(['--small', '--cache', str(tmp_path)]).cases
  full = augment.parse_arguments(['--cache', str(tmp_path)]).cases
  assert [case.pieces for case in small] == [case.pieces for case in full]
  assert [case.name for case in full] == [
    '1,500,000 small records',
    '5,000 PNGs of 28x28x1',
    '5,000 PNGs of 64x64x3',
  ]
  (only,) = augment.parse_arguments(['--small', '--only', 'duplicates']).cases
  assert only.name == '20,000 small records'


def test_zero_runs_are_refused(capsys):
  with pytest.raises(SystemExit):
    augment.parse_arguments(['--repeat', '0'])
  assert 'run each side at least once' in capsys.readouterr().err
