"""Benchmarks: what the program costs, measured from outside as a process."""
