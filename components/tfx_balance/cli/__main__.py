"""The command `tfx-balance`: inspects, splits and balances files, and writes reports of runs."""

import argparse
import os
import sys
from collections.abc import Sequence

from tfx_balance.errors import ConfigError, TfxBalanceError
from tfx_balance.lazy_names import FIXES
from tfx_balance.quiet import quiet

_FIXES = {'pyarrow': 'run pip install pyarrow'}  # which is all that Parquet files need here


def parser() -> argparse.ArgumentParser:
  """Returns the parser of all commands."""
  from tfx_balance.cli import file_split, image_balance, inspection

  found = argparse.ArgumentParser(
    prog='tfx-balance', description='Inspects and splits data with imbalanced classes.'
  )
  commands = found.add_subparsers(dest='command', required=True, metavar='COMMAND')
  for name, module, text in (
    ('inspect', inspection, 'print the classes of files, how columns were read, and what is odd'),
    ('split', file_split, 'split tables, TFRecord files or images by class, without a pipeline'),
    ('balance', image_balance, 'copy images until every class has the same number'),
  ):
    command = commands.add_parser(name, help=text, description=f'{text[0].upper()}{text[1:]}.')
    module.add_arguments(command)
    command.set_defaults(run=module.run)
  commands.add_parser('report', help='write the report of a run as one HTML file', add_help=False)
  return found


def main(arguments: Sequence[str] | None = None) -> int:
  """Runs a command; returns 0, 1 if the data is at fault, or 2 if an argument or a package is."""
  given = list(sys.argv[1:] if arguments is None else arguments)
  command = given[0] if given else ''
  try:
    if command == 'report':
      from tfx_balance.report.__main__ import main as report

      return report(given[1:], 'tfx-balance report')
    options = parser().parse_args(given)
    options.run(options)
  except ModuleNotFoundError as error:
    missing = (error.name or '').partition('.')[0]
    fix = _FIXES.get(missing, FIXES.get(missing, 'install it'))
    print(f'tfx-balance {command}: {missing} is not installed; {fix}', file=sys.stderr)
    return 2
  except BrokenPipeError:  # the reader, such as head, has seen enough
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
  except (TfxBalanceError, OSError, ImportError) as error:
    print(f'tfx-balance {command}: {error}', file=sys.stderr)
    return 2 if isinstance(error, (ConfigError, ImportError)) else 1
  return 0


def command() -> None:
  """Runs the command of this process, and ends it with the exit code."""
  quiet()
  sys.exit(main())


if __name__ == '__main__':
  command()
