"""Benchmarks against peers: ratios of interleaved runs, never times alone."""
