"""The class-distribution report: one HTML file of what a run did to each class.

`python -m tfx_balance.report URI...` writes it, `render_report` does so from Python, and in a
notebook `%load_ext tfx_balance.report` has artifacts show themselves. It needs
`pip install "tfx-balance[report]"`. Names are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tfx_balance.lazy_names import lazy_names

if TYPE_CHECKING:
  from tfx_balance.report.notebook import load_ipython_extension as load_ipython_extension
  from tfx_balance.report.notebook import register_visualizations as register_visualizations
  from tfx_balance.report.page import render_html as render_html
  from tfx_balance.report.page import render_report as render_report
  from tfx_balance.report.run_view import RunView as RunView
  from tfx_balance.report.sources import read_run as read_run

_HOME = {
  'RunView': 'tfx_balance.report.run_view',
  'load_ipython_extension': 'tfx_balance.report.notebook',
  'read_run': 'tfx_balance.report.sources',
  'register_visualizations': 'tfx_balance.report.notebook',
  'render_html': 'tfx_balance.report.page',
  'render_report': 'tfx_balance.report.page',
}

__all__ = list(_HOME)

__getattr__, __dir__ = lazy_names(globals(), _HOME)
