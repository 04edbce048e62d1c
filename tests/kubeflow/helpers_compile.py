"""A small pipeline to compile, and compiled ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tfx.v1 as tfx
import yaml
from tfx_balance import StratifiedSplitter


def make_pipeline(root='', trainer=None, more=(), **arguments):
  """Returns a pipeline of an ExampleGen, a splitter, a Trainer with some arguments, and more."""
  example_gen = tfx.components.ImportExampleGen(input_base='gs://bucket/data')
  splitter = StratifiedSplitter(
    examples=example_gen.outputs['examples'],
    seed=tfx.dsl.experimental.RuntimeParameter(name='seed', ptype=int, default=7),
  )
  nodes = [example_gen, splitter, *more]
  if trainer:
    nodes.append(
      tfx.components.Trainer(
        examples=splitter.outputs['examples'],
        train_args=tfx.proto.TrainArgs(num_steps=1),
        eval_args=tfx.proto.EvalArgs(num_steps=1),
        **trainer,
      )
    )
  return tfx.dsl.Pipeline(pipeline_name='small', pipeline_root=root, components=nodes, **arguments)


def load_package(path: str | Path) -> list[dict[str, Any]]:
  """Returns the documents of a compiled pipeline: its specification, and the platform's if any."""
  return list(yaml.safe_load_all(Path(path).read_text()))
