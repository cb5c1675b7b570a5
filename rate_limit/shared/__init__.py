"""What did other nights learn about the quota, and what do other runs on the same key do right now?

A file in the output directory is the naive place, and wrong: a quota belongs to the key's project and the
model, so two runs with different output directories fight for it, and each new directory learns afresh.
So there is one small SQLite file for each user, with what was learned and with a row for each run at work.
It holds nothing that was paid for, and is never in the way of a run: whatever is wrong with it, the run
goes on without it and says so once.

    scope.py      whose quota it is, and where the file lies
    database.py   one short transaction, and what happens when the file is not sound
    facts.py      what is worth keeping for the next night, and for how long
    company.py    how runs at work tell each other how they stand
    memory.py     ``QuotaMemory``: the above behind one door; ``keep_company``: the task that uses it

Nothing here knows how a limit is learned or divided, or sees more of the key than its fingerprint.
"""

from rate_limit.shared.scope import Scope, key_fingerprint, state_path
from rate_limit.shared.state import SYNC_EVERY_S, Limiter, QuotaMemory, sync_with_peers, synced_with_peers

__all__ = [
    "SYNC_EVERY_S",
    "Limiter",
    "QuotaMemory",
    "Scope",
    "key_fingerprint",
    "state_path",
    "sync_with_peers",
    "synced_with_peers",
]
