"""Artifacts of this package in a notebook, displayed by their report.

TFX keeps one visualisation for each type of artifact. Ours are for types that others write too, so
each shows what it knows, and hands every other artifact to what was registered before it.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

from tfx import types
from tfx.orchestration.experimental.interactive import visualizations
from tfx.types import standard_artifacts

from tfx_balance.documents.balanced_input import PLAN_NAME
from tfx_balance.documents.class_distribution import SIDECAR_NAME
from tfx_balance.report.page import render_fragment
from tfx_balance.report.sources import CHECKS_NAME, read_run
from tfx_balance.tfrecord.storage import exists

_FILES = (PLAN_NAME, SIDECAR_NAME, CHECKS_NAME)
"""Files, one of which is at the root of an artifact of this package."""
_numbers = itertools.count(1)


class ClassDistributionVisualization(visualizations.ArtifactVisualization):
  """Shows artifacts of one type that have a file of this package; others as registered before.

  Attributes:
    ARTIFACT_TYPE: Type of the artifacts that it is registered for.
    PREVIOUS: Visualisation of the others; None where there is none.
  """

  ARTIFACT_TYPE: Any = None
  PREVIOUS: ClassVar[Any] = None

  def display(self, artifact: types.Artifact) -> None:
    """Displays the artifact in the notebook."""
    uri = artifact.uri.rstrip('/')
    if any(exists(f'{uri}/{name}') for name in _FILES):
      display_html(artifact_html(artifact))
    elif self.PREVIOUS is not None:
      self.PREVIOUS.display(artifact)


def artifact_html(artifact: types.Artifact) -> str:
  """Returns the report of one artifact as an element; no two in a notebook have equal ids."""
  title = artifact.producer_component or artifact.type_name
  return render_fragment(read_run([artifact.uri]), title, prefix=f'tfx-balance-{next(_numbers)}')


def display_html(html: str) -> None:
  """Displays HTML in the cell that is running."""
  from IPython.display import HTML, display

  display(HTML(html))


def register_visualizations() -> None:
  """Has artifacts of this package show themselves in notebooks; a second call changes nothing.

  `InteractiveContext` registers the standard visualisations when it is made: call this afterwards.
  """
  registry = visualizations.get_registry()
  for artifact_type in (standard_artifacts.Examples, standard_artifacts.ExampleAnomalies):
    previous = registry.get_visualization(artifact_type.TYPE_NAME)
    if isinstance(previous, ClassDistributionVisualization):
      continue
    attributes = {'ARTIFACT_TYPE': artifact_type, 'PREVIOUS': previous}
    name = f'{artifact_type.TYPE_NAME}ClassDistribution'
    registry.register(type(name, (ClassDistributionVisualization,), attributes))


def load_ipython_extension(ipython: Any) -> None:
  """Registers the visualisations on `%load_ext tfx_balance.report`."""
  del ipython
  register_visualizations()
