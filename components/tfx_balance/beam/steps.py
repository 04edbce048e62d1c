"""Beam's composites in as few steps as they need: a step costs 15 ms before anything runs.

`beam.Create` is eight steps, `beam.Reshuffle` four and `beam.CombineGlobally` eight, most of them
for windows, for streams and for input without elements, of which we have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam


def create(pipeline: beam.Pipeline, label: str, values: Sequence[Any]) -> beam.PCollection:
  """Returns the values, as elements that are together; see `spread`."""
  return pipeline | f'{label}Impulse' >> beam.Impulse() | label >> beam.FlatMap(lambda _: values)


def spread(elements: beam.PCollection, label: str, key: Callable[[Any], Any]) -> beam.PCollection:
  """Returns the elements, each of which may go to another worker."""
  return (
    elements
    | f'{label}Keys' >> beam.Map(lambda element: (key(element), element))
    | label >> beam.GroupByKey()
    | f'{label}Values' >> beam.FlatMap(lambda keyed: keyed[1])
  )


def summed(
  elements: beam.PCollection,
  label: str,
  each: Callable[..., Any],
  combine: Callable[[Iterable[Any]], Any] | beam.CombineFn,
  then: Callable[..., Any],
  *side_inputs: Any,
) -> beam.PCollection:
  """Returns one element: what `then` makes of what `combine` makes of what `each` makes.

  Args:
    elements: Elements, one at least; of none comes nothing.
    label: Label of the steps.
    each: Function of an element and the side inputs.
    combine: Function or `CombineFn`, as `beam.CombineGlobally` takes it.
    then: Function of what was combined and the side inputs.
    *side_inputs: Side inputs of `each` and `then`.
  """
  return (
    elements
    | f'{label}Each' >> beam.Map(lambda element, *side: (None, each(element, *side)), *side_inputs)
    | label >> beam.CombinePerKey(combine)
    | f'{label}Then' >> beam.Map(lambda keyed, *side: then(keyed[1], *side), *side_inputs)
  )


def identity(value: Any) -> Any:
  """Returns the value: for `summed`, where there is nothing to make of it."""
  return value
