"""Serialized examples to (features, label) in graph code, labels checked against the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from google.protobuf import message

from tfx_balance.arguments import check_mapping, format_value
from tfx_balance.errors import ConfigError, DataError
from tfx_balance.plan.class_value import ClassValue
from tfx_balance.plan.label_sets import LabelSetCounts
from tfx_balance.plan.labels import LabelRows
from tfx_balance.plan.record_order import keyed_hash
from tfx_balance.plan.sampling import TrainingCounts
from tfx_balance.scan.fixed_layout import FixedColumns, ValueKind

FeatureSpec = Mapping[str, Any]
"""Feature spec as `tf.io.parse_example` takes it, the label included. For tf.SequenceExamples it is
that of the context, and that of the feature lists is a dict in it, under SEQUENCES."""
SEQUENCES = '##SEQUENCE##'
"""Name of the feature lists in a feature spec, and in the schemas of TFX."""
_FEATURES = (
  tf.io.FixedLenFeature,
  tf.io.FixedLenSequenceFeature,
  tf.io.RaggedFeature,
  tf.io.SparseFeature,
  tf.io.VarLenFeature,
)
_SEQUENCE_FEATURES = (tf.io.FixedLenSequenceFeature, tf.io.RaggedFeature, tf.io.VarLenFeature)
TensorColumns = Sequence[tf.Tensor]
"""Records as a `RecordForm` keeps them: tensors [n, ...]."""
GatherRecords = Callable[[tf.Tensor, TensorColumns], TensorColumns]
"""Graph code: rows int64 [B] and fetched records to records, both as a `RecordForm` keeps them."""
LabelCheck = Callable[[Any, tf.Tensor], Any]
"""Graph code: labels as parsed, of B records, and the plan's classes int64 [B] to these labels,
bound to fail where they are others than the plan says."""
_LAYOUT_KINDS: dict[tf.DType, ValueKind] = {tf.float32: 'float', tf.int64: 'int'}
_DTYPES: dict[str, tf.DType] = {'int': tf.int64, 'float': tf.float32, 'bytes': tf.string}


def parse(serialized: tf.Tensor, spec: FeatureSpec) -> dict[str, Any]:
  """Returns the features of serialized records, string [B], those of feature lists among them."""
  if SEQUENCES not in spec:
    return dict(tf.io.parse_example(serialized, dict(spec)))
  context = {name: feature for name, feature in spec.items() if name != SEQUENCES}
  found, lists, _ = tf.io.parse_sequence_example(serialized, context, dict(spec[SEQUENCES]))
  return {**found, **lists}


def check_sequences(spec: FeatureSpec, records: Iterable[bytes]) -> None:
  """Checks that features are where the feature spec says: in the context, or in feature lists.

  TensorFlow finds none elsewhere, and gives empty ones. A tf.Example is read as a context.

  Args:
    spec: Feature spec.
    records: Serialized records, some of those to parse.

  Raises:
    ConfigError: if a feature is in the other place alone.
    DataError: if a record is neither a tf.Example nor a tf.SequenceExample.
  """
  context: set[str] = set()
  lists: set[str] = set()
  for record in records:
    try:
      found = tf.train.SequenceExample.FromString(record)
    except message.DecodeError as error:
      raise DataError(
        f'a record of {len(record)} bytes is neither a tf.Example nor a tf.SequenceExample '
        f'({error}); leave it out'
      ) from error
    context |= set(found.context.feature)
    lists |= set(found.feature_lists.feature_list)
  if wrong := sorted((lists - context) & set(spec)):
    raise ConfigError(
      f'feature {wrong[0]!r} is in the feature lists of the records, and feature_spec= has it in '
      f"the context; give it as {{'{SEQUENCES}': {{{wrong[0]!r}: tf.io.RaggedFeature(...)}}}}"
    )
  if wrong := sorted((context - lists) & set(spec.get(SEQUENCES, ()))):
    raise ConfigError(
      f'feature {wrong[0]!r} is not in the feature lists of the records, but beside the label; '
      f'take it out of {SEQUENCES!r} in feature_spec='
    )


def asserted(values: Any, condition: tf.Tensor, *data: Any) -> Any:
  """Returns values, bound to fail with a message where a condition is not met: graph code.

  Args:
    values: Tensor or nest of tensors.
    condition: Bool [].
    *data: Texts and tensors of the message.
  """
  # Not tf.debugging.Assert, which makes a conditional: 30 microseconds a batch.
  check = tf.raw_ops.Assert(condition=condition, data=list(data), summarize=8)
  with tf.control_dependencies([check]):
    return tf.nest.map_structure(tf.identity, values, expand_composites=True)


def flat_label(label: Any) -> tf.Tensor:
  """Returns a parsed label as one value a record, whichever way it was parsed."""
  if isinstance(label, tf.SparseTensor):
    return label.values
  if isinstance(label, tf.RaggedTensor):
    return label.flat_values
  return tf.reshape(label, [-1])


def label_rows(label: Any) -> LabelRows:
  """Returns the parsed labels of records that have several.

  Raises:
    DataError: if they are no rows of 0 and 1, where they are dense.
  """
  if isinstance(label, tf.SparseTensor):
    label = tf.RaggedTensor.from_sparse(label)
  if isinstance(label, tf.RaggedTensor):
    return LabelRows(label.flat_values.numpy(), label.row_splits.numpy())
  return LabelRows.of(label.numpy())


def multi_hot(labels: Sequence[ClassValue]) -> Callable[[Any], tf.Tensor]:
  """Returns graph code from labels as parsed to 0 and 1, float32 [B, n_labels].

  Args:
    labels: Labels in the order of the columns. Rows of 0 and 1 keep their own.
  """
  lookup = index_lookup(labels)

  def convert(label: Any) -> tf.Tensor:
    if isinstance(label, tf.SparseTensor):
      rows, n = label.indices[:, 0], label.dense_shape[0]
    elif isinstance(label, tf.RaggedTensor):
      rows, n = label.value_rowids(), label.nrows()
    else:
      return tf.cast(label, tf.float32)
    places = tf.stack([tf.cast(rows, tf.int64), lookup(label)], axis=1)
    shape = tf.stack([tf.cast(n, tf.int64), len(labels)])
    return tf.minimum(tf.scatter_nd(places, tf.ones(tf.shape(places)[:1]), shape), 1.0)

  return convert


def class_values(classes: Sequence[ClassValue]) -> tf.Tensor:
  """Returns the label of each class as it is parsed: [n_classes]; 0 or b'' for missing labels."""
  dtype = _DTYPES[next((value.kind for value in classes if value.kind != 'missing'), 'int')]
  nothing: Any = b'' if dtype == tf.string else 0
  values = [nothing if value.kind == 'missing' else value.value for value in classes]
  return tf.constant(values, dtype)


def index_lookup(classes: Sequence[ClassValue]) -> Any:
  """Returns graph code from labels as parsed to class indices, int64 [B].

  The code fails, and names the labels, where they are not in the plan.
  """
  present = [value for value in classes if value.kind != 'missing']
  values = class_values(present)
  keys = tf.cast(values, tf.int64) if values.dtype != tf.string else values
  indices = tf.range(len(present), dtype=tf.int64)
  table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, indices), -1)
  names = ', '.join(map(str, classes[:20]))

  def lookup(label: Any) -> tf.Tensor:
    flat = flat_label(label)
    keys = flat if flat.dtype == tf.string else tf.cast(flat, tf.int64)
    index = table.lookup(keys)
    unknown = tf.boolean_mask(keys, index < 0)
    text = (
      f'a label is not in the plan, whose classes are {names}; leave such records out, or plan '
      f'again with data that has them. Labels:'
    )
    return asserted(index, tf.equal(tf.size(unknown), 0), text, unknown)

  return lookup


def label_encoder(label_as: str, labels: Sequence[ClassValue]) -> Callable[[Any], tf.Tensor]:
  """Returns graph code from labels as parsed to 'index', int64 [B], or to float32 [B, n_labels].

  The code fails, and names the labels, where they are not in the plan.

  Args:
    label_as: 'index', 'one_hot' or 'multi_hot'.
    labels: Labels in the order of the indices and of the columns.
  """
  encode = (multi_hot if label_as == 'multi_hot' else index_lookup)(labels)
  return (lambda label: tf.one_hot(encode(label), len(labels))) if label_as == 'one_hot' else encode


@dataclass(frozen=True)
class RecordForm:
  """Form of records in memory: serialized, or parsed once for all their draws.

  Attributes:
    feature_spec: Feature spec of the records, the label included.
    parsed: Whether they are parsed: one column for each feature, else one column of strings.
  """

  feature_spec: FeatureSpec
  parsed: bool = False

  @classmethod
  def of(cls, feature_spec: FeatureSpec | None, most_bytes: int) -> RecordForm:
    """Returns the parsed form where all features are dense numbers, in records of limited size.

    Args:
      feature_spec: Feature spec of the records, the label included.
      most_bytes: Bytes that a record may take.

    Raises:
      ConfigError: if there is no feature spec.
    """
    spec = needed_feature_spec(feature_spec)
    dense = all(
      isinstance(f, tf.io.FixedLenFeature)
      and f.dtype in _LAYOUT_KINDS
      and tf.TensorShape(f.shape).is_fully_defined()
      for f in spec.values()
    )
    form = cls(spec, dense)
    return form if dense and form.record_bytes <= most_bytes else cls(spec)

  @property
  def columns(self) -> list[tf.TensorSpec]:
    """Shape and dtype of each column, for one record."""
    if not self.parsed:
      return [tf.TensorSpec([], tf.string)]
    return [tf.TensorSpec(f.shape, f.dtype) for f in self.feature_spec.values()]

  @property
  def record_bytes(self) -> int:
    """Bytes that one record takes where it is parsed."""
    return sum(int(np.prod(column.shape)) * column.dtype.size for column in self.columns)

  def keeps_as(self, other: RecordForm) -> bool:
    """Returns whether records are the same in memory in another form."""
    if not self.parsed or not other.parsed:
      return self.parsed == other.parsed
    mine, others = (
      [
        (name, tf.TensorShape(f.shape), f.dtype, np.array(f.default_value).tolist())
        for name, f in form.feature_spec.items()
      ]
      for form in (self, other)
    )
    return mine == others

  def keep(self, serialized: tf.Tensor) -> TensorColumns:
    """Returns serialized records, string [n], as they are kept."""
    if not self.parsed:
      return [serialized]
    found = parse(serialized, self.feature_spec)
    return [found[name] for name in self.feature_spec]

  def layout(self, serialized: bytes) -> FixedColumns | None:
    """Returns the positions of the columns in records of the layout of this one, or None."""
    sizes = {name: int(np.prod(f.shape)) for name, f in self.feature_spec.items()}
    found = FixedColumns.of(serialized, sizes)
    wanted = [_LAYOUT_KINDS[f.dtype] for f in self.feature_spec.values()]
    return found if found and [own.kind for own in found.layouts] == wanted else None

  def features(self, columns: TensorColumns) -> dict[str, Any]:
    """Returns the features of records that are kept, the label included: graph code."""
    if not self.parsed:
      return parse(columns[0], self.feature_spec)
    return dict(zip(self.feature_spec, columns, strict=True))


def batch_reader(
  gather: GatherRecords,
  label: str | Sequence[str],
  counts: TrainingCounts,
  form: RecordForm,
  check_sets: bool = True,
) -> Callable[[tf.Tensor, tf.Tensor, TensorColumns], tuple[Any, Any]]:
  """Returns the graph code that gathers a batch, parses it, and checks its labels against the plan.

  Args:
    gather: Graph code that gathers the records.
    label: Name of the label feature, or of those of 0 and 1 that are labels.
    counts: Classes of the plan.
    form: How the records are kept.
    check_sets: Whether to check the labels of records that have several.

  Raises:
    ConfigError: if the label of the feature spec does not fit.
  """
  split_label = label_splitter(label, form.feature_spec)
  if not isinstance(counts, LabelSetCounts):
    check = _class_check(label, counts.classes, form.feature_spec)
  elif check_sets:
    check = _set_check(label, counts, form.feature_spec)
  else:
    check = lambda found, indices: found  # noqa: E731

  def read(rows: tf.Tensor, indices: tf.Tensor, fetched: TensorColumns) -> tuple[Any, Any]:
    features, found = split_label(form.features(gather(rows, fetched)), tf.size(rows))
    return features, check(found, indices)

  return read


def _class_check(label: Any, classes: Sequence[ClassValue], spec: FeatureSpec) -> LabelCheck:
  """Returns graph code that fails where a record's label is not the class that the plan says."""
  values = class_values(classes)
  if label not in spec:
    raise ConfigError(
      f'label {label!r} is not in the feature spec, which has {sorted(spec)}; '
      f'feature_spec= must hold the label too'
    )
  if spec[label].dtype != values.dtype:
    raise ConfigError(
      f'label {label!r} is {spec[label].dtype.name} in the feature spec, and the classes of the '
      f'plan are {values.dtype.name}; give the spec of the files that the plan describes'
    )
  text = (
    'a record has a label that is not the one that the plan says: the plan and the files do not '
    'belong together; run BalancedInputGen again. Labels (found, then planned):'
  )

  def check(found: Any, indices: tf.Tensor) -> Any:
    parsed, wanted = found, tf.gather(values, indices)
    if any(value.kind == 'missing' for value in classes):
      present = tf.not_equal(indices, len(classes) - 1)
      if not isinstance(parsed, (tf.SparseTensor, tf.RaggedTensor)):
        parsed = tf.boolean_mask(flat_label(parsed), present)
      wanted = tf.boolean_mask(wanted, present)
    parsed = flat_label(parsed)
    n, m = tf.size(parsed), tf.size(wanted)
    fits = tf.equal(n, m) & tf.reduce_all(tf.equal(parsed[:m], wanted[:n]))
    return asserted(found, fits, text, parsed, wanted)

  return check


