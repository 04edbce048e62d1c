"""The report as a file: by its function, as a command, on any file system, without its packages."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from obstore.store import LocalStore
from tfx_balance.errors import ConfigError
from tfx_balance.report import render_report
from tfx_balance.report.__main__ import main
from tfx_balance.tfrecord import object_store

from tests.report.helpers_report import Page, long_tail, write_run


@pytest.fixture
def uris(tmp_path):
  return write_run(tmp_path / 'run', long_tail(12))


def test_the_report_is_one_file(uris, tmp_path):
  output = tmp_path / 'new/folder/report.html'
  assert render_report(uris, str(output), title='My run') == [str(output)]
  assert [path.name for path in output.parent.iterdir()] == ['report.html']
  assert 'My run' in Page(output.read_text('utf-8')).text


def test_pictures_are_files_beside_it_on_request(uris, tmp_path):
  paths = render_report(uris, str(tmp_path / 'r.html'), pictures=['svg', 'png'])
  assert [Path(path).name for path in paths] == [
    'r.html',
    'r-counts.svg',
    'r-counts.png',
    'r-ideal-split.svg',
    'r-ideal-split.png',
    'r-recall.svg',
    'r-recall.png',
  ]
  assert all(Path(path).stat().st_size > 1000 for path in paths)


@pytest.mark.parametrize(
  ('pictures', 'shown'), [(['gif'], r"\['gif'\]"), ('png', "'png'")], ids=['unknown', 'a text']
)
def test_pictures_of_no_known_kind_are_an_error(uris, tmp_path, pictures, shown):
  with pytest.raises(ConfigError, match=rf'pictures={shown} must be a list of kinds'):
    render_report(uris, str(tmp_path / 'r.html'), pictures=pictures)


@pytest.mark.parametrize('name', ['', 'there', 'new/'])
def test_a_folder_is_no_file(uris, tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  (tmp_path / 'there').mkdir()
  with pytest.raises(ConfigError, match=r"output_path='.*' (is a folder|must be a path); "):
    render_report(uris, name)


@pytest.mark.parametrize('package', ['jinja2', 'matplotlib'])
def test_what_is_missing_is_named_with_what_to_install(uris, tmp_path, monkeypatch, package):
  monkeypatch.setitem(sys.modules, package, None)
  with pytest.raises(
    ConfigError, match=rf'{package} is not .* pip install "tfx-balance\[report\]"'
  ):
    render_report(uris, str(tmp_path / 'r.html'))
  assert not (tmp_path / 'r.html').exists()


def test_artifacts_and_the_report_may_be_remote(uris, tmp_path, monkeypatch):
  monkeypatch.setattr(object_store, '_bucket', lambda *_: LocalStore(tmp_path, mkdir=True))
  remote = [uri.replace(str(tmp_path), 's3://bucket') for uri in uris]
  output = 's3://bucket/out/report.html'
  paths = render_report(remote, output, pictures=['png'])
  assert paths[0] == output
  local = render_report(uris, str(tmp_path / 'local.html'))
  there, here = (Path(path).read_text('utf-8') for path in (tmp_path / 'out/report.html', *local))
  # A path is laid out by its length.
  assert Page(there).text.replace('s3://bucket', str(tmp_path)) == Page(here).text


# --- as a command


def test_the_command_prints_what_it_wrote(uris, tmp_path, capsys):
  output = str(tmp_path / 'r.html')
  assert main([*uris, '--output', output, '--title', 'T', '--pictures', 'svg']) == 0
  assert capsys.readouterr().out.splitlines() == [
    output,
    *(str(tmp_path / f'r-{name}.svg') for name in ('counts', 'ideal-split', 'recall')),
  ]


def test_the_command_says_what_is_wrong(tmp_path, capsys):
  assert main([str(tmp_path), '-o', str(tmp_path / 'r.html')]) == 2
  captured = capsys.readouterr()
  assert captured.out == ''
  assert captured.err.startswith(
    f'tfx_balance.report: {tmp_path} is there, but none of these is in it'
  )


def test_the_command_runs_alone_and_keeps_libraries_quiet(uris, tmp_path):
  output = str(tmp_path / 'r.html')
  command = [sys.executable, '-m', 'tfx_balance.report', f'My split={uris[0]}', '-o', output]
  done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
  assert done.stdout == f'{output}\n'
  # TensorFlow 2.21 says a few lines before its log can be made quiet.
  assert not re.search(r'WARNING(?!: All log messages before absl::InitializeLog)', done.stderr)
  assert 'My split' in Page(Path(output).read_text('utf-8')).text
