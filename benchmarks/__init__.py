"""Benchmarks: each runs a peer and this package on the same data, and prints a ratio."""
