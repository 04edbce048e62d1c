"""A run as HTML: a fragment for a notebook, a page that stands alone, and files of both."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tfx_balance.arguments import check_path, check_text, format_value
from tfx_balance.documents.recall import ModelRecall
from tfx_balance.errors import ConfigError
from tfx_balance.report import measures, tables
from tfx_balance.report import measures as text
from tfx_balance.report import pictures as palette
from tfx_balance.report.bin_pictures import bins_picture
from tfx_balance.report.class_pictures import counts_picture, fit_picture, recall_picture
from tfx_balance.report.comparison_pictures import comparison_pictures, comparison_section
from tfx_balance.report.pictures import PICTURE_KINDS, Picture, inline, load
from tfx_balance.report.run_view import RunView
from tfx_balance.report.sources import read_run
from tfx_balance.report.tables import ClassTables
from tfx_balance.report.training_pictures import training_picture, training_table
from tfx_balance.tfrecord.storage import storage_of, write_whole

DEFAULT_TITLE = 'Class distribution'
MOST_WARNINGS = 20
MOST_WORST = 3
_MOST_CHARACTERS = 2000  # of one text; a name may be of any length
NARROW_TOO = ('recall', 'remedies', 'calibration')
"""Pictures that are drawn for phones too, those of a second comparison as well."""


@dataclass(frozen=True)
class Tile:
  """One number of the headline, with a note below it; a link goes to a part of the page."""

  name: str
  value: str
  note: str = ''
  tone: str = ''
  link: str = ''


def pictures_of(view: RunView) -> list[Picture]:
  """Returns the pictures that there is something to show in."""
  found = [counts_picture(view), bins_picture(view)]
  found += [fit_picture(view, stage) for stage in view.stages]
  found.append(recall_picture(view))
  found += [training_picture(log, i, title) for i, (title, log) in enumerate(view.trainings)]
  for i, (_, comparison) in enumerate(view.comparisons):
    found += comparison_pictures(comparison, i)
  return [picture for picture in found if picture is not None]


def render_fragment(view: RunView, title: str = DEFAULT_TITLE, prefix: str = 'report') -> str:
  """Returns the report as an element, with its style; prefix goes before every id."""
  return _render('fragment.html.jinja', view, title, prefix)


def render_page(view: RunView, title: str = DEFAULT_TITLE) -> str:
  """Returns the report as a page that needs nothing from anywhere."""
  return _render('page.html.jinja', view, title, 'report')


def _render(template: str, view: RunView, title: str, prefix: str) -> str:
  jinja2 = load('jinja2')
  environment = jinja2.Environment(
    loader=jinja2.PackageLoader('tfx_balance.report', 'templates'),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=_shown_text,
  )
  return environment.get_template(template).render(**context(view, title, prefix))


def _shown_text(value: Any) -> Any:
  """Returns a value as a template writes it: of texts the part that can be shown."""
  if not isinstance(value, str) or hasattr(value, '__html__'):
    return value
  return text.short(text.clean(value), _MOST_CHARACTERS)


def context(view: RunView, title: str, prefix: str) -> dict[str, Any]:
  """Returns the values that the templates are filled with."""
  pictures = {picture.name: picture for picture in pictures_of(view)}
  fits = [stage for stage in view.stages if stage.fits]
  return {
    'colours': palette.COLOURS,
    'prefix': prefix,
    'title': title,
    'label': view.label,
    'answers': [_answer(model, i) for i, model in enumerate(view.measured)],
    'comparisons': [
      comparison_section(found, i, title) for i, (title, found) in enumerate(view.comparisons)
    ],
    'tiles': tiles(view),
    'warnings': _warnings(view),
    'pictures': {name: _inline(picture, prefix) for name, picture in pictures.items()},
    'narrow': {
      name: _inline(picture, prefix, narrow=True)
      for name, picture in pictures.items()
      if name.startswith(NARROW_TOO)
    },
    'stages': tables.stage_table(view) if view.stages else None,
    'confirmed': [
      f'{stage.title}: {" and ".join(stage.confirmed_by)} counted the same.'
      for stage in view.stages
      if stage.confirmed_by
    ],
    'classes': tables.class_tables(view),
    'evidence': tables.evidence_table(view),
    'fits': [(view.key(stage), tables.fit_table(view, stage)) for stage in fits],
    'divergences': tables.divergence_table(view),
    'check_sets': [_check_set(view, i) for i in range(len(view.check_sets))],
    'trainings': [training_table(log, i, title) for i, (title, log) in enumerate(view.trainings)],
    'models': tables.model_table(view) if view.models else None,
    'recall': tables.recall_tables(view) if view.models else ClassTables((), None),
    'parameters': [
      tables.parameter_table(stage, i) for i, stage in enumerate(view.stages) if stage.uri
    ],
    'sources': tables.source_table(view),
  }


def _inline(picture: Picture, prefix: str, narrow: bool = False) -> Any:
  name = f'{prefix}-{picture.name}{"-narrow" if narrow else ""}'
  drawn = inline(picture.svg(narrow), name, picture.title, picture.description)
  return load('markupsafe').Markup(drawn)


def _answer(model: ModelRecall, index: int) -> dict[str, Any]:
  """Returns the first card of a model: its mean recall and its worst class."""
  lowest = min(model.by_class.values())
  # The rarest first: it is the one that others would hide.
  worst = sorted((n, v) for v, n in model.tested.items() if model.by_class[v] == lowest)
  return {
    'model': tables.words(model.name, length=40),
    'colour': palette.series(index).name,
    'macro': f'{model.macro:.3f}',
    'lowest': f'{lowest:.3f}',
    'worst': [(tables.named(str(value), 24), f'{n:,} tested') for n, value in worst[:MOST_WORST]],
    'more': f' and {len(worst) - MOST_WORST:,} more' if len(worst) > MOST_WORST else '',
  }


def tiles(view: RunView) -> list[Tile]:
  """Returns the numbers of the headline."""
  found = measures.headline(view)
  result = []
  if view.stages:
    result.append(Tile('records', f'{found.records:,}', view.stages[0].title))
  result.append(Tile('classes', f'{found.classes:,}', f'of {view.label}' if view.label else ''))
  if found.before is not None:
    after = f' → {text.ratio(found.after)}' if found.after is not None else ''
    note = 'largest class over smallest' + (', before and after' if after else '')
    if found.in_batches:
      note = 'largest class over smallest, of records and of batches'
    result.append(Tile('imbalance', f'{text.ratio(found.before)}{after}', note))
  result.append(_verdict(view))
  return result


def _verdict(view: RunView) -> Tile:
  if view.passed is None:
    return Tile('checks', 'not checked', 'no artifact of a validator was given', 'soft')
  broken = [check for check_set in view.check_sets for check in check_set.failed]
  note = f'{sum(len(check_set.rules) for check_set in view.check_sets):,} rules kept'
  if broken:
    note = f'{len(broken):,} violations, worst: {tables.worst_check(broken)}'
  result = ('passed', note, 'good') if view.passed else ('not passed', note, 'bad')
  return Tile('checks', *result, link='checks')


def _warnings(view: RunView) -> list[dict[str, Any]]:
  """Returns the warnings of the components, and those of the report itself; `more` are left out."""
  sources = [(stage.title, stage.warnings) for stage in view.stages]
  return [
    {
      'title': title,
      'shown': sentences[:MOST_WARNINGS],
      'more': max(len(sentences) - MOST_WARNINGS, 0),
    }
    for title, sentences in (*sources, ('This report', view.notes))
    if sentences
  ]


def _check_set(view: RunView, index: int) -> dict[str, Any]:
  check_set = view.check_sets[index]
  document = check_set.document
  return {
    'title': check_set.title,
    'passed': document.blessed,
    'counts_from': document.counts_from,
    'missing': [f'{n:,} in {split}' for split, n in document.missing.items() if n],
    'failed': tables.failed_table(check_set, index) if check_set.failed else None,
    'rules': tables.rule_table(check_set, index),
    'leakage': tables.leakage_table(document.leakage, index) if document.leakage else None,
  }


def render_report(
  uris: Sequence[str],
  output_path: str,
  *,
  title: str = DEFAULT_TITLE,
  label: str | None = None,
  pictures: Sequence[str] = (),
) -> list[str]:
  """Returns the paths of what it writes: the report, and its pictures.

  Args:
    uris: URIs of artifacts, in the order of the pipeline, as `read_run` takes them.
    output_path: Path of the HTML file, local or remote; its folder is made.
    title: Title of the page.
    label: Feature that holds the class; where None, the artifacts say it.
    pictures: 'svg', 'png' or both, to have the pictures as files beside the page too.

  Raises:
    ConfigError: if an argument breaks a rule, or jinja2 or matplotlib is not installed.
    DataError: if an artifact is broken.
  """
  for package in ('jinja2', 'matplotlib'):
    load(package)
  listed = isinstance(pictures, Sequence) and not isinstance(pictures, (str, bytes))
  if not listed or any(kind not in PICTURE_KINDS for kind in pictures):
    raise ConfigError(
      f'pictures={format_value(pictures)} must be a list of kinds of {list(PICTURE_KINDS)}, such '
      f'as '
      f"pictures=['png']"
    )
  output_path = check_path('output_path', output_path)
  _check_title(title)
  if output_path.endswith('/') or storage_of(output_path).is_folder(output_path):
    raise ConfigError(f'output_path={output_path!r} is a folder; name a file, such as report.html')
  view = read_run(uris, label)
  files: dict[str, bytes] = {output_path: render_page(view, title).encode('utf-8')}
  stem = posixpath.splitext(output_path)[0]
  for picture in pictures_of(view) if pictures else ():
    for kind in pictures:
      data = picture.svg().encode('utf-8') if kind == 'svg' else picture.png()
      files[f'{stem}-{picture.name}.{kind}'] = data
  for path, data in files.items():
    write_whole(path, data)
  return list(files)


def render_html(
  uris: Sequence[str], *, title: str = DEFAULT_TITLE, label: str | None = None
) -> str:
  """Returns the report as the text of an HTML page; arguments as in `render_report`."""
  _check_title(title)
  return render_page(read_run(uris, label), title)


def _check_title(title: Any) -> None:
  if not isinstance(title, str) or title:
    check_text('title', title, 'the title of the page')
