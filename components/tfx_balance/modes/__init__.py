"""Ways to split, each in one file, and their registry: NumPy alone, no Beam and no TFX."""
