"""Runs StratifiedSplitter in a process of its own: source, target, folder, arguments as JSON."""

import json
import sys
from pathlib import Path

from tests.objectstore.helpers_objects import execute_at, input_examples  # isort: skip
from tfx_balance import StratifiedSplitter

if __name__ == '__main__':
  _source, _target, _folder, _arguments = sys.argv[1:]
  _inputs = {'examples': input_examples(_source)}
  execute_at(StratifiedSplitter, _inputs, _target, Path(_folder), **json.loads(_arguments))
