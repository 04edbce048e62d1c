"""Decisions on counts: exact integers, no input or output, no Beam, no TensorFlow."""
