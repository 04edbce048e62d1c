from pathlib import Path

import pytest

from pipelines import local_runner
from pipelines.local_runner import LOCAL_BEAM, parse_arguments


def test_the_digits_are_the_default():
  settings = parse_arguments([])
  assert settings.examples is None
  assert settings.label == 'label'
  assert settings.pipeline_root == Path('runs/digits').resolve()
  assert settings.beam_args == (LOCAL_BEAM,)


def test_own_data_is_written_to_a_folder_of_its_name():
  settings = parse_arguments(['--examples', 'my/data', '--label', 'kind', '--seed', '7'])
  assert settings.examples == Path('my/data')
  assert settings.label == 'kind'
  assert settings.seed == 7
  assert settings.pipeline_root == Path('runs/data').resolve()


def test_other_arguments_go_to_beam():
  settings = parse_arguments(['--direct_num_workers=2', '--verbose'])
  assert settings.verbose
  assert settings.beam_args == ('--direct_num_workers=2', LOCAL_BEAM)


@pytest.mark.parametrize(
  'argument', ['--direct_running_mode=multi_processing', '--runner=FlinkRunner']
)
def test_a_runner_of_ones_own_is_not_overridden(argument):
  assert parse_arguments([argument]).beam_args == (argument,)


@pytest.mark.parametrize(
  ('arguments', 'message'),
  [
    (['--examples', 'x'], '--examples is given without --label'),
    (['--label', 'x'], '--label is given without --examples'),
    (['--exmaples', 'x'], '--exmaples is no argument; did you mean --examples?'),
    (['--lable=x'], '--lable is no argument; did you mean --label?'),
    (['--train_steps', '0'], '--train_steps is 0; train for at least 1'),
    (['--seed', 'x'], "invalid int value: 'x'"),
  ],
)
def test_arguments_that_make_no_sense(arguments, message, capsys):
  with pytest.raises(SystemExit) as exit_info:
    parse_arguments(arguments)
  assert exit_info.value.code == 2
  assert message in capsys.readouterr().err


def test_wrong_data_ends_the_run_before_anything_is_written(tmp_path, capsys):
  root = tmp_path / 'root'
  code = local_runner.main(
    ['--examples', str(tmp_path / 'no'), '--label', 'x', '--pipeline_root', str(root)]
  )
  assert code == 1
  assert capsys.readouterr().err.startswith(f'{tmp_path / "no"} does not exist')
  assert not root.exists()
