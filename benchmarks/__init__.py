"""Benchmarks that compare this package with peers on the same data."""
