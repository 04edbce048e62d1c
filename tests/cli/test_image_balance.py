"""Copies of images that make classes equal, of the training part only."""

import csv
from collections import Counter

import pytest
import tensorflow as tf
from tfx_balance.cli.__main__ import main

from tests.cli.helpers_own_data import write_image


@pytest.fixture
def images(tmp_path):
  """Returns a folder of 12 cats and 5 dogs."""
  for i in range(17):
    write_image(tmp_path / 'in' / ('cat' if i < 12 else 'dog') / f'{i}.png', 4, 4, i)
  return tmp_path / 'in'


def balance(folder, out, *arguments):
  assert main(['balance', str(folder), '--output', str(out), *arguments]) == 0
  with (out / 'copies.csv').open() as file:
    return {row['copy']: row['original'] for row in csv.DictReader(file)}


def test_every_class_gets_the_number_of_the_largest(images, tmp_path):
  copies = balance(images, tmp_path / 'out')
  assert Counter(p.parent.name for p in (tmp_path / 'out').rglob('*.png')) == {'cat': 12, 'dog': 12}
  assert sorted(Counter(copies.values()).values()) == [1, 1, 1, 2, 2]
  for copy, original in copies.items():
    assert (tmp_path / 'out' / copy).read_bytes() == (images / original).read_bytes()


def test_only_the_training_part_of_a_split_gets_copies(images, tmp_path):
  splits = tmp_path / 'splits'
  assert main(['split', str(images), '--splits', 'train=2,test=1', '--output', str(splits)]) == 0
  copies = balance(splits, tmp_path / 'out')
  assert copies
  assert all(copy.startswith('train/dog/') for copy in copies)
  names = {p.relative_to(splits / 'test') for p in (splits / 'test').rglob('*.png')}
  assert names == {
    p.relative_to(tmp_path / 'out/test') for p in (tmp_path / 'out/test').rglob('*.png')
  }


def test_augmented_copies_are_changed_and_the_same_again(images, tmp_path):
  made = []
  for name in 'ab':
    copies = balance(images, tmp_path / name, '--augment', 'flip_left_right,brightness=0.3')
    made.append({copy: (tmp_path / name / copy).read_bytes() for copy in copies})
  assert made[0] == made[1]
  for copy, data in made[0].items():
    assert tf.io.decode_png(data, channels=3).shape == (4, 4, 3)
    assert data != (images / copies[copy]).read_bytes()


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--augment', 'shine=1'], "unexpected keyword argument 'shine'"),
    (['--augment', 'brightness=2'], 'brightness'),
    (['--output', '.'], 'exists and is not an empty folder'),
  ],
)
def test_arguments_at_fault(images, tmp_path, monkeypatch, capsys, arguments, message):
  monkeypatch.chdir(tmp_path)
  assert main(['balance', str(images), *arguments]) == 2
  assert message in capsys.readouterr().err
  assert not (tmp_path / 'balanced').exists()