def _set_check(label: str | Sequence[str], counts: LabelSetCounts, spec: FeatureSpec) -> LabelCheck:
  """Returns graph code that fails where a record's labels are not the set that the plan says.

  Sets are compared by sums of hashes of their labels.
  """
  if isinstance(label, str):
    kind = spec.get(label)
    dtype = _DTYPES[counts.labels[0].kind]
    if not isinstance(kind, (tf.io.VarLenFeature, tf.io.RaggedFeature)) or kind.dtype != dtype:
      raise ConfigError(
        f'label {label!r} is {kind} in the feature spec, and a record has several labels; give '
        f'tf.io.VarLenFeature(tf.{dtype.name})'
      )
  encode, of_label = multi_hot(counts.labels), keyed_hash(0, np.arange(len(counts.labels)))
  of_set = np.zeros(len(counts.classes), np.uint64)
  np.add.at(of_set, counts.sets.owners, of_label[counts.sets.members])
  planned = tf.constant(of_set.view(np.int64))
  hashes = tf.constant(of_label.view(np.int64))
  text = (
    'a record has labels that are not those that the plan says: the plan and the files do not '
    'belong together; run BalancedInputGen again. Labels:'
  )

  def check(found: Any, indices: tf.Tensor) -> Any:
    sums = tf.reduce_sum(tf.where(encode(found) > 0, hashes, 0), axis=1)
    fits = tf.reduce_all(tf.equal(sums, tf.gather(planned, indices)))
    return asserted(found, fits, text, flat_label(found))

  return check


