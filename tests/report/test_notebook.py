"""In a notebook: artifacts of ours show themselves, all others are shown as before."""

import pytest
from tfx.orchestration.experimental.interactive import standard_visualizations, visualizations
from tfx.types import standard_artifacts
from tfx_balance.report import load_ipython_extension, notebook, register_visualizations

from tests.report.helpers_report import Page, long_tail, write_run


@pytest.fixture
def registry(monkeypatch):
  """Returns a registry of this test's own."""
  found = visualizations.ArtifactVisualizationRegistry()
  monkeypatch.setattr(visualizations, '_REGISTRY', found)
  return found


@pytest.fixture
def shown(monkeypatch):
  """Returns the HTML that is displayed."""
  found = []
  monkeypatch.setattr(notebook, 'display_html', found.append)
  return found


@pytest.fixture
def artifacts(tmp_path):
  """Returns the artifacts of a run that have a visualisation, in order."""
  split, anomalies, balanced, fed, _ = write_run(tmp_path, long_tail(5))
  kinds = {
    split: standard_artifacts.Examples,
    anomalies: standard_artifacts.ExampleAnomalies,
    balanced: standard_artifacts.Examples,
    fed: standard_artifacts.Examples,
  }
  return [made(kind, uri) for uri, kind in kinds.items()]


def made(kind, uri):
  artifact = kind()
  artifact.uri = str(uri)
  return artifact


def display(registry, artifact):
  visualization = registry.get_visualization(artifact.type_name)
  if visualization:
    visualization.display(artifact)


class Before(visualizations.ArtifactVisualization):
  """What somebody registered before."""

  ARTIFACT_TYPE = standard_artifacts.Examples
  seen: list

  def display(self, artifact):
    self.seen.append(artifact.uri)


def test_artifacts_of_ours_show_themselves(registry, shown, artifacts):
  register_visualizations()
  for artifact in artifacts:
    display(registry, artifact)
  assert len(shown) == 4
  pages = [Page(html) for html in shown]
  assert all('svg' in page.tags for page in pages)
  assert all('html' not in page.tags and 'script' not in page.tags for page in pages)
  assert any('rules-0' in name for name in pages[1].tables)
  ids = [name for page in pages for name in page.ids]
  assert len(ids) == len(set(ids)) > 0


def test_what_made_an_artifact_is_its_title(registry, shown, artifacts):
  register_visualizations()
  artifacts[0].producer_component = 'MySplitter'
  display(registry, artifacts[0])
  assert '<h1>MySplitter</h1>' in shown[0]


def test_others_are_shown_by_what_was_registered_before(registry, shown, artifacts, tmp_path):
  Before.seen = []
  registry.register(Before)
  register_visualizations()
  display(registry, made(standard_artifacts.Examples, tmp_path))
  display(registry, made(standard_artifacts.ExampleAnomalies, tmp_path))  # by nobody
  display(registry, artifacts[0])
  assert Before.seen == [str(tmp_path)]
  assert len(shown) == 1


def test_anomalies_of_others_stay_with_tfx(registry, shown, tmp_path, monkeypatch):
  seen = []
  standard_visualizations.register_standard_visualizations()
  stock = standard_visualizations.ExampleAnomaliesVisualization
  monkeypatch.setattr(stock, 'display', lambda self, artifact: seen.append(artifact.uri))
  register_visualizations()
  display(registry, made(standard_artifacts.ExampleAnomalies, tmp_path))
  assert (seen, shown) == ([str(tmp_path)], [])


def test_a_second_registration_changes_nothing(registry):
  register_visualizations()
  before = dict(registry.visualizations)
  load_ipython_extension(None)
  assert registry.visualizations == before
  assert set(before) == {'Examples', 'ExampleAnomalies'}


def test_after_a_new_context_a_call_registers_again(registry, shown, artifacts):
  register_visualizations()
  standard_visualizations.register_standard_visualizations()  # as InteractiveContext does
  register_visualizations()
  display(registry, artifacts[1])
  assert len(shown) == 1
  previous = registry.get_visualization('ExampleAnomalies').PREVIOUS
  assert isinstance(previous, standard_visualizations.ExampleAnomaliesVisualization)


def test_html_is_displayed(registry, artifacts, monkeypatch):
  import IPython.display

  seen = []
  monkeypatch.setattr(IPython.display, 'display', seen.append)
  register_visualizations()
  display(registry, artifacts[0])
  assert 'tfx-balance' in seen[0].data
