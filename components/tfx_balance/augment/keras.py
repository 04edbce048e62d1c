"""Keras preprocessing layers as an augment function whose outcome is a function of the seed alone.

A Keras layer draws from a state that moves on with every call. While such a layer is traced, each
of its generators is replaced by one that gives numbers made from the record's seed, from the
layer's position and from how often it has been asked. What has been traced is searched: if it still
draws from a state, or writes to one, the layer is refused.

That takes private attributes: tf_keras offers no other way to its generators, and `stateless_call`
of Keras 3 would change what layers with several draws give, and hide a layer's writes to a state.
"""

from __future__ import annotations

import copy
import inspect
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import tensorflow as tf

from tfx_balance.arguments import check_text, check_whole, format_value
from tfx_balance.augment.codec import TAGS, encode_pngs, read_heads, turn_tensor
from tfx_balance.augment.contract import Features, check_feature
from tfx_balance.augment.contract_checks import stateful_ops
from tfx_balance.augment.image import check_image_shape
from tfx_balance.augment.random import bits
from tfx_balance.errors import ConfigError

_MIXERS = ('MixUp', 'CutMix')
_TRACING = threading.RLock()


def from_keras(
  layer: Any,
  feature: str = 'image',
  shape: tuple[int, int, int] | None = None,
  jpeg_quality: int = 95,
) -> KerasAugment:
  """Returns an augment function that passes one feature through Keras layers, in training mode.

  An encoded image (PNG or JPEG) is decoded to float32 of 0 to 255, turned by its EXIF orientation,
  and what comes out is clipped, rounded and encoded as the image came, with that orientation; its
  size may change. Raw numbers go in as they are, in a batch of one, and must keep their shape.

  Args:
    layer: Layer or `Sequential`, of Keras 3 on TensorFlow or of tf_keras.
    feature: Name of the feature.
    shape: Height, width and channels: raw values are reshaped to it; encoded images must have it
      where a layer needs to know the size.
    jpeg_quality: Quality of JPEG files that are encoded again, 1 to 100.

  Raises:
    ConfigError: if it is not a layer, Keras runs on another backend, or a layer mixes records.
  """
  return KerasAugment(layer, feature, shape, jpeg_quality)


