"""How would a client fare against a service whose limits it does not know?

A world in virtual time: the emulator's quota models, the program's own pacer and retry rule, and the
usual clients beside it. `python -m tests.simulation.rate_limit` plays it.
"""
