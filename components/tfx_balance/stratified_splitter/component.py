"""The StratifiedSplitter component."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from tfx import types
from tfx.dsl.components.base import base_beam_component, executor_spec
from tfx.types import component_spec, standard_artifacts

from tfx_balance.declare import encode, kinds, make_spec
from tfx_balance.modes.registry import TOGETHER
from tfx_balance.plan.split_shares import DEFAULT_SPLITS
from tfx_balance.stratified_splitter import executor
from tfx_balance.stratified_splitter.parameters import (
  ALGORITHM_VERSION,
  ARGUMENTS,
  SplitterParameters,
  plain_shares,
)
from tfx_balance.tfrecord.reading import LARGEST_RECORD_BYTES


class StratifiedSplitterSpec(types.ComponentSpec):
  """Inputs, outputs and execution properties of `StratifiedSplitter`."""

  PARAMETERS = {
    name: component_spec.ExecutionParameter(type=kind) for name, kind in kinds(ARGUMENTS).items()
  }
  # Not 'examples' twice: a spec takes its inputs and outputs as one set of keyword arguments.
  INPUTS = {
    'input_examples': component_spec.ChannelParameter(type=standard_artifacts.Examples),
    'extend': component_spec.ChannelParameter(type=standard_artifacts.Examples, optional=True),
  }
  OUTPUTS = {'examples': component_spec.ChannelParameter(type=standard_artifacts.Examples)}


class StratifiedSplitter(base_beam_component.BaseBeamComponent):
  """Re-splits `Examples` so that every class has its exact share in every split.

  Each class in each split, and each split as a whole, is within one record of its ideal share, but
  where `mode='stable'` leaves them to chance, or `at_least` asks for more. Which records go where
  depends on the set of records and the seed alone: not on their order, the number of files, or the
  runner.

  `outputs['examples']` is an `Examples` artifact, with `class_distribution.json` at its root: the
  records and the ideal share of each class in each split, the seed and a fingerprint of the input.

  Example::

      splitter = StratifiedSplitter(
        examples=example_gen.outputs['examples'],
        stratify_by='species',
        splits={'train': 8, 'eval': 1, 'test': 1},
      )
  """

  SPEC_CLASS = StratifiedSplitterSpec
  EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(executor.Executor)

  def __init__(
    self,
    examples: types.BaseChannel,
    stratify_by: str | Sequence[str] = 'label',
    splits: Mapping[str, Any] | str | None = DEFAULT_SPLITS,
    counts: Mapping[str, int] | str | None = None,
    rest: str | None = None,
    input_splits: Sequence[str] | str | None = None,
    seed: int = 0,
    missing_label: str | Mapping[str, Any] = 'error',
    output_files: Mapping[str, int] | int | str | None = None,
    max_record_bytes: int = LARGEST_RECORD_BYTES,
    bad_records: str = 'error',
    max_bad_records: int = 100,
    split_by: str | None = None,
    split_values: Mapping[Any, str] | str | None = None,
    folds: int = 0,
    key: Sequence[str] | str | None = None,
    mode: str = 'exact',
    identity: str = 'bytes',
    order_by: str | None = None,
    within: str = 'all',
    embargo: float | str = 0,
    embargo_records: int = 0,
    multilabel: bool = False,
    extend: types.BaseChannel | None = None,
    group_by: Sequence[str] | str | None = None,
    missing_group: str = 'error',
    bins: int | Sequence[float] | Mapping[str, Any] | str | None = None,
    at_least: int | Mapping[str, int] | str | None = None,
  ):
    """Makes the component; any argument but a channel may be a RuntimeParameter of str or int.

    Args:
      examples: Channel of `Examples`: tf.Example or tf.SequenceExample records in TFRecord files.
        Several artifacts are merged; span and version are those of the newest.
      stratify_by: Feature that holds the class, one value a record: int64, bytes, or float that is
        integral. Several features make joint strata; the first one is the class, and the
        bound also holds for the first ones together, one, two and so on.
      splits: Weights by split.
      counts: Numbers of records by split; the splits in `splits` share the remaining records.
      rest: Split that gets all records that `counts` leaves, in place of `splits`.
      input_splits: Splits of the input to re-split; None for all. Others pass through unchanged.
      seed: Seed of the selection.
      missing_label: Treatment of records without a class: 'error', 'own', or 'drop'.
        {'fill': 0} takes no value as 0, in every feature of numbers that is read, such as that of
        `order_by`: TFX's reader of Parquet writes 0 so. 0.0 for features of floats, '' for text.
      output_files: Number of files of each split, or numbers by split. None for one file in each
        split for each 128 MiB of decompressed input. Splits with different numbers of files take a
        reading of the work files for each number.
      max_record_bytes: Bytes of the longest record; a file with a longer one is refused.
      bad_records: Treatment of records that cannot be used: 'error', or 'skip', which counts them.
      max_bad_records: Number of bad records in all the files that may be skipped.
      split_by: Feature that predefines the split of a record, of any type that a class may have.
        Records without a predefined split are an error, or stratified where `splits` are given.
      split_values: Splits by value of `split_by`; None where a value is the name of its split.
      folds: Number of folds for cross-validation, up to 1,000; 0 for none. They share the weight of
        'train' and are the splits 'fold-0', 'fold-1' and so on; `fold_splits` tells which to train
        on. The default `splits` are {'train': 9, 'test': 1} then.
      key: Features that identify a record, which all records have; None for all its bytes. Records
        are chosen by them, so that a change of other features, or of the order in which features
        were written, leaves a record in its split. The fingerprint of the input is of them too.
      mode: 'exact', or 'stable': a record, or its `key`, keeps its split when data is added, and
        equal ones share one; counts differ from the shares by chance then, with the standard
        deviation sqrt(n p (1 - p)) for a share p of n records that differ.
      identity: What identifies a record without `key`: its 'bytes', or its 'values', in whatever
        order its features were written. The fingerprint of the input is of them too.
      order_by: Feature that holds the time of a record: int64 or float, one finite value in each.
        The splits are in the order of time then, earliest first, in the order in which they are
        given (those of `splits`, then those of `counts`); folds come first. Records of equal time
        are cut by their hash. A record without a time is a bad record.
      within: 'all' for one cut of all the records: each split has its exact total, and the number
        of each class is what is there at its times, which a warning tells. 'strata' for a cut of
        each stratum: cells are exact, and the latest of each stratum are in the later splits, but
        a record of one stratum in an earlier split may be later than one of another in a later.
      embargo: Time between neighbouring splits, in the feature's units: records of the earlier one
        that are closer to the first record of the later one are left out of both and counted.
      embargo_records: Number of records before each later split that are left out; within 'strata'
        those of each stratum.
      multilabel: Whether a record has a set of labels: the values of the one feature in
        `stratify_by`, or those of its several features that are 1, where others are 0. Each
        distinct set, up to 200,000 of them, is a class; of what the bound leaves open, the sets are
        split so that labels, and pairs of labels, are near to their shares. A record without a
        value of the one feature has the empty set, which is a class; `missing_label='drop'` leaves
        such records out.
      extend: Channel of an earlier output of this component with the same splits. Its records stay
        in their splits, and those of `examples` bring each class and split back to its share, as
        near as they can. `examples` may hold the new records or all so far: a record that the
        earlier output holds, by `key` or `identity`, is not taken again. Without an artifact in
        the channel the split is a new one.
      group_by: Feature or features that make groups, such as a patient: all records with equal
        values of them are in one split. Classes and splits are as near to their shares as groups
        allow, by a search; where one is a record or more from its ideal, a warning names the
        furthest. With `order_by` groups are in the order of the times of their latest records, so
        that an earlier split knows nothing later than the cut, and splits end between the groups
        nearest to their totals; an embargo leaves out whole groups.
      missing_group: Treatment of records without a value of `group_by`, or with NaN: 'error',
        'own', a group of its own for each (equal records make one), or 'drop'.
      bins: How a feature of `stratify_by` that holds numbers, int64 or float, is made classes: a
        number of quantile bins, of as many records each as equal numbers allow, which share one; or
        ascending edges between bins, each of which is in the bin above it. Where `stratify_by` has
        several features, a mapping with the one, as in {'price': 10}. NaN is a missing class.
      at_least: Least number of records of a class in every split, or numbers by split, of classes
        that have enough for all of them; the class is that of the first feature. Where a bound is
        above a class's share, the class has the bound and, of what that leaves, its shares; others
        stay within one record of theirs, and the totals as near to theirs as that allows. `counts`
        hold all the same, or are refused. Warnings name the classes with fewer records, and the
        totals that have moved. None for shares alone.

    Raises:
      ConfigError: if an argument breaks a rule.
    """
    given = {name: value for name, value in locals().items() if name in ARGUMENTS}
    decode = partial(SplitterParameters.decode, extend=None if extend is None else '')
    properties = encode(
      ARGUMENTS, {**given, **plain_shares(given)}, decode, ALGORITHM_VERSION, TOGETHER
    )
    output = types.Channel(type=standard_artifacts.Examples)
    spec = make_spec(
      StratifiedSplitterSpec,
      input_examples=examples,
      extend=extend,
      examples=output,
      **properties,
    )
    super().__init__(spec=spec)
