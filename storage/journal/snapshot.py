"""Copy of the journal for a dry run, which plans with it and changes nothing of real runs."""

import sqlite3
from contextlib import closing
from pathlib import Path

from errors import StorageError
from storage.journal.connection import SIDE_FILES, connect, open_for_reading, side_file


def copy_for_dry_run(path: Path, target: Path) -> None:
    """Write the journal's content to ``target``, which replaces an earlier copy; none if it is damaged.

    A run that is writing the journal is not disturbed.

    Raises:
        UsageError: a newer version wrote it.
        StorageError: the copy cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove(target)
        if path.exists():
            _copy(path, target)
    except OSError as error:
        raise StorageError(f"the copy {target} of the journal cannot be written: {error}") from error


def _copy(path: Path, target: Path) -> None:
    try:
        with closing(open_for_reading(path)) as original, closing(connect(target)) as copy:
            original.backup(copy)
    except (StorageError, sqlite3.Error):  # the dry run begins without, and reads the ledger
        _remove(target)


def _remove(path: Path) -> None:
    for suffix in ("", *SIDE_FILES):
        side_file(path, suffix).unlink(missing_ok=True)
