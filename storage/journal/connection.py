"""Open and check the journal's file, and replace it if it is damaged.

A damaged file is never repaired in place and never deleted: it is renamed together with its side files, and
a new one is created, which the ledger fills again. A file of a newer version is left unchanged.
"""

import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import StorageError, UsageError
from storage.journal import schema
from storage.journal.integrity import (
    HEADER_BYTES,
    AnswerSums,
    DamagedError,
    check_content,
    check_header,
    classify,
)
from storage.journal.ledger_mark import sum_answers
from storage.journal.repairs import upgrade_to_version_4
from utils.lock import find_range_lock_fault
from utils.shortage import is_passing

BUSY_TIMEOUT_S = 10.0
"""How long to wait for another process that locks the file for a moment (``--status``, a backup)."""

_MAX_PATH_BYTES = 511
"""Source: https://sqlite.org/src/file/src/os_unix.c, MAX_PATHNAME (2026-11)."""

_NO_WAL = (
    "the file system of the output directory does not allow SQLite's WAL mode (a network drive?):"
    " the journal works with a rollback journal, as safe but slower"
)

SIDE_FILES = ("-wal", "-shm", "-journal")
"""Suffixes of the files that SQLite keeps beside a database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedJournal:
    """A journal ready for writing."""

    connection: sqlite3.Connection
    notices: tuple[str, ...]
    """Sentences for the user about what was found."""
    was_rebuilt: bool
    """True if a damaged file was moved aside."""
    needs_ledger: bool
    """True if the tables may lack answers whose files are in the tree."""
    sums: AnswerSums


def open_for_writing(path: Path, utcnow: Callable[[], datetime]) -> OpenedJournal:
    """Open the journal; create it if there is none, replace it if it is damaged.

    Raises:
        UsageError: it was written by a newer version; nothing was changed.
        StorageError: it cannot be read or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            return _finish_opening(*_open_checked(path))
        except DamagedError as damage:
            aside = _put_aside(path, utcnow())
            notice = f"the journal {damage}; it was put aside as {aside.name} and a fresh one begun"
            return _finish_opening(*_open_checked(path), rebuilt=notice)
    except DamagedError as damage:
        raise StorageError(f"the journal {path} {damage}, also after it was begun afresh") from damage
    except (sqlite3.Error, OSError) as error:
        raise StorageError(
            f"the journal {path} cannot be opened: {_describe_opening(path, error)}"
        ) from error


def _describe_opening(path: Path, error: Exception) -> str:
    """Return why the file cannot be opened; SQLite itself does not say that a path is too long for it."""
    longest = len(os.fsencode(path.resolve())) + len("-journal")
    if longest <= _MAX_PATH_BYTES:
        return describe_error(error)
    return f"its path is too long for SQLite; choose a shorter --output-dir ({error})"


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open the journal for reading only; a run may write it at the same time.

    Raises:
        UsageError: there is no journal, or a newer version wrote it.
        StorageError: it cannot be read.
    """
    if not path.exists():
        raise UsageError(f"there is no journal at {path}: no run has used this output directory yet")
    try:
        check_header(path)
        return _connect_read_only(path)
    except DamagedError as damage:
        raise StorageError(f"the journal {path} {damage}; the next run rebuilds it") from damage
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise StorageError(f"the journal {path} cannot be read: {describe_error(error)}") from error


def describe_error(error: Exception) -> str:
    """Return SQLite's message, with an addition for "disk I/O error", which can mean a full disk."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    is_vague = code & 0xFF == sqlite3.SQLITE_IOERR
    return f"{error} (the disk is full, or fails)" if is_vague else str(error)


def is_shortage(error: Exception) -> bool:
    """Return whether descriptors or memory are missing now; SQLite itself does not say which file and why."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)
    if code & 0xFF == sqlite3.SQLITE_CANTOPEN:
        try:
            os.close(os.open(os.devnull, os.O_RDONLY))
        except OSError as cause:
            return is_passing(cause)
    return code in {sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_IOERR_NOMEM}


def prefer_wal(connection: sqlite3.Connection) -> tuple[str, ...]:
    """Update the file to WAL mode, or to a rollback journal if the file system has no shared memory or locks.

    Both keep everything that was committed and synced through a power cut. Returns notices for the user.
    """
    has_locks = connection.execute("PRAGMA locking_mode").fetchone() != ("exclusive",)
    try:
        (mode,) = connection.execute(f"PRAGMA journal_mode = {'WAL' if has_locks else 'DELETE'}").fetchone()
    except sqlite3.OperationalError:
        (mode,) = connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    sync_each_commit(connection, enabled=True)
    # That there are no locks is said where the output directory is locked.
    return () if mode == "wal" or not has_locks else (_NO_WAL,)


def sync_each_commit(connection: sqlite3.Connection, *, enabled: bool) -> None:
    """Start or stop waiting for the disk at each commit; see docs/adr/0004.

    If stopped, a power cut can lose the last commits, each as a whole. A rollback journal always waits:
    otherwise a power cut could damage it.

    Source: https://sqlite.org/pragma.html#pragma_synchronous (2026-11).
    """
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    level = "FULL" if enabled or mode != "wal" else "NORMAL"
    connection.execute(f"PRAGMA synchronous = {level}")


def _open_checked(path: Path) -> tuple[sqlite3.Connection, AnswerSums]:
    """Return a connection to a journal that passed all checks; create the file if there is none."""
    is_new = not path.exists()
    if is_new and any(side_file(path, suffix).exists() for suffix in ("-wal", "-journal")):
        raise DamagedError("is missing its main file")
    if not is_new:
        check_header(path)
    connection = connect(path)
    try:
        if _is_empty(connection):
            _create_tables(connection)
        sums = check_content(connection)
        if _upgrade(connection):
            sums = sum_answers(connection)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        connection.close()
        raise classify(error) from error
    except BaseException:
        connection.close()
        raise
    return connection, sums


def _is_empty(connection: sqlite3.Connection) -> bool:
    """Return True for a new file, and for one whose first run was killed before the tables were created."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    return int(pages) <= 1 and not schema.layout(connection)


