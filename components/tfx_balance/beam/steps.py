"""Beam's composites in as few steps as they need: a step costs 15 ms before anything runs.

`beam.Create` is eight steps, `beam.Reshuffle` four and `beam.CombineGlobally` eight, most of them
for windows, for streams and for input without elements, of which we have none.
"""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam

from tfx_balance.sizes import Workspace


def create(pipeline: beam.Pipeline, label: str, values: Sequence[Any]) -> beam.PCollection:
  """Returns the values as elements of one bundle; see `spread`."""
  return pipeline | f'{label}Impulse' >> beam.Impulse() | label >> beam.FlatMap(lambda _: values)


def spread(elements: beam.PCollection, label: str, key: Callable[[Any], Any]) -> beam.PCollection:
  """Returns the elements, each of which may go to another worker."""
  return (
    elements
    | f'{label}Keys' >> beam.Map(lambda element: (key(element), element))
    | label >> beam.GroupByKey()
    | f'{label}Values' >> beam.FlatMap(lambda keyed: keyed[1])
  )


BATCH_ROWS = 1 << 18
"""Rows that wait to be merged; a row takes 16 to 32 bytes."""
_BATCH_PARTS = 1024
_ALONE = Workspace(work_dir='')


class MergeRows(beam.CombineFn):
  """Merges elements of some rows each, such as sorted columns, in batches."""

  def __init__(self, merge: Callable[[Iterable[Any]], Any], batch_rows: int = BATCH_ROWS) -> None:
    """Takes the function from several elements to one, whose length is its number of rows.

    Args:
      merge: The function.
      batch_rows: Rows that wait to be merged.
    """
    self._merge, self._batch_rows = merge, batch_rows

  def create_accumulator(self) -> list[Any]:
    return []

  def add_input(self, parts: list[Any], element: Any) -> list[Any]:
    parts.append(element)
    # What is merged already, the first, is merged again once as much has come.
    if len(parts) < _BATCH_PARTS and sum(map(len, parts[1:])) < max(
      self._batch_rows, len(parts[0])
    ):
      return parts
    return self.compact(parts)

  def merge_accumulators(self, several: Iterable[list[Any]]) -> list[Any]:
    merged: list[Any] = []
    for parts in several:
      for element in parts:
        merged = self.add_input(merged, element)
    return merged

  def compact(self, parts: list[Any]) -> list[Any]:
    return [self._merge(parts)] if len(parts) > 1 else parts

  def extract_output(self, parts: list[Any]) -> Any:
    return self._merge(parts)

  def merged(self, elements: Iterable[Any]) -> Any:
    """Returns one element or more merged, in memory that grows with the merged one alone."""
    parts = functools.reduce(self.add_input, elements, self.create_accumulator())
    return self.extract_output(parts)


def combined(
  keyed: beam.PCollection,
  label: str,
  combine: Callable[[Iterable[Any]], Any] | beam.CombineFn,
  work: Workspace,
) -> beam.PCollection:
  """Combines the values of each key: ((key, fan-in), value) to ((key, 0), combined).

  Args:
    keyed: Values with keys, and with numbers from `fan_in_of`.
    label: Label of the steps.
    combine: Function or `CombineFn`; it also takes what it makes.
    work: Workspace; a key has a value a file, at the most.
  """
  found = keyed | label >> beam.CombinePerKey(combine)
  if work.in_tree:
    found |= f'{label}FanIn' >> beam.Map(lambda element: ((element[0][0], 0), element[1]))
    found |= f'{label}OfFanIn' >> beam.CombinePerKey(combine)
  return found


def merged(
  keyed: beam.PCollection, label: str, merge: Callable[[Iterable[Any]], Any], work: Workspace
) -> beam.PCollection:
  """Returns the output of `combined` with `MergeRows`, without merging on each worker first.

  Elements with different rows do not get smaller by that, and all would be in memory at once. They
  are grouped as bytes, for the runner of one machine holds elements that it groups as they are, and
  columns are wider than what is sent of them.
  """

  def merge_values(keyed_values: tuple[Any, Iterable[bytes]]) -> tuple[Any, Any]:
    return keyed_values[0], MergeRows(merge).merged(map(pickle.loads, keyed_values[1]))

  found = (
    keyed
    | f'{label}Bytes' >> beam.Map(lambda element: (element[0], pickle.dumps(element[1], 5)))
    | label >> beam.GroupByKey()
    | f'{label}Merge' >> beam.Map(merge_values)
  )
  if work.in_tree:
    found |= f'{label}FanIn' >> beam.Map(lambda element: ((element[0][0], 0), element[1]))
    found |= f'{label}OfFanIn' >> beam.CombinePerKey(MergeRows(merge))
  return found


def summed(
  elements: beam.PCollection,
  label: str,
  each: Callable[..., Any],
  combine: Callable[[Iterable[Any]], Any] | beam.CombineFn,
  then: Callable[..., Any],
  *side_inputs: Any,
  file_number: Callable[[Any], int] = lambda _: 0,
  work: Workspace = _ALONE,
) -> beam.PCollection:
  """Maps elements by `each`, combines the results, and applies `then`: returns one element.

  Args:
    elements: Elements, one at least; of none comes nothing.
    label: Label of the steps.
    each: Function of an element and the side inputs.
    combine: Function or `CombineFn`, as `beam.CombineGlobally` takes it; where files are many, it
      also takes what it makes.
    then: Function of what was combined and the side inputs.
    *side_inputs: Side inputs of `each` and `then`.
    file_number: Function of an element to the number of its file, where there may be many.
    work: Workspace; there is an element a file, at the most, and those of many are combined in a
      tree.
  """
  keyed = elements | f'{label}Each' >> beam.Map(
    lambda element, *side: ((None, work.fan_in_of(file_number(element))), each(element, *side)),
    *side_inputs,
  )
  return combined(keyed, label, combine, work) | f'{label}Then' >> beam.Map(
    lambda keyed, *side: then(keyed[1], *side), *side_inputs
  )
