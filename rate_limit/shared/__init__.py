"""State that runs on one API key share with each other, and keep for the next run.

A quota belongs to the key's project and the model, not to an output directory, so there is one small SQLite
file for each user. If it fails, the run goes on without it and logs this once. See docs/adr/0009.

    scope.py           fingerprint of the key, model, and the path of the file
    database.py        one short transaction, and what happens when the file is damaged
    learned_limits.py  which limits are kept for the next run, and for how long
    peers.py           how runs at work exchange their status
    state.py           ``QuotaMemory``: all of the above behind one interface; ``sync_with_peers``: the
                       task that uses it
"""

from rate_limit.shared.scope import Scope, key_fingerprint, state_path
from rate_limit.shared.state import SYNC_EVERY_S, Limiter, QuotaMemory, sync_with_peers

__all__ = [
    "SYNC_EVERY_S",
    "Limiter",
    "QuotaMemory",
    "Scope",
    "key_fingerprint",
    "state_path",
    "sync_with_peers",
]