class KerasAugment:
  """Keras layers as an augment function; see `from_keras`.

  Attributes:
    name: Name in messages.
    graph_code: True: AutoGraph has nothing to convert.
  """

  graph_code = True

  def __init__(
    self, layer: Any, feature: str, shape: tuple[int, int, int] | None, jpeg_quality: int
  ):
    self._feature = check_text('feature', feature, 'a name')
    self._shape = check_image_shape(shape)
    self._jpeg_quality = check_whole('jpeg_quality', jpeg_quality, 1, 100)
    _check_layer(layer)
    self.name = f'from_keras({layer.name})'
    self._layer = layer
    self._takes_training = 'training' in inspect.signature(layer.call).parameters
    self._traced: dict[tuple[Any, ...], Any] = {}
    self._built: set[tuple[Any, ...]] = set()  # signatures that the layers have been built for

  def __getstate__(self) -> dict[str, Any]:
    return {**vars(self), '_traced': {}, '_built': set()}

  def __repr__(self) -> str:
    config = json.dumps(_without_names(self._layer.get_config()), sort_keys=True, default=str)
    kind = f'{type(self._layer).__module__}.{type(self._layer).__name__}'
    return f'from_keras({kind}({config}), {self._feature!r}, {self._shape}, {self._jpeg_quality})'

  @tf.autograph.experimental.do_not_convert
  def __call__(self, features: Features, seed: tf.Tensor) -> Features:
    """Returns one example with the feature passed through the layers; see `AugmentFn`."""
    check_feature(features, self._feature)
    value = tf.convert_to_tensor(features[self._feature])
    if value.dtype == tf.string:
      out = tf.reshape(self._encoded(tf.reshape(value, [1]), seed), value.shape)
    else:
      given = tf.reshape(value, [1, *self._shape] if self._shape else [1, *value.shape])
      out = tf.saturate_cast(self._apply(given, seed), value.dtype)
      out = tf.reshape(tf.ensure_shape(out, given.shape), tf.shape(value))
    return {**features, self._feature: out}

  def untraced(self) -> KerasAugment:
    """Returns the same function without traced graphs."""
    fresh = copy.copy(self)
    fresh._built = self._built  # its layers are the same
    return fresh

  def _encoded(self, file: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns a file with its image passed through the layers: string [], from string [1]."""
    heads = read_heads(file)
    (file,) = tf.unstack(heads.files)
    turn = heads.orientations[0]
    image = tf.cond(
      heads.has_palette[0],
      lambda: tf.io.decode_png(file, channels=3),
      lambda: tf.io.decode_png(file),  # JPEG too
    )
    image = turn_tensor(image, turn)
    shape = [1, *(self._shape or (None, None, None))]
    images = tf.ensure_shape(tf.cast(image[tf.newaxis], tf.float32), shape)
    out = tf.cast(self._apply(images, seed), tf.float32)
    pixels = tf.cast(tf.clip_by_value(tf.round(out), 0, 255), tf.uint8)
    pixels = turn_tensor(pixels[0], turn, back=True)
    return tf.cond(
      heads.is_png[0],
      lambda: encode_pngs(pixels[tf.newaxis])[0],
      lambda: self._jpeg(pixels, turn),
    )

  def _jpeg(self, pixels: tf.Tensor, turn: tf.Tensor) -> tf.Tensor:
    """Returns a JPEG file of an orientation: string []."""
    made = tf.io.encode_jpeg(pixels, quality=self._jpeg_quality, optimize_size=False)
    head, rest = (tf.strings.substr(made, at, n) for at, n in ((0, 2), (2, tf.int32.max)))
    return tf.strings.join([head, tf.gather(tf.constant(TAGS), turn), rest])

  def _apply(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns a batch of one passed through the layers, traced when first seen."""
    spec = tf.TensorSpec(values.shape, values.dtype)
    key = (spec.dtype, str(spec.shape))
    with _TRACING:
      if key not in self._traced:
        self._traced[key] = self._trace(spec, key)
    return self._traced[key](values, seed)

  def _trace(self, spec: tf.TensorSpec, key: tuple[Any, ...]) -> Any:
    """Returns the layers as a graph, which has no state."""
    signature = (spec, tf.TensorSpec([2], tf.int64))
    try:
      # A Sequential that builds itself calls its layers, which then draw more often than later.
      if key not in self._built:
        tf.function(self._step, autograph=False).get_concrete_function(*signature)
        self._built.add(key)
      traced = tf.function(self._step, autograph=False).get_concrete_function(*signature)
    except (TypeError, ValueError) as error:
      if spec.shape.is_fully_defined():
        raise
      first = str(error).strip().splitlines()[0]
      raise ConfigError(
        f'{self.name} does not run on images of unknown size ({first}); '
        'pass shape=(height, width, channels), which all images must have'
      ) from error
    self._refuse_state(traced.graph)
    return traced

  def _step(self, values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Returns the layers' outcome with all generators replaced."""
    with _seeded(self._layer, seed):
      return self._layer(values, **({'training': True} if self._takes_training else {}))

  def _refuse_state(self, graph: Any) -> None:
    """Raises a ConfigError if the traced layers draw from a state or write to one."""
    found = stateful_ops(graph)
    if found:
      names = [part.name for part in _flat(self._layer) if len(_flat(part)) == 1]
      guilty = [name for name in names if any(name in op for op in found)] or names
      raise ConfigError(
        f'layers {guilty} keep a state of their own ({", ".join(found[:3])}), so the outcome would '
        'not be a function of the seed; leave them out, or write the function with '
        'tf.random.stateless_*'
      )


def _check_layer(layer: Any) -> None:
  """Raises a ConfigError unless the layers can be made a function of a seed."""
  kind = _family(layer)
  if kind is None:
    raise ConfigError(
      f'layer={format_value(layer)} is not a Keras layer; pass a layer or a Sequential of layers'
    )
  if kind == 'keras':
    import keras

    if keras.backend.backend() != 'tensorflow':
      raise ConfigError(
        f'Keras runs on {keras.backend.backend()!r}; augment functions are TensorFlow graphs, '
        "set KERAS_BACKEND='tensorflow'"
      )
  mixers = [part.name for part in _flat(layer) if type(part).__name__ in _MIXERS]
  if mixers:
    raise ConfigError(f'layers {mixers} mix records of a batch; an augment function has one record')


def _family(layer: Any) -> str | None:
  """Returns 'keras' for a layer of Keras 3, 'tf_keras' for one of Keras 2, None for neither."""
  for base in type(layer).__mro__:
    home = base.__module__.partition('.')[0]
    if base.__name__ == 'Layer' and home in ('keras', 'tf_keras'):
      return home
  return None


def _flat(layer: Any) -> list[Any]:
  """Returns the layer and all the layers in it."""
  return list(layer._flatten_layers())


@contextmanager
def _seeded(layer: Any, seed: tf.Tensor) -> Iterator[None]:
  """Makes all generators of the layers give seeds made from this one: int64 [2]."""
  with ExitStack() as stack:
    for position, part in enumerate(_flat(layer)):
      draw = _drawer(seed, f'keras/{position}')
      if _family(part) == 'tf_keras':
        if hasattr(part, '_random_generator'):
          own = part._random_generator
          stand_in = type(own)(seed=0, rng_type='stateless')
          stand_in.make_seed_for_stateless_op = draw
          stack.callback(object.__setattr__, part, '_random_generator', own)
          object.__setattr__(part, '_random_generator', stand_in)
      else:
        for generator in _generators(part):
          stack.enter_context(mock.patch.object(generator, 'next', _next(draw, generator)))
    yield


def _drawer(seed: tf.Tensor, purpose: str) -> Callable[[], tf.Tensor]:
  """Returns a function whose every call gives another seed: int32 [2], 0 or more."""
  calls = 0

  def draw() -> tf.Tensor:
    nonlocal calls
    calls += 1
    words = tf.bitwise.right_shift(
      bits(seed, f'{purpose}/{calls}', (2,)), tf.constant(33, tf.uint64)
    )
    return tf.cast(tf.bitcast(words, tf.int64), tf.int32)

  return draw


def _generators(layer: Any) -> list[Any]:
  """Returns the seed generators of a Keras 3 layer."""
  from keras.random import SeedGenerator

  objects = list(vars(layer).values()) + list(getattr(layer, '_seed_generators', []))
  objects += list(getattr(layer, '_backend_generators', {}).values())
  return list({id(value): value for value in objects if isinstance(value, SeedGenerator)}.values())


def _next(draw: Callable[[], tf.Tensor], generator: Any) -> Callable[..., tf.Tensor]:
  """Returns the replacement of `SeedGenerator.next`."""
  return lambda ordered=True: tf.cast(draw(), generator.state.dtype)


def _without_names(config: Any) -> Any:
  """Returns a configuration without the names that Keras numbers within a process."""
  if isinstance(config, dict):
    return {key: _without_names(value) for key, value in config.items() if key != 'name'}
  if isinstance(config, (list, tuple)):
    return [_without_names(value) for value in config]
  return config
