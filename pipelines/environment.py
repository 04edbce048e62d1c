"""Process settings that must precede the import of TensorFlow: Keras version, logging, path.

The sample uses Keras 2 (`tf_keras`) instead of Keras 3, because everything around the model does:
the layer that Transform passes to the model is a `tf_keras.Model`, TFMA's metrics are those of
`tf_keras`, and both `import tfx.v1` and TFX's 1.21 image set `TF_USE_LEGACY_KERAS=1`. TFX 1.16 and
1.21 both install `tf_keras`. The models import it by that name, so they get the same Keras
regardless of `tf.keras` in the process.
"""

import os
from pathlib import Path

from tfx_balance.quiet import quiet

PROJECT = Path(__file__).resolve().parent.parent


def prepare(verbose: bool) -> None:
  """Sets up this process and its children; call it before importing TensorFlow or TFX."""
  os.environ['TF_USE_LEGACY_KERAS'] = '1'
  if not verbose:
    quiet()
  # Beam's worker processes import the model modules by their dotted names.
  paths = os.environ.get('PYTHONPATH', '').split(os.pathsep)
  if str(PROJECT) not in paths:
    os.environ['PYTHONPATH'] = os.pathsep.join([str(PROJECT), *filter(None, paths)])
