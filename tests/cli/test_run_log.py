import logging

from tfx_balance.cli import run_log


class _Kept(logging.Handler):
  def __init__(self):
    super().__init__()
    self.messages: list[str] = []

  def emit(self, record: logging.LogRecord) -> None:
    self.messages.append(record.getMessage())


def test_libraries_log_to_the_file_and_the_samples_own_to_the_screen_too(tmp_path, capsys):
  kept = _Kept()
  with run_log.recording(tmp_path / 'root', verbose=False, own_handler=kept) as path:
    logging.getLogger('absl').warning('from a library')
    logging.getLogger('tfx_balance.cli.training').info('from the sample')
  assert kept.messages == ['from the sample']
  text = path.read_text()
  assert 'from a library' in text
  assert 'from the sample' in text
  assert capsys.readouterr() == ('', '')


def test_verbose_prints_all_of_it(tmp_path, capsys):
  with run_log.recording(tmp_path, verbose=True, own_handler=_Kept()):
    logging.getLogger('apache_beam.runners').info('from Beam')
  assert 'from Beam' in capsys.readouterr().err


def test_the_loggers_are_as_before_when_the_run_is_over(tmp_path):
  root = logging.getLogger()
  before = root.handlers[:], root.level
  with run_log.recording(tmp_path, verbose=False, own_handler=_Kept()):
    assert root.handlers != before[0]
  assert (root.handlers, root.level) == before
