"""Attacks on the whole program, ``make attack-test``: one module a kind, each seeded and counted.

The kinds and their numbers stand in ``kinds``; what each found in docs/reliability.md.
"""
