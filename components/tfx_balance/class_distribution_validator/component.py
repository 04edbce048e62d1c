"""The ClassDistributionValidator component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from tfx_balance.class_distribution_validator import executor
from tfx_balance.class_distribution_validator.parameters import (
  ALGORITHM_VERSION,
  ARGUMENTS,
  ValidatorParameters,
  check_channels,
)
from tfx_balance.declare import encode, is_runtime, kinds, make_spec
from tfx_balance.errors import ConfigError
from tfx_balance.plan.class_counts import BASELINE

_INPUTS = {
  'statistics': standard_artifacts.ExampleStatistics,
  'examples': standard_artifacts.Examples,
  'schema': standard_artifacts.Schema,
  'baseline_statistics': standard_artifacts.ExampleStatistics,
  'baseline_examples': standard_artifacts.Examples,
}


class ClassDistributionValidatorSpec(types.ComponentSpec):
  """Inputs, outputs and execution properties of `ClassDistributionValidator`."""

  PARAMETERS = {
    name: component_spec.ExecutionParameter(type=kind) for name, kind in kinds(ARGUMENTS).items()
  }
  INPUTS = {
    name: component_spec.ChannelParameter(type=kind, optional=True)
    for name, kind in _INPUTS.items()
  }
  OUTPUTS = {'anomalies': component_spec.ChannelParameter(type=standard_artifacts.ExampleAnomalies)}


class ClassDistributionValidator(base_beam_component.BaseBeamComponent):
  """Stops a pipeline whose classes are not distributed as they should be.

  `outputs['anomalies']` is an `ExampleAnomalies` artifact, as ExampleValidator's is: the anomalies
  of the label for each split, and the properties `blessed`, of each split 1 or 0, and
  `all_blessed`, 1 or 0. At its root, `class_checks.json` has the exact counts and every check:
  measured value, limit, verdict.

  A node that does not read the anomalies is not held back by itself: tie it with
  `trainer.add_upstream_node(validator)`.

  Example::

      validator = ClassDistributionValidator(
        examples=splitter.outputs['examples'],
        label='species',
        min_count={'train': 50},
      )
      trainer.add_upstream_node(validator)
  """

  SPEC_CLASS = ClassDistributionValidatorSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    statistics: types.BaseChannel | None = None,
    label: str | Sequence[str] = 'label',
    examples: types.BaseChannel | None = None,
    schema: types.BaseChannel | None = None,
    baseline_statistics: types.BaseChannel | None = None,
    on_violation: str = 'fail',
    report_dir: str | None = None,
    max_l_infinity: float | Mapping[str, float] | str | None = 'auto',
    max_jensen_shannon: float | Mapping[str, float] | str | None = 'auto',
    max_baseline_l_infinity: float | Mapping[str, float] | str | None = 'auto',
    max_baseline_jensen_shannon: float | Mapping[str, float] | str | None = 'auto',
    compare: Sequence[tuple[str, str]] | str | None = None,
    min_count: int | Mapping[str, int] | str | None = None,
    min_share: float | Mapping[str, float] | str | None = None,
    max_imbalance_ratio: float | Mapping[str, float] | str | None = None,
    expected_shares: Mapping[Any, Any] | str | None = None,
    share_tolerance: float = 0.01,
    missing_classes: str = 'allow_too_small',
    max_missing: float | Mapping[str, float] | str | None = 0.0,
    check_leakage: str | None = None,
    leakage_pairs: Sequence[tuple[str, str]] | str | None = None,
    max_leakage: float | Mapping[str, float] | str | None = 0.0,
    exclude_splits: Sequence[str] | str | None = None,
    recount: bool = False,
    multilabel: bool = False,
    identity: str | None = None,
    max_share_ratio: float | Mapping[str, float] | str | None = 'auto',
    max_baseline_share_ratio: float | Mapping[str, float] | str | None = 'auto',
    baseline_examples: types.BaseChannel | None = None,
  ):
    """Makes the component.

    A limit is one number for all splits, or a mapping of split to number for some of them; None
    turns its rule off. Any argument but the channels may be a RuntimeParameter: of int for
    `recount` and `multilabel`, of float for `share_tolerance`, of str for the others (numbers and
    mappings as JSON).

    Args:
      statistics: channel of `ExampleStatistics`, whose splits are checked. It is needed with
        `schema`, and without `examples`: counts are then taken from it, if it holds all of them
        exactly.
      label: the feature that holds the class, one value a record: int64, bytes, or float that is
        integral.
      examples: channel of `Examples`, of one artifact or several (a rolling window), those that the
        statistics describe if these are given. Exact counts come from its sidecar, if that tells of
        these splits and this label, or from one pass over its records.
      schema: channel of a `Schema`: its domain of the label, presence and type are rules; its skew
        comparator limits the distances of splits, its drift comparator those of the baseline.
      baseline_statistics: channel of the `ExampleStatistics` of earlier data, which must hold exact
        counts. Where there is no artifact in it (a first run), nothing is compared with it.
      on_violation: 'fail' ends the run with all that broke; 'warn' logs it and goes on.
      report_dir: a folder for copies of the anomalies, of `class_checks.json`, and of all that
        broke as text: TFX deletes the outputs of a run that fails.
      max_l_infinity: between two splits, the largest difference of a class's shares, 0 to 1.
        'auto' takes the schema's, or 0.05, or, if that is more, what chance explains (Hoeffding
        1963).
      max_jensen_shannon: between two splits, the Jensen-Shannon divergence, 0 to 1. 'auto' takes
        the schema's, or none.
      max_baseline_l_infinity: the same between a split and the baseline.
      max_baseline_jensen_shannon: the same between a split and the baseline.
      compare: pairs of what is compared with what, such as `[('eval', 'train'), ('train',
        'baseline:train')]`; [] for nothing. None for all pairs of splits, and for each split with
        that of the same name in the baseline.
      min_count: the least records of each class, in every split or in some. A class of the schema's
        domain counts, where that lists its classes.
      min_share: the least share of each class.
      max_imbalance_ratio: records of the largest class to those of the smallest;
        `{'train': 1.01}` says that train is balanced within one percent.
      expected_shares: class to the share that it should have, or split to such a mapping. Classes
        that are not named may have any.
      share_tolerance: how far a share may be from what is expected.
      missing_classes: 'allow_too_small' lets a class be absent from a split where its fair share is
        below one record; 'forbid' does not, and 'allow' does not look.
      max_missing: the largest share of records without a class.
      check_leakage: 'records' finds records that are in two splits, the name of a feature (a
        patient, a scene) values of it that are. Needs `examples`.
      leakage_pairs: pairs of splits that may have nothing in common; None for all pairs.
      max_leakage: the largest share of a split's records that another may have too.
      exclude_splits: that are not checked.
      recount: whether to count the records even where a sidecar tells their number.
      multilabel: whether the values of the label, of which a record has any number, are labels; or
        the names of those of several features in `label` that are 1, where others are 0 (these need
        `examples`, and take no `schema` and no baseline). All rules are of labels then: the count
        of one is the number of records that have it, its share that part of the records that have
        any label, and a record without a class is one without labels. The Jensen-Shannon
        divergence is of the labels of all records together. Statistics count values, so that a
        label that a record has twice counts twice in them, and in those of the baseline; `examples`
        count it once.
      identity: what makes records equal for `check_leakage='records'`: their 'bytes', or their
        'values', in whatever order their features were written, as `StratifiedSplitter` has it.
        None compares values where protobuf writes features in another order each time (6 and later,
        as of TFX 1.21), and bytes elsewhere.
      max_share_ratio: between two splits, the largest ratio of a class's shares, 1 or more, of
        classes whose counts are more than one record from their share and where Fisher's exact test
        (1935), over all classes and comparisons, rejects at 0.01 that chance explains it. 'auto' is
        2. Beside it, `max_l_infinity` limits frequent classes, whose ratio is never large.
      max_baseline_share_ratio: the same between a split and the baseline.
      baseline_examples: channel of the `Examples` of earlier data, in place of
        `baseline_statistics`: counted as `examples` are, for any label.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = {name: value for name, value in locals().items() if name in ARGUMENTS}
    channels = {name: value for name, value in locals().items() if name in _INPUTS}
    inputs = [name for name, channel in channels.items() if channel is not None]
    check_channels(inputs)
    if isinstance(exclude_splits, Sequence) and not exclude_splits:
      given['exclude_splits'] = None
    properties = encode(ARGUMENTS, given, ValidatorParameters.decode, ALGORITHM_VERSION)
    if not any(map(is_runtime, (label, multilabel))):
      features = ValidatorParameters.decode({'label': label, 'multilabel': multilabel}).features
      check_channels(inputs, features)
    if examples is None and check_leakage is not None:
      raise ConfigError(f'check_leakage={check_leakage!r} compares records; pass examples= as well')
    if BASELINE in str(properties['compare']) and not any('baseline' in name for name in inputs):
      raise ConfigError(f'compare={compare!r} names a baseline; pass baseline_examples= as well')
    spec = make_spec(
      ClassDistributionValidatorSpec,
      **channels,
      anomalies=types.Channel(type=standard_artifacts.ExampleAnomalies),
      **properties,
    )
    super().__init__(spec=spec)