def check_feature_spec(feature_spec: FeatureSpec | None) -> FeatureSpec | None:
  """Returns a feature spec, or None where there is none.

  Raises:
    ConfigError: if it is no feature spec.
  """
  if feature_spec is None:
    return None
  example = "{'label': tf.io.FixedLenFeature([], tf.int64)}"
  check_mapping('feature_spec', feature_spec, example)
  lists = feature_spec.get(SEQUENCES, {})
  kinds: list[tuple[Any, Any, tuple[Any, ...]]]
  kinds = [(name, f, _FEATURES) for name, f in feature_spec.items() if name != SEQUENCES]
  kinds += [(k, f, _SEQUENCE_FEATURES) for k, f in check_mapping(SEQUENCES, lists, example).items()]
  if twice := sorted(set(lists) & set(feature_spec)):
    raise ConfigError(
      f'feature {twice[0]!r} is in the context and in {SEQUENCES!r} of feature_spec=, and a batch '
      f'has one of a name; leave one out'
    )
  for name, feature, allowed in kinds:
    if not isinstance(name, str) or not isinstance(feature, allowed):
      raise ConfigError(
        f'feature_spec={format_value(feature_spec)} must be what tf.io.parse_example takes, and '
        f'{format_value(name)}: {format_value(feature)} is not; give for example {example}'
      )
  if not feature_spec:
    raise ConfigError(f'feature_spec={{}} has no feature; give for example {example}')
  return feature_spec


