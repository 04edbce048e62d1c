"""What must be settled before TensorFlow is imported: which Keras, how loud, which path.

Keras 2 (`tf_keras`), and not Keras 3, because everything around the model is Keras 2: the
layer that Transform hands to the model is a `tf_keras.Model`, TFMA's metrics are `tf_keras`
ones, `import tfx.v1` sets `TF_USE_LEGACY_KERAS=1` itself, and so does TFX's own 1.21 image.
TFX 1.16 and 1.21 both install `tf_keras`. The models import it by that name, so they get the
same Keras whatever `tf.keras` points to in the process.
"""

import logging
import os
import warnings
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent


def prepare(verbose: bool) -> None:
  """Sets up this process and its children; call it before importing TensorFlow or TFX."""
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  if not verbose:
    os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
    warnings.simplefilter('ignore')
    # A root logger without any handler makes logging print what libraries log at import.
    logging.getLogger().addHandler(logging.NullHandler())
  # Beam's worker processes import the model modules by their dotted names.
  paths = os.environ.get('PYTHONPATH', '').split(os.pathsep)
  if str(PROJECT) not in paths:
    os.environ['PYTHONPATH'] = os.pathsep.join([str(PROJECT), *filter(None, paths)])


def versions() -> str:
  """Returns a line that says which TFX, TensorFlow, Keras and Beam this process runs."""
  import apache_beam
  import tensorflow as tf
  import tf_keras
  from tfx import version

  return (
    f'TFX {version.__version__}, TensorFlow {tf.__version__}, '
    f'Keras {tf_keras.__version__} (tf_keras), Beam {apache_beam.__version__}'
  )
