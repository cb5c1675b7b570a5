"""Simulation of clients against a service whose limits are unknown to them, in virtual time.

The emulator's quota models, the program's own pacer and retry rule, and the usual clients beside it.
`python -m tests.simulation.rate_limit` plays it.
"""
