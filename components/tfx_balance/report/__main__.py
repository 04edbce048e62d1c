"""`python -m tfx_balance.report URI...`: writes the report of a run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tfx_balance.errors import TfxBalanceError
from tfx_balance.quiet import quiet
from tfx_balance.report.page import DEFAULT_TITLE
from tfx_balance.report.pictures import PICTURE_KINDS

EPILOG = """
A URI is that of an artifact: Examples of StratifiedSplitter, BalancedAugmenter or BalancedInputGen,
ExampleAnomalies of ClassDistributionValidator, ExampleStatistics of StatisticsGen, ModelEvaluation
of Evaluator; or the path of a recall.json, or of a comparison.json that compare's answer saved.
NAME=URI gives one a name in the report.
"""


def parser(prog: str = 'python -m tfx_balance.report') -> argparse.ArgumentParser:
  """Returns the parser of the command's arguments."""
  found = argparse.ArgumentParser(
    prog=prog,
    description='Writes one HTML file that shows what a run did to each class.',
    epilog=EPILOG,
  )
  found.add_argument(
    'uris', metavar='URI', nargs='+', help='of an artifact, in the order of the pipeline'
  )
  found.add_argument('-o', '--output', default='report.html', help='the file (report.html)')
  found.add_argument('--title', default=DEFAULT_TITLE, help='of the page')
  found.add_argument('--label', help='the feature that holds the class, where no artifact says it')
  found.add_argument(
    '--pictures',
    nargs='+',
    choices=PICTURE_KINDS,
    default=(),
    help='have the pictures as files beside the page too',
  )
  return found


def main(arguments: Sequence[str] | None = None, prog: str = 'python -m tfx_balance.report') -> int:
  """Returns the exit status: 0, or 2 where an argument or an artifact is at fault."""
  given = parser(prog).parse_intermixed_args(arguments)
  from tfx_balance.report.page import render_report  # loads TFX, which takes seconds

  try:
    paths = render_report(
      given.uris, given.output, title=given.title, label=given.label, pictures=given.pictures
    )
  except (TfxBalanceError, OSError) as error:
    print(f'{prog.removeprefix("python -m ")}: {error}', file=sys.stderr)
    return 2
  for path in paths:
    print(path)
  return 0


if __name__ == '__main__':
  quiet()
  sys.exit(main())
