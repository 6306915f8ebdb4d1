"""Benchmarks: suites of labelled sets, baselines and published results."""
