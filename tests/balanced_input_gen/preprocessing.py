"""What Transform runs in the tests of BalancedInputGen: the label gets another name and type."""

import tensorflow_transform as tft


def preprocessing_fn(inputs):
  """Returns the pixels, scaled, and the number of the label in a vocabulary."""
  return {
    'class_id': tft.compute_and_apply_vocabulary(inputs['label']),
    'x': tft.scale_to_z_score(inputs['pixels']),
  }
