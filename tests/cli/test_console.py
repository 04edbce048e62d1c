import io
import logging
import re

import pytest
from rich.console import Console
from tfx_balance.cli.console import StepPrinter


def make_printer(terminal: bool = False) -> tuple[StepPrinter, io.StringIO]:
  text = io.StringIO()
  return StepPrinter(Console(file=text, width=1000, force_terminal=terminal)), text


def mask_times(text: str) -> str:
  return re.sub(r'\d+\.\d s', 'TIME', text)


def test_a_step_is_one_line_with_its_time():
  printer, text = make_printer()
  with printer.step('[3/9] StatisticsGen'):
    assert text.getvalue() == '[3/9] StatisticsGen … '
  assert mask_times(text.getvalue()) == '[3/9] StatisticsGen … TIME\n'


def test_what_a_step_reports_is_printed_below_it():
  printer, text = make_printer()
  with printer.step('[7/9] Trainer'):
    record = logging.LogRecord('pipelines.x', logging.INFO, '', 0, 'step %d [of 9]', (3,), None)
    printer.handle(record)
  assert mask_times(text.getvalue()).splitlines() == [
    '[7/9] Trainer … ',
    '      step 3 [of 9]',
    '[7/9] Trainer … TIME',
  ]


def test_a_failed_step_says_so_and_lets_the_error_through():
  printer, text = make_printer()
  with pytest.raises(ValueError, match='broken'), printer.step('[1/9] A'):
    raise ValueError('broken')
  assert mask_times(text.getvalue()) == '[1/9] A … failed after TIME\n'


def test_a_terminal_ends_with_the_same_line():
  printer, text = make_printer(terminal=True)
  with printer.step('[1/9] A'):
    pass
  last = re.sub(r'\x1b\[[0-9;?]*[a-zA-Z]', '', text.getvalue()).strip().splitlines()[-1]
  assert mask_times(last).strip() == '[1/9] A … TIME'
