"""Checks of the journal's file: it is one of this program, whole, and holds what was written to it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from errors import UsageError
from storage.journal import schema

HEADER_BYTES = 100
_LARGEST_VERSION = 1_000
"""A version above this means a damaged file, not a newer program."""

_OUTSIDE_CAUSES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
}
"""Errors that say nothing about the file's content."""

AnswerSums = tuple[int, int]
"""The number of answers, and the sum of their seals."""


class DamagedError(Exception):
    """Error for a file whose content is not a journal; its message completes "the journal …"."""


def check_header(path: Path) -> None:
    """Check the first bytes before SQLite opens the file: it writes to some files that are no journal."""
    with path.open("rb") as stream:
        header = stream.read(HEADER_BYTES)
    if len(header) < HEADER_BYTES:
        raise DamagedError("is empty or cut short")
    if not header.startswith(b"SQLite format 3\0") or not {1, 2}.issuperset(header[18:20]):
        raise DamagedError("is not a database any more")
    _check_version(int.from_bytes(header[60:64], "big"))


def _check_version(version: int) -> None:
    if schema.VERSION < version <= _LARGEST_VERSION:
        raise UsageError(
            f"the journal in --output-dir has format {version}, and this program knows formats up to"
            f" {schema.VERSION}: use the newer version that wrote it, or another --output-dir"
        )


def check_content(connection: sqlite3.Connection) -> AnswerSums:
    """Check every page and seal, so that no damaged row has an answer paid for twice; return the sums.

    100,000 images take 1.6 s (docs/performance.md).
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    _check_version(version)
    is_known = 1 <= version <= schema.VERSION
    if not is_known or schema.layout(connection) != schema.expected_layout(version):
        raise DamagedError("has other tables than it should")
    (verdict,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise DamagedError("is damaged")
    return _check_seals(connection, version)


def _check_seals(connection: sqlite3.Connection, version: int) -> AnswerSums:
    number, total = 0, 0
    answers = connection.execute(f"SELECT seal, {schema.sealed_columns(version)} FROM answers")  # noqa: S608
    prompts = connection.execute("SELECT prompt_id, text, revision, edits FROM prompts")
    orphans = connection.execute(
        "SELECT 1 FROM answers LEFT JOIN prompts USING (prompt_id) WHERE text IS NULL LIMIT 1"
    )
    with closing(answers), closing(prompts), closing(orphans):
        is_sound = True
        for row in answers:
            is_sound = is_sound and schema.seal(row[1:]) == row[0]
            number, total = number + 1, total + row[0]
        if not is_sound or any(schema.prompt_id(*row[1:]) != row[0] for row in prompts) or orphans.fetchone():
            raise DamagedError("holds values that were not written by this program")
    return number, total


def classify(error: sqlite3.Error | UnicodeDecodeError) -> Exception:
    """Return a DamagedError for a damaged file; for a full disk, a lock or a permission the error itself.

    A UnicodeDecodeError is damage too: SQLite's message then quotes damaged bytes of a table's name.
    """
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    is_outside = code & 0xFF in _OUTSIDE_CAUSES and code != sqlite3.SQLITE_IOERR_SHORT_READ
    return error if is_outside else DamagedError(f"is damaged ({error})")