def _create_tables(connection: sqlite3.Connection) -> None:
    """Add the tables; the mode is set first because it cannot change inside a transaction."""
    prefer_wal(connection)
    connection.execute("BEGIN IMMEDIATE")
    schema.create(connection)
    connection.execute("COMMIT")


def _upgrade(connection: sqlite3.Connection) -> bool:
    """Add the tables and columns of newer versions; return whether there are any.

    A kill leaves the old layout or the new one.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version >= schema.VERSION:
        return False
    connection.execute("BEGIN IMMEDIATE")
    schema.upgrade(connection, version)
    if version < 4:
        upgrade_to_version_4(connection)
    connection.execute("COMMIT")
    return True


def _finish_opening(connection: sqlite3.Connection, sums: AnswerSums, *, rebuilt: str = "") -> OpenedJournal:
    """Return the opened journal with its mode set; check whether the last run ended by itself."""
    try:
        notices = prefer_wal(connection)
        runs, running = connection.execute("SELECT count(*), sum(state = 'running') FROM runs").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return OpenedJournal(
        connection=connection,
        notices=(rebuilt, *notices) if rebuilt else notices,
        was_rebuilt=bool(rebuilt),
        needs_ledger=not runs or bool(running),
        sums=sums,
    )


def connect(path: Path) -> sqlite3.Connection:
    """Return a connection for the run that holds the output directory; its own locks are optional.

    Source: https://sqlite.org/vfs.html#standard_unix_vfses (2026-11). WAL without locks needs exclusive mode.
    """
    has_locks = find_range_lock_fault(path.parent) is None
    uri = f"{path.absolute().as_uri()}{'' if has_locks else '?vfs=unix-none'}"
    connection = _configure(
        sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    )
    if not has_locks:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchone()
    return connection


def _configure(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Return the connection, set to read invalid UTF-8 as text: the seals find damage, not the decoder."""
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _connect_read_only(path: Path) -> sqlite3.Connection:
    """Return a connection that reads and creates no file.

    A WAL file without a writer is opened as immutable: otherwise SQLite would create side files and leave
    them there, or fail in a folder that is read-only.
    """
    if _is_wal_at_rest(path):
        return _connect_readable(f"{path.resolve().as_uri()}?immutable=1")
    try:
        return _connect_readable(f"{path.resolve().as_uri()}?mode=ro")
    except sqlite3.OperationalError:
        if side_file(path, "-wal").exists():
            raise
        return _connect_readable(f"{path.resolve().as_uri()}?immutable=1")


def _is_wal_at_rest(path: Path) -> bool:
    """Return whether the file is in WAL mode and has no writer: a writer keeps a ``-wal`` file.

    Source: https://sqlite.org/fileformat.html (bytes 18 and 19 of the header are the mode).
    """
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    return header[18:20] == b"\2\2" and not side_file(path, "-wal").exists()


def _connect_readable(uri: str) -> sqlite3.Connection:
    connection = _configure(
        sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
    )
    try:
        connection.execute("SELECT count(*) FROM runs").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _put_aside(path: Path, now: datetime) -> Path:
    """Move the file and its side files to another name, and return it.

    The main file goes first: after a kill, side files without a main file are noticed at the next start.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    aside, number = path.with_name(f"{path.stem}.damaged-{stamp}{path.suffix}"), 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.stem}.damaged-{stamp}-{number}{path.suffix}")
    for suffix in ("", *SIDE_FILES):
        if side_file(path, suffix).exists():
            side_file(path, suffix).rename(side_file(aside, suffix))
    return aside


def side_file(path: Path, suffix: str) -> Path:
    """Return the path of a journal's side file; of the journal itself for an empty suffix."""
    return path.with_name(path.name + suffix)
