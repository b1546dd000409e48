"""Thin entry points: the command line, benchmarks, launch files for clusters."""
