"""Beam transforms on lists, without a runner: milliseconds, where Beam takes a second.

`ListPipeline` takes the place of `beam.Pipeline`. Each step is run when it is applied, on a list of
elements: functions and `DoFn`s with their side inputs and tagged outputs, groups and combiners.
What is grouped is pickled, as it is between workers.
"""

from __future__ import annotations

import pickle
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.pvalue import AsDict, AsList, AsSideInput, AsSingleton, PCollection, TaggedOutput
from apache_beam.transforms import core
from apache_beam.transforms.ptransform import _NamedPTransform
from apache_beam.transforms.window import GlobalWindows
from tfx_balance.scan.scan import InputFile
from tfx_balance.tfrecord.work_files import WorkFile
from tfx_balance.writer import OutputPlan, write_outputs


class Elements(PCollection):
  """A PCollection whose elements are known: `elements.values`."""

  def __init__(self, pipeline: ListPipeline, values: Iterable[Any]) -> None:
    super().__init__(pipeline, windowing=core.Windowing(GlobalWindows()))
    self.values = list(values)


class ListPipeline:
  """Applies transforms to lists."""

  runner = None  # which Beam asks whether it is eager

  def __or__(self, transform: beam.PTransform) -> Any:
    return self.apply(transform, self.elements([None]))

  def elements(self, values: Iterable[Any]) -> Elements:
    """Returns a PCollection of some values."""
    return Elements(self, values)

  def apply(self, transform: beam.PTransform, given: Any, label: str | None = None) -> Any:
    """Returns what a transform makes of a PCollection or of several; Beam's operators call this."""
    if isinstance(transform, _NamedPTransform):
      transform = transform.transform
    run = next((run for kind, run in _RUNS.items() if isinstance(transform, kind)), None)
    if run is None:
      return transform.expand(given)
    made = run(transform, given)
    return made if isinstance(made, dict) else self.elements(made)


class _Outputs(dict):
  """The outputs of a step by tag, which are attributes too."""

  __getattr__ = dict.__getitem__


def _run_dofn(transform: core.ParDo, given: Elements) -> dict[str | None, list[Any]]:
  """Returns the values that a step puts out, by tag; None for the main output."""
  args, kwargs = transform.raw_side_inputs
  side = [_side_input(value) for value in args]
  named = {name: _side_input(value) for name, value in kwargs.items()}
  outputs: dict[str | None, list[Any]] = defaultdict(list)
  for value in _calls(transform.fn, given.values, side, named):
    if isinstance(value, TaggedOutput):
      outputs[value.tag].append(value.value)
    else:
      outputs[None].append(value)
  return outputs


def _calls(
  fn: beam.DoFn, values: Sequence[Any], side: Sequence[Any], named: dict[str, Any]
) -> Iterator[Any]:
  """Yields what a `DoFn` makes of a bundle, all its methods called as a runner does."""
  fn.setup()
  fn.start_bundle()
  for value in values:
    yield from fn.process(value, *side, **named) or ()
  fn.finish_bundle()
  fn.teardown()


def _side_input(value: Any) -> Any:
  """Returns what a step gets for an argument."""
  if not isinstance(value, AsSideInput):
    return value
  values = value.pvalue.values
  if isinstance(value, AsSingleton):
    (value,) = values
    return value
  assert isinstance(value, AsList | AsDict), value
  return dict(values) if isinstance(value, AsDict) else values


def _run_tagged(transform: core._MultiParDo, given: Elements) -> _Outputs:
  found = _run_dofn(transform._do_transform, given)
  main = transform._main_tag
  assert set(found) <= {None, *transform._tags}, found
  return _Outputs(
    {
      tag: given.pipeline.elements(found[None if tag == main else tag])
      for tag in (main, *transform._tags)
    }
  )


def _grouped(given: Elements) -> list[tuple[Any, list[Any]]]:
  """Returns the values of each key, all pickled and loaded again."""
  groups: dict[Any, list[Any]] = defaultdict(list)
  for key, value in map(pickle.loads, map(pickle.dumps, given.values)):
    groups[key].append(value)
  return list(groups.items())


def _run_combine(transform: beam.CombinePerKey, given: Elements) -> list[tuple[Any, Any]]:
  return [(key, combine(transform.fn, values)) for key, values in _grouped(given)]


def combine(fn: beam.CombineFn, values: Sequence[Any]) -> Any:
  """Returns what a combiner makes of some values, which two workers have."""
  accumulators = []
  for part in (values[::2], values[1::2]):
    accumulator = fn.create_accumulator()
    for value in part:
      accumulator = fn.add_input(accumulator, value)
    accumulators.append(fn.compact(accumulator))
  return fn.extract_output(fn.merge_accumulators(accumulators))


def _run_joined(_: beam.CoGroupByKey, given: Any) -> list[tuple[Any, Any]]:
  """Returns the values of each key in several PCollections, a tuple or a dict of these."""
  named = isinstance(given, dict)
  found = {
    tag: dict(_grouped(each)) for tag, each in (given.items() if named else enumerate(given))
  }
  rows = {
    key: {tag: of_tag.get(key, []) for tag, of_tag in found.items()}
    for key in dict.fromkeys(key for of_tag in found.values() for key in of_tag)
  }
  return [(key, row if named else tuple(row.values())) for key, row in rows.items()]


_RUNS: dict[type, Callable[[Any, Any], Any]] = {
  core._MultiParDo: _run_tagged,
  beam.ParDo: lambda transform, given: _run_dofn(transform, given)[None],
  beam.Impulse: lambda _, given: [b''],
  beam.Create: lambda transform, given: transform.values,
  beam.Flatten: lambda _, given: [value for each in given for value in each.values],
  beam.GroupByKey: lambda _, given: _grouped(given),
  beam.CoGroupByKey: _run_joined,
  beam.CombinePerKey: _run_combine,
}


def run_on_lists(
  transform: beam.PTransform, files: Sequence[InputFile]
) -> tuple[OutputPlan, Any, list[WorkFile]]:
  """Returns what the transform of a component puts out: the plan, the counts, and the files."""
  output_plan, counts, written = (
    each.values for each in ListPipeline().elements(files) | transform
  )
  assert len(output_plan) == len(counts) == 1
  return output_plan[0], counts[0], written


def write_on_lists(transform: Any, files: Sequence[InputFile]) -> None:
  """Writes and publishes what the transform of a component makes of some files."""
  write_outputs(ListPipeline(), files, transform, (), (), transform.context.work_dir)
