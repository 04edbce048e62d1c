"""What Transform runs in these tests."""

import tensorflow as tf
import tensorflow_transform as tft


def preprocessing_fn(inputs):
  """Returns the mean pixel, scaled by an analysis of 'train', and the label as it is."""
  mean = tf.reduce_mean(inputs['pixels'], axis=1)
  return {'mean': tft.scale_to_z_score(mean), 'label': inputs['label']}
