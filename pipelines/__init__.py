"""The sample pipeline: handwritten digits with a long tail, or a person's own data."""
