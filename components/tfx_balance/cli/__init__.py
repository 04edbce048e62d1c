"""The command `tfx-balance`, and what shows a run of the sample pipeline on one's own data."""
