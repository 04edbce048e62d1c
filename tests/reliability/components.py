"""The four components on a little data: what each reads, and how its executor is run."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tests.helpers_examples  # noqa: F401 - before TFX, which brings another package `tests`

from tests.helpers_pipeline import run_executor  # isort: skip

from tfx.types import channel_utils, standard_artifacts
from tfx_balance import (
  BalancedAugmenter,
  BalancedInputGen,
  ClassDistributionValidator,
  StratifiedSplitter,
)

from tests.class_distribution_validator.helpers_validate import (
  statistics_artifact,
  statistics_of,
)
from tests.helpers_examples import example, examples_artifact, in_shards, write_splits

COUNTS = {'all': {b'a': 2400, b'b': 500, b'c': 100}, 'more': {b'a': 200, b'b': 40, b'c': 10}}
SPLITS = tuple(COUNTS)


@dataclass(frozen=True)
class Case:
  """A component with its arguments.

  Attributes:
    component: the class.
    outputs: keys of what it writes; the first one holds the sidecar.
    sidecar: name of the file that tells that all is there.
    arguments: of the constructor.
    statistics: whether it reads statistics too.
  """

  component: Any
  outputs: tuple[str, ...]
  sidecar: str
  arguments: dict[str, Any] = field(default_factory=dict)
  statistics: bool = False

  @property
  def name(self) -> str:
    return str(self.component.__name__)

  def uris(self, root: Path, execution: int) -> dict[str, Path]:
    """Returns where the outputs of an execution are, as TFX says."""
    return {key: root / self.name / key / str(execution) for key in self.outputs}

  def sidecar_path(self, root: Path, execution: int) -> Path:
    return next(iter(self.uris(root, execution).values())) / self.sidecar

  def run(self, inputs: Path, root: Path, execution: int) -> None:
    """Runs the executor with the properties that the constructor makes."""
    artifacts: dict[str, list[Any]] = {'examples': [examples_artifact(inputs / 'in', SPLITS)]}
    if self.statistics:
      artifacts['statistics'] = [_statistics(inputs)]
    channels = {key: channel_utils.as_channel(found) for key, found in artifacts.items()}
    uris = {key: str(uri) for key, uri in self.uris(root, execution).items()}
    folder = root / self.name / '.temp' / str(execution)
    run_executor(self.component(**channels, **self.arguments), uris, str(folder))


CASES = (
  Case(
    StratifiedSplitter,
    ('examples',),
    'class_distribution.json',
    {'input_splits': ['all'], 'seed': 7},
  ),
  Case(
    BalancedAugmenter,
    ('examples',),
    'class_distribution.json',
    {'splits': ['all'], 'seed': 7, 'augment_fn': 'tests.balanced_augmenter.functions.jitter'},
  ),
  Case(
    BalancedInputGen,
    ('examples', 'hyperparameters'),
    'class_distribution.json',
    {'train_splits': ['all'], 'seed': 7},
  ),
  Case(
    ClassDistributionValidator,
    ('anomalies',),
    'class_checks.json',
    {'recount': True, 'check_leakage': 'records', 'on_violation': 'warn'},
    statistics=True,
  ),
)


def write_inputs(folder: Path, seed: int) -> None:
  """Writes the examples, three files and one, and their statistics."""
  rng = random.Random(seed)
  splits = {}
  for name, counts in COUNTS.items():
    records = [
      example(label=label, id=i, x=[rng.random(), i / 7], data=rng.randbytes(300))
      for label, n in counts.items()
      for i in range(n)
    ]
    rng.shuffle(records)
    splits[name] = in_shards(records, 3 if name == 'all' else 1)
  write_splits(folder / 'in', splits)
  write_splits(folder / 'plain', splits, suffix='')
  statistics_artifact(
    folder / 'statistics', {name: statistics_of(counts) for name, counts in COUNTS.items()}
  )


def _statistics(inputs: Path) -> standard_artifacts.ExampleStatistics:
  artifact = standard_artifacts.ExampleStatistics()
  artifact.uri = str(inputs / 'statistics')
  artifact.split_names = examples_artifact(inputs, SPLITS).split_names
  return artifact