def needed_feature_spec(feature_spec: FeatureSpec | None) -> FeatureSpec:
  """Returns the feature spec of files.

  Raises:
    ConfigError: if there is none, or it is no feature spec.
  """
  check_feature_spec(feature_spec)
  if feature_spec is None:
    raise ConfigError(
      'feature_spec=None, and the files must be parsed; pass feature_spec= as tf.io.parse_example '
      'takes it, the label included, or use from_fn_args, which finds the schema'
    )
  return dict(feature_spec)


def example_parser(
  label: str | Sequence[str], feature_spec: FeatureSpec | None
) -> Callable[[tf.Tensor], tuple[dict[str, Any], Any]]:
  """Returns graph code from serialized examples, string [B], to (features, label).

  Args:
    label: As `label_splitter` takes it.
    feature_spec: Feature spec, the label included.

  Raises:
    ConfigError: if there is no feature spec, or one of several labels does not fit.
  """
  spec = needed_feature_spec(feature_spec)
  split_label = label_splitter(label, spec)
  return lambda serialized: split_label(parse(serialized, spec), tf.size(serialized))


def label_splitter(
  label: str | Sequence[str], spec: FeatureSpec
) -> Callable[[dict[str, Any], tf.Tensor], tuple[dict[str, Any], Any]]:
  """Returns graph code from all features of a batch, and its size B, to (features, label).

  Args:
    label: Name of the label feature; or names of several features of 0 and 1: the labels of a
      record are then the names of those that are 1, string [B, None].
    spec: Feature spec, the label included.

  Raises:
    ConfigError: if one of several labels does not fit.
  """
  if isinstance(label, str):
    name = label
    return lambda features, _: (features, features.pop(name))
  for name in label:
    if name not in spec or spec[name].dtype == tf.string:
      found = spec[name].dtype.name if name in spec else 'not there'
      raise ConfigError(
        f'label {name!r}, one of {len(label)} features of 0 and 1, is {found} in the feature spec; '
        f'give it as a number, such as tf.io.FixedLenFeature([], tf.int64)'
      )
  return lambda features, n: (features, _flagged({k: features.pop(k) for k in label}, n))


def _flagged(columns: Mapping[str, Any], n: tf.Tensor) -> tf.RaggedTensor:
  """Returns the names of the features that are 1 in each of n records: string [n, None].

  The code fails where a record has no value of a feature, or one that is neither 0 nor 1.
  """
  names = list(columns)
  flat = [tf.cast(flat_label(values), tf.float32) for values in columns.values()]
  whole = tf.reduce_all([tf.equal(tf.size(values), n) for values in flat])
  text = f'a record has no value, or several, of one of the labels {names[:20]}; give each 0 or 1'
  flags = tf.stack(asserted(flat, whole, text), axis=1)
  fits = tf.reduce_all(tf.logical_or(tf.equal(flags, 0), tf.equal(flags, 1)))
  text = f'one of the labels {names[:20]} is neither 0 nor 1 in a record; give each 0 or 1'
  flags = asserted(flags, fits, text)
  return tf.ragged.boolean_mask(tf.broadcast_to(names, tf.shape(flags)), tf.equal(flags, 1))
