"""The arguments that both runners take, and their checks."""

import argparse
import difflib
from collections.abc import Sequence

from tfx_balance.cli.own_labels import add_missing_label

LIKE_OURS = ('--labels',)  # an option of Dataflow


def add_options(parser: argparse.ArgumentParser) -> None:
  """Adds the arguments to a parser that has --examples."""
  add = parser.add_argument
  add('--label', metavar='NAME', help='feature of --examples to split by and to predict')
  add_missing_label(parser)
  add(
    '--ignore', action='append', default=[], metavar='NAME', help='feature to leave out; repeatable'
  )
  add('--seed', type=int, default=0, metavar='N', help='random seed (default: 0)')
  add(
    '--train_steps',
    type=int,
    default=300,
    metavar='N',
    help='number of training batches (default: 300)',
  )
  add(
    '--folds',
    type=int,
    default=0,
    metavar='N',
    help='cross-validation: train and evaluate once for each of N folds (default: 0, none)',
  )


def parse_options(
  parser: argparse.ArgumentParser, arguments: Sequence[str] | None
) -> tuple[argparse.Namespace, list[str]]:
  """Returns the arguments of a parser with `add_options`, and the others, which are Beam's.

  Exits with a message and code 2 if they are invalid.
  """
  settings, beam_args = parser.parse_known_args(arguments)
  options = [option for action in parser._actions for option in action.option_strings]
  for name in (argument.split('=')[0] for argument in beam_args):
    close = difflib.get_close_matches(name, options, n=1, cutoff=0.8)
    if close and name not in LIKE_OURS:
      parser.error(f'{name} is not an argument; did you mean {close[0]}?')
  if (settings.examples is None) != (settings.label is None):
    given, other = ('--label', '--examples') if settings.label else ('--examples', '--label')
    parser.error(f'{given} is given without {other}; give both for your own data')
  for name in ('missing_label', 'ignore'):
    if getattr(settings, name) != parser.get_default(name) and not settings.examples:
      parser.error(f'--{name} is given without --examples, to which alone it applies')
  if settings.label in settings.ignore:
    parser.error(f'--ignore {settings.label} is the label, which cannot be left out; give others')
  if settings.train_steps < 1:
    parser.error(f'--train_steps is {settings.train_steps}; train for at least 1')
  if settings.folds < 0 or settings.folds == 1:
    parser.error(f'--folds is {settings.folds}; give 2 or more, or 0 for no cross-validation')
  return settings, beam_args
