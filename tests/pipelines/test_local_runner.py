from pathlib import Path

import pytest

from pipelines import local_runner
from pipelines.local_runner import LOCAL_BEAM, parse_arguments
from tests.cli.helpers_own_data import write_image


def test_the_digits_are_the_default():
  settings = parse_arguments([])
  assert settings.examples is None
  assert settings.label == 'label'
  assert settings.pipeline_root == Path('runs/digits').resolve()
  assert settings.beam_args == LOCAL_BEAM


def test_own_data_is_written_to_a_folder_of_its_name_and_the_labels():
  settings = parse_arguments(['--examples', 'my/data', '--label', 'kind', '--seed', '7'])
  assert settings.examples == Path('my/data')
  assert settings.label == 'kind'
  assert settings.seed == 7
  assert settings.pipeline_root == Path('runs/data-kind').resolve()
  other = parse_arguments(['--examples', 'my/data', '--label', 'a/b'])
  assert other.pipeline_root == Path('runs/data-a_b').resolve()


def test_own_images_are_written_to_a_folder_of_their_name():
  settings = parse_arguments(['--images', 'my/pets'])
  assert settings.images == Path('my/pets')
  assert settings.examples is None
  assert settings.pipeline_root == Path('runs/pets').resolve()


def test_records_without_a_label_are_an_error_unless_one_says_otherwise():
  own = ['--examples', 'x', '--label', 'y']
  assert parse_arguments(own).missing_label == 'error'
  assert parse_arguments([*own, '--missing_label', 'drop']).missing_label == 'drop'


def test_other_arguments_go_to_beam():
  settings = parse_arguments(['--direct_num_workers=2', '--verbose'])
  assert settings.verbose
  assert settings.beam_args == ('--direct_num_workers=2', *LOCAL_BEAM)


@pytest.mark.parametrize(
  'argument', ['--direct_running_mode=multi_processing', '--runner=FlinkRunner']
)
def test_a_runner_of_ones_own_is_not_overridden(argument):
  assert parse_arguments([argument]).beam_args == (argument,)


def test_an_option_of_dataflow_that_is_like_one_of_ours_goes_to_beam():
  assert '--labels=a=b' in parse_arguments(['--labels=a=b']).beam_args


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--examples', 'x'], '--examples is given without --label'),
    (['--label', 'x'], '--label is given without --examples'),
    (['--images', 'x', '--examples', 'x', '--label', 'y'], '--images and --examples are both'),
    (['--images', 'x', '--label', 'y'], '--label is given without --examples'),
    (['--images', 'x', '--missing_label', 'drop'], '--missing_label is given without --examples'),
    (['--ignore', 'x'], '--ignore is given without --examples'),
    (['--examples', 'x', '--label', 'y', '--ignore', 'y'], '--ignore y is the label, which'),
    (['--examples', 'x', '--label', 'y', '--missing_label', 'no'], "invalid choice: 'no'"),
    (['--exmaples', 'x'], '--exmaples is not an argument; did you mean --examples?'),
    (['--lable=x'], '--lable is not an argument; did you mean --label?'),
    (['--train_steps', '0'], '--train_steps is 0; train for at least 1'),
    (['--folds', '1'], '--folds is 1; give 2 or more'),
    (['--folds', '3', '--compare', '5'], '--compare 5 and --folds are both given'),
    (['--seed', 'x'], "invalid int value: 'x'"),
    (['--pipeline_root', 's3://bucket/a'], 's3://bucket/a is not a folder of this machine'),
  ],
)
def test_arguments_that_make_no_sense(arguments, message, capsys):
  with pytest.raises(SystemExit) as exit_info:
    parse_arguments(arguments)
  assert exit_info.value.code == 2
  assert message in capsys.readouterr().err


def test_an_image_that_cannot_be_decoded_ends_the_run_before_the_pipeline(tmp_path, capsys):
  for i in range(12):
    write_image(tmp_path / 'in' / ('cat' if i % 2 else 'dog') / f'{i}.png', 9, 9, i)
  (tmp_path / 'in' / 'dog' / '4.png').write_bytes(b'no image')
  root = tmp_path / 'root'
  assert local_runner.main(['--images', f'{tmp_path}/in', '--pipeline_root', str(root)]) == 1
  out, err = capsys.readouterr()
  assert err.startswith(f'{tmp_path}/in/dog/4.png cannot be decoded as PNG or JPEG; convert it')
  assert err.count('\n') == 1
  assert 'ExampleGen' not in out


def test_wrong_data_ends_the_run_before_anything_is_written(tmp_path, capsys):
  root = tmp_path / 'root'
  code = local_runner.main(
    ['--examples', str(tmp_path / 'no'), '--label', 'x', '--pipeline_root', str(root)]
  )
  assert code == 1
  assert capsys.readouterr().err.startswith(f'{tmp_path / "no"} does not exist')
  assert not root.exists()
