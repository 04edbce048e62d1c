"""TFRecord frames, found and checked: numpy and Arrow, no Beam, no TensorFlow."""
