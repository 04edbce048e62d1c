"""The sample pipeline: handwritten digits with a long tail, or the user's own data."""
