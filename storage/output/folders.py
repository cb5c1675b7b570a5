"""Folders and fixed files of the output directory, as paths relative to it."""

SUCCESSFUL = "successful"
FAILED = "failed"
METADATA = "metadata"

JOURNAL = f"{METADATA}/journal.db"
LEDGER = f"{METADATA}/results.jsonl"
HISTORY = f"{METADATA}/history"
DRY_RUN = f"{METADATA}/dry-run"
"""Documents and ledger of dry runs, beside those of real runs."""

WRITE_TEST = ".write-test"
"""File that is created and removed before a run in every folder that the run writes to."""
