"""Folders and fixed files of the output directory, as paths relative to it."""

from pathlib import Path

SUCCESSFUL = "successful"
FAILED = "failed"
METADATA = "metadata"

JOURNAL = f"{METADATA}/journal.db"
LEDGER = f"{METADATA}/results.jsonl"
HISTORY = f"{METADATA}/history"
RUNS = "runs"
"""In the folder of the documents: the figures of each run, which no later run replaces."""
DRY_RUN = "dry-run"
"""Everything that dry runs write: a tree like the one of real runs, with journal, ledger and archive."""
OLD_DRY_RUN = f"{METADATA}/dry-run"
"""Documents and ledger of dry runs before December 2026, whose results stand among the real ones."""

WRITE_TEST = ".write-test"
"""File that is created and removed before a run in every folder that the run writes to."""


def working_dir(output_dir: Path, *, dry_run: bool) -> Path:
    """Return the folder that a run writes to, alone."""
    return output_dir / DRY_RUN if dry_run else output_dir
