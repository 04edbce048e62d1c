"""Additions to Beam: steps, counters, threads."""
