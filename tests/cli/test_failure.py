import pytest
from tfx_balance.cli.failure import own_message
from tfx_balance.errors import DataError

BEAM_TEXT = """Traceback (most recent call last):
  File "worker.py", line 1, in process
    raise KeyError('x')
KeyError: 'x'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "worker.py", line 2, in process
    raise ValueError(text)
ValueError: the shard is cut off
and so is its twin [while running 'Read/Frames']
"""


@pytest.mark.parametrize(
  ('error', 'message'),
  [
    (ValueError('bad value'), 'ValueError: bad value'),
    (ValueError(), 'ValueError'),
    (RuntimeError(BEAM_TEXT), 'ValueError: the shard is cut off\nand so is its twin'),
    (DataError('class 3 is empty'), 'class 3 is empty'),
  ],
  ids=['plain', 'without text', 'from a Beam worker', 'of tfx_balance'],
)
def test_the_message_is_the_errors_own(error, message):
  assert own_message(error) == message
