"""Quiet logs, set before libraries that log are imported."""

from __future__ import annotations

import logging
import os
import sys
import warnings


def quiet() -> None:
  """Keeps logs of libraries out of the terminal; call it before they are imported."""
  os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
  if not sys.warnoptions:
    warnings.simplefilter('ignore')
  # A root logger without any handler makes logging print what libraries log at import.
  logging.getLogger().addHandler(logging.NullHandler())
  logging.getLogger('tensorflow').setLevel(logging.ERROR)
